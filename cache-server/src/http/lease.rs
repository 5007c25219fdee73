//! Level 2: leases, and many records at once.

use super::Failure;
use super::answer::{empty, json};
use super::batch::apart;
use super::guard::{allow, caller};
use super::object::{find, find_key, reach};
use super::pull::pull_absent;
use super::query::number;
use super::small::{MAX_BATCH, small_body};
use crate::App;
use crate::auth::{Access, Caller};
use crate::upstream::Reach;
use acetate_cache_api::lease::{Claim, Lease};
use acetate_cache_api::{Namespace, Route};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A claim is a name and a number.
const MAX_CLAIM: u64 = 64 << 10;
/// The longest that anybody waits in one request.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(30);

/// `POST` claims, `GET` waits, `PUT` and `DELETE` are for the holder.
pub(super) async fn leases(
    app: &Arc<App>,
    route: Route,
    lease: Option<&str>,
    request: Request,
) -> Result<Response, Failure> {
    let method = request.method().clone();
    let access = if method == Method::GET {
        Access::Read
    } else {
        Access::Write
    };
    allow(app, &caller(request.extensions()), &route.namespace, access)?;
    match (method, lease) {
        (Method::POST, None) => claim(app, &route, request).await,
        (Method::GET, None) => {
            let (parts, _) = request.into_parts();
            wait(app, &route, &parts).await
        }
        (Method::PUT, Some(lease)) => Ok(empty(if app.leases.beat(&route, lease) {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::GONE
        })),
        (Method::DELETE, Some(lease)) => Ok(empty(if app.leases.give_up(&route, lease) {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::GONE
        })),
        _ => Err(Failure::MethodNotAllowed),
    }
}

async fn claim(app: &Arc<App>, route: &Route, request: Request) -> Result<Response, Failure> {
    let caller = caller(request.extensions());
    let reach = reach(&route.namespace, request.headers());
    let body = small_body(app, request, MAX_CLAIM).await?;
    let claim: Claim = if body.is_empty() {
        Claim::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Failure::Bad(error.to_string()))?
    };
    if find(app, route, &caller, &reach).await?.is_some() {
        return json(&Lease::Done);
    }
    let lease = app.leases.claim(route, claim);
    match lease {
        Lease::Granted { .. } => app.metrics.leases_granted.one(),
        _ => app.metrics.leases_held.one(),
    }
    json(&lease)
}

async fn wait(app: &Arc<App>, route: &Route, request: &Parts) -> Result<Response, Failure> {
    let wait = number(&request.uri, "wait");
    let patience = Duration::from_secs(wait.unwrap_or(0)).min(MAX_WAIT);
    let caller = caller(&request.extensions);
    let reach = reach(&route.namespace, &request.headers);
    if find(app, route, &caller, &reach).await?.is_some() {
        return json(&Lease::Done);
    }
    let state = app.leases.wait(route, patience).await;
    if find(app, route, &caller, &reach).await?.is_some() {
        return json(&Lease::Done);
    }
    json(&state)
}

#[derive(Deserialize)]
struct BatchGet {
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Records {
    records: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    key: String,
    namespace: String,
    body: String,
}

/// More keys than any graph has steps.
const MAX_KEYS: usize = 20_000;
/// The bytes of all bodies of one answer; what is left out is asked for again.
const MAX_BODIES: u64 = 4 << 20;
/// Records that are looked for at a time.
pub(super) const AT_ONCE: usize = 32;

/// Answers for all keys that there is a record of; the others are misses.
pub(super) async fn batch_get(
    app: &Arc<App>,
    namespace: Namespace,
    request: Request,
) -> Result<Response, Failure> {
    let caller = caller(request.extensions());
    let reach = reach(&namespace, request.headers());
    let body = small_body(app, request, MAX_BATCH).await?;
    let asked: BatchGet =
        serde_json::from_slice(&body).map_err(|error| Failure::Bad(error.to_string()))?;
    if asked.keys.len() > MAX_KEYS {
        return Err(Failure::Bad(format!("more than {MAX_KEYS} keys")));
    }
    let app = Arc::clone(app);
    let found = apart(async move { records(&app, &reach, &caller, &asked.keys).await });
    json(&found.await?)
}

async fn records(
    app: &App,
    reach: &Reach,
    caller: &Caller,
    keys: &[String],
) -> Result<Records, Failure> {
    let digests = keys
        .iter()
        .map(|key| Digest::from_hex(key).map_err(|_| Failure::Bad(format!("`{key}` is no key"))));
    let digests: Vec<Digest> = digests.collect::<Result<_, _>>()?;
    pull_absent(app, reach, caller, &digests).await?;
    let mut records = Vec::new();
    let mut room = MAX_BODIES;
    // Futures are made before they are polled, so that none borrows from the closure.
    let all: Vec<_> = digests
        .iter()
        .map(|key| find_key(app, *key, caller, reach))
        .collect();
    let all = stream::iter(all).buffered(AT_ONCE);
    let mut all = all.zip(stream::iter(keys));
    while let Some((found, key)) = all.next().await {
        let Some(found) = found? else {
            app.metrics.misses.one();
            continue;
        };
        let Some(left) = room.checked_sub(found.body.len() as u64) else {
            break;
        };
        room = left;
        app.metrics.hits.one();
        app.metrics.saved_ms.add(found.saved_ms);
        records.push(Record {
            key: key.clone(),
            namespace: found.namespace.to_string(),
            body: STANDARD.encode(&found.body),
        });
    }
    Ok(Records { records })
}
