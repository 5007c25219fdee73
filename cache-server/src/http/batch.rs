//! Level 1: the HTTP bindings of the Remote Execution API, in JSON.

use super::Failure;
use super::answer::json;
use super::guard::{allow, caller};
use super::small::{MAX_BATCH, small_body};
use crate::App;
use crate::auth::Access;
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};
use std::io::Read;
use std::sync::Arc;

/// The bytes of all objects of one request or answer.
const MAX_TOTAL: u64 = 4 << 20;

/// `{namespace}/capabilities`, `{namespace}/blobs:findMissing`, `:batchRead`, `:batchUpdate`.
pub(super) async fn level_1(
    app: &Arc<App>,
    rest: &str,
    request: Request,
) -> Result<Response, Failure> {
    let (namespace, verb) = match rest.rsplit_once('/') {
        Some((namespace, verb)) => (namespace.parse(), verb.to_owned()),
        None => (Ok(Namespace::root()), rest.to_owned()),
    };
    let namespace: Namespace = namespace
        .map_err(|error: acetate_cache_api::NamespaceError| Failure::Bad(error.to_string()))?;
    let access = if verb == "blobs:batchUpdate" {
        Access::Write
    } else {
        Access::Read
    };
    allow(app, &caller(request.extensions()), &namespace, access)?;
    if verb == "capabilities" && request.method() == Method::GET {
        return json(&capabilities());
    }
    if request.method() != Method::POST {
        return Err(Failure::MethodNotAllowed);
    }
    let body = small_body(app, request, MAX_BATCH).await?;
    let app = Arc::clone(app);
    let answer = acetate_stdx::blocking(move || match verb.as_str() {
        "blobs:findMissing" => find_missing(&app, &body),
        "blobs:batchRead" => batch_read(&app, &body),
        "blobs:batchUpdate" => batch_update(&app, &body),
        _ => Err(Failure::NotFound),
    });
    json(&answer.await?)
}

fn capabilities() -> Value {
    value!({
        "cacheCapabilities": {
            "digestFunctions": ["SHA256"],
            "actionCacheUpdateCapabilities": {"updateEnabled": true},
            "maxBatchTotalSizeBytes": MAX_TOTAL.to_string(),
        },
        "highApiVersion": {"major": 2, "minor": 3},
        "lowApiVersion": {"major": 2},
    })
}

#[derive(Deserialize, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Named {
    hash: String,
    #[serde(default)]
    size_bytes: Size,
}

/// JSON of protobuf writes 64-bit numbers as text, and reads both.
#[derive(Deserialize, Serialize, Clone)]
#[serde(untagged)]
enum Size {
    Text(String),
    Number(u64),
}

impl Default for Size {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Named {
    fn route(&self) -> Result<Route, Failure> {
        let hash = &self.hash;
        let key =
            Digest::from_hex(hash).map_err(|_| Failure::Bad(format!("`{hash}` is no digest")))?;
        Ok(Route {
            namespace: Namespace::root(),
            kind: Kind::Content,
            key,
        })
    }

    fn is_empty(&self) -> bool {
        matches!(&self.size_bytes, Size::Number(0))
            || matches!(&self.size_bytes, Size::Text(text) if text == "0")
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Bad(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FindMissing {
    blob_digests: Vec<Named>,
}

/// What is here counts as used from now on, so that it is still here when a record names it.
fn find_missing(app: &App, body: &[u8]) -> Result<Value, Failure> {
    let asked: FindMissing = read(body)?;
    let mut missing = Vec::new();
    for digest in asked.blob_digests {
        let route = digest.route()?;
        if app.disk.size_of(&route).is_some() {
            app.disk.touch(&route);
        } else if !digest.is_empty() {
            missing.push(digest);
        }
    }
    Ok(value!({"missingBlobDigests": missing}))
}

#[derive(Deserialize)]
struct BatchRead {
    digests: Vec<Named>,
}

fn batch_read(app: &App, body: &[u8]) -> Result<Value, Failure> {
    let asked: BatchRead = read(body)?;
    let mut room = MAX_TOTAL;
    let mut responses = Vec::new();
    for digest in asked.digests {
        let found = app.disk.open_object(&digest.route()?)?;
        let Some(mut found) = found else {
            app.metrics.content_misses.one();
            responses.push(value!({"digest": digest, "status": {"code": 5}}));
            continue;
        };
        let Some(left) = room.checked_sub(found.size) else {
            responses.push(value!({"digest": digest, "status": {"code": 8}}));
            continue;
        };
        room = left;
        app.metrics.content_hits.one();
        let mut bytes = Vec::new();
        let read = found.file.read_to_end(&mut bytes);
        read.map_err(|error| Failure::Bad(format!("the object cannot be read: {error}")))?;
        app.metrics.bytes_down.add(bytes.len() as u64);
        let data = STANDARD.encode(&bytes);
        responses.push(value!({"digest": digest, "data": data, "status": {"code": 0}}));
    }
    Ok(value!({"responses": responses}))
}

#[derive(Deserialize)]
struct BatchUpdate {
    requests: Vec<Update>,
}

#[derive(Deserialize)]
struct Update {
    digest: Named,
    #[serde(default)]
    data: String,
}

fn batch_update(app: &Arc<App>, body: &[u8]) -> Result<Value, Failure> {
    let asked: BatchUpdate = read(body)?;
    let mut responses = Vec::new();
    for update in asked.requests {
        let code = match store(app, &update) {
            Ok(()) => 0,
            Err(Failure::Storage(error)) if error.is_full() => 8,
            Err(Failure::Bad(_) | Failure::Storage(_)) => 3,
            Err(error) => return Err(error),
        };
        responses.push(value!({"digest": update.digest, "status": {"code": code}}));
    }
    Ok(value!({"responses": responses}))
}

fn store(app: &Arc<App>, update: &Update) -> Result<(), Failure> {
    let bytes = STANDARD.decode(&update.data);
    let bytes = bytes.map_err(|error| Failure::Bad(error.to_string()))?;
    let route = update.digest.route()?;
    app.metrics.bytes_up.add(bytes.len() as u64);
    let _room = app.disk.reserve(bytes.len() as u64)?;
    let mut upload = app.disk.upload()?;
    upload.write(&bytes)?;
    Ok(app.disk.publish(upload, &route, 0, &[])?)
}
