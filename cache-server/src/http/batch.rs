//! Level 1: the HTTP bindings of the Remote Execution API, in JSON.

use super::Failure;
use super::answer::json;
use super::guard::{allow, caller};
use super::object::reach;
use super::small::{MAX_BATCH, small_body};
use crate::App;
use crate::auth::Access;
use crate::storage::StorageError;
use crate::upstream::Reach;
use acetate_cache_api::Namespace;
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::Semaphore;

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
    let reach = reach(&namespace, request.headers());
    let body = small_body(app, request, MAX_BATCH).await?;
    let app = Arc::clone(app);
    let answer = apart(async move {
        match verb.as_str() {
            "blobs:findMissing" => find_missing(&app, &body, &reach).await,
            "blobs:batchRead" => batch_read(&app, &body, &reach).await,
            "blobs:batchUpdate" => batch_update(&app, &body).await,
            _ => Err(Failure::NotFound),
        }
    });
    json(&answer.await?)
}

/// Fewer than there are threads that may block: what is done on them needs some of them itself.
static APART: Semaphore = Semaphore::const_new(64);

/// Works on many objects of a disk, for which the threads that answer have no time.
pub(super) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // Nobody closes it.
    let _place = APART.acquire().await;
    let runtime = tokio::runtime::Handle::current();
    acetate_stdx::blocking(move || runtime.block_on(work)).await
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
    fn digest(&self) -> Result<Digest, Failure> {
        let hash = &self.hash;
        Digest::from_hex(hash).map_err(|_| Failure::Bad(format!("`{hash}` is no digest")))
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
async fn find_missing(app: &App, body: &[u8], reach: &Reach) -> Result<Value, Failure> {
    let asked: FindMissing = read(body)?;
    let digests: Vec<Digest> = asked
        .blob_digests
        .iter()
        .filter(|named| !named.is_empty())
        .map(Named::digest)
        .collect::<Result<_, _>>()?;
    let missing = app.storage.missing(digests, reach).await?;
    let missing: HashSet<Digest> = missing.into_iter().collect();
    let mut lacking = asked.blob_digests;
    lacking.retain(|named| {
        let digest = named.digest();
        !named.is_empty() && digest.is_ok_and(|digest| missing.contains(&digest))
    });
    Ok(value!({"missingBlobDigests": lacking}))
}

#[derive(Deserialize)]
struct BatchRead {
    digests: Vec<Named>,
}

async fn batch_read(app: &App, body: &[u8], reach: &Reach) -> Result<Value, Failure> {
    let asked: BatchRead = read(body)?;
    let mut room = MAX_TOTAL;
    let mut responses = Vec::new();
    for digest in asked.digests {
        let found = app.storage.content(&digest.digest()?, reach).await?;
        let Some(found) = found else {
            app.metrics.content_misses.one();
            responses.push(value!({"digest": digest, "status": {"code": 5}}));
            continue;
        };
        let Some(left) = room.checked_sub(found.size()) else {
            responses.push(value!({"digest": digest, "status": {"code": 8}}));
            continue;
        };
        room = left;
        app.metrics.content_hits.one();
        let read = found.all().await;
        let bytes =
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

async fn batch_update(app: &Arc<App>, body: &[u8]) -> Result<Value, Failure> {
    let asked: BatchUpdate = read(body)?;
    let mut responses = Vec::new();
    for update in asked.requests {
        let code = match store(app, update.digest.clone(), &update.data).await {
            Ok(()) => 0,
            Err(Failure::Storage(error)) if error.is_full() => 8,
            Err(Failure::Storage(StorageError::Unavailable(_))) => 14,
            Err(Failure::Bad(_) | Failure::Storage(_)) => 3,
            Err(error) => return Err(error),
        };
        responses.push(value!({"digest": update.digest, "status": {"code": code}}));
    }
    Ok(value!({"responses": responses}))
}

async fn store(app: &Arc<App>, named: Named, data: &str) -> Result<(), Failure> {
    let bytes = STANDARD.decode(data);
    let bytes = bytes.map_err(|error| Failure::Bad(error.to_string()))?;
    let digest = named.digest()?;
    let size = bytes.len() as u64;
    app.metrics.bytes_up.add(size);
    let arrival = app.storage.arrival(&digest, size).await?;
    let arrival = arrival.append(&[bytes.into()])?;
    Ok(arrival.publish().await?)
}
