//! Reading and removing one object.

use super::answer::empty;
use super::guard::{allow, caller};
use super::pull::pull;
use super::{Failure, read};
use crate::App;
use crate::auth::{Access, Caller, Verdict};
use crate::complete::Hit;
use crate::storage::Stored;
use crate::upstream::{HOPS, Reach};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// A record of more bytes is none.
pub(super) const MAX_RECORD: u64 = 4 << 20;

/// The namespace that a record came from, which may be above the one that was asked.
const NAMESPACE: &str = "x-acetate-namespace";

pub(super) async fn get(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let route = Route::parse(request.uri.path())?;
    let caller = caller(&request.extensions);
    allow(app, &caller, &route.namespace, Access::Read)?;
    let response = match route.kind {
        Kind::Content => content(app, &route, request).await?,
        Kind::Action => record(app, &route, &caller, request).await?,
    };
    app.metrics.bytes_down.add(length(&response));
    Ok(response)
}

async fn content(app: &App, route: &Route, request: &Parts) -> Result<Response, Failure> {
    let reach = reach(&route.namespace, &request.headers);
    let answer = if request.method == Method::HEAD {
        app.storage.touch(route);
        let size = app.storage.size_of(&route.key, &reach).await?;
        size.map(|size| read::size(size, request))
    } else {
        let found = app.storage.content(&route.key, &reach).await?;
        found.map(|found| read::content(app, found, request))
    };
    let Some(answer) = answer else {
        app.metrics.content_misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.content_hits.one();
    answer
}

async fn record(
    app: &Arc<App>,
    route: &Route,
    caller: &Caller,
    request: &Parts,
) -> Result<Response, Failure> {
    let found = find(
        app,
        route,
        caller,
        &reach(&route.namespace, &request.headers),
    )
    .await;
    let found = found.inspect_err(|_| app.metrics.errors.one())?;
    let Some(found) = found else {
        app.metrics.misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.hits.one();
    app.metrics.saved_ms.add(found.saved_ms);
    let mut response = read::bytes(found.body, request);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(found.namespace.as_str()) {
        headers.insert(NAMESPACE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", found.tag.hex())) {
        headers.insert(header::ETAG, value);
    }
    Ok(response)
}

/// A record that may be served.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it was found.
    pub(super) namespace: Namespace,
    pub(super) body: Bytes,
    /// What its bytes are, by which it can be replaced.
    pub(super) tag: Digest,
    /// What it saves.
    pub(super) saved_ms: u64,
}

/// Looks for a record where it was asked for, and then in the namespaces above that may be read;
/// when it is nowhere here, the server above is asked.
pub(super) async fn find(
    app: &App,
    route: &Route,
    caller: &Caller,
    reach: &Reach,
) -> Result<Option<Record>, Failure> {
    if let Some(found) = find_here(app, route, caller, reach).await? {
        return Ok(Some(found));
    }
    if pull(app, reach, std::slice::from_ref(&route.key)).await? {
        find_here(app, route, caller, reach).await
    } else {
        Ok(None)
    }
}

/// The same, and nobody else is asked for records.
async fn find_here(
    app: &App,
    route: &Route,
    caller: &Caller,
    reach: &Reach,
) -> Result<Option<Record>, Failure> {
    for namespace in route.namespace.lineage() {
        if caller.decide(&namespace, Access::Read) != Verdict::Allowed {
            continue;
        }
        let level = Route {
            namespace,
            ..*route
        };
        let reach = reach.at(&level.namespace);
        if let Some(found) = level_record(app, &level, &reach).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same for a key of the namespace that was asked for.
pub(super) async fn find_key(
    app: &App,
    key: Digest,
    caller: &Caller,
    reach: &Reach,
) -> Result<Option<Record>, Failure> {
    let route = Route {
        namespace: reach.namespace.clone(),
        kind: Kind::Action,
        key,
    };
    find_here(app, &route, caller, reach).await
}

/// The record of one namespace, when it is complete.
pub(super) async fn level_record(
    app: &App,
    route: &Route,
    reach: &Reach,
) -> Result<Option<Record>, Failure> {
    let (namespace, key) = (&route.namespace, &route.key);
    let found = |body, tag, saved_ms| {
        let namespace = namespace.clone();
        Record {
            namespace,
            body,
            tag,
            saved_ms,
        }
    };
    let changes = app.storage.changes(key);
    let known = app.complete.get(namespace, key, changes);
    if let Some(Hit {
        body: Some(body),
        tag,
        saved_ms,
    }) = known
    {
        app.storage.touch(route);
        return Ok(Some(found(body, tag, saved_ms)));
    }
    let Some(Stored { body, .. }) = app.storage.record(route, MAX_RECORD).await? else {
        return Ok(None);
    };
    let saved_ms = match known {
        Some(hit) => Some(hit.saved_ms),
        None => complete(app, route, &body, reach).await?,
    };
    let Some(saved_ms) = saved_ms else {
        app.metrics.incomplete.one();
        return Ok(None);
    };
    let tag = app.complete.put(namespace, key, changes, &body, saved_ms);
    Ok(Some(found(body, tag, saved_ms)))
}

/// What a record saves; none when something that it names is nowhere.
pub(super) async fn complete(
    app: &App,
    route: &Route,
    body: &[u8],
    reach: &Reach,
) -> Result<Option<u64>, Failure> {
    if !app.config.is_checked(&route.namespace) {
        return Ok(Some(0));
    }
    let Some((saved_ms, needs)) = app.storage.needs(body, reach).await? else {
        return Ok(None);
    };
    let missing = app.storage.missing(needs, reach).await?;
    Ok(missing.is_empty().then_some(saved_ms))
}

/// Who else may be asked for a request about a namespace.
pub(super) fn reach(namespace: &Namespace, headers: &HeaderMap) -> Reach {
    let hops = headers.get(HOPS);
    // What is no text was sent by nobody who counts.
    let hops = hops.map(|value| value.to_str().unwrap_or("?"));
    Reach::new(namespace, hops)
}

pub(super) async fn delete(app: &App, request: &Parts) -> Result<Response, Failure> {
    let route = Route::parse(request.uri.path())?;
    // Content belongs to all namespaces, so removing it needs the right to all.
    let namespace = match route.kind {
        Kind::Action => route.namespace.clone(),
        Kind::Content => Namespace::root(),
    };
    allow(app, &caller(&request.extensions), &namespace, Access::Admin)?;
    if app.storage.remove(&route).await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(Failure::NotFound)
    }
}

fn length(response: &Response) -> u64 {
    let header = response.headers().get(axum::http::header::CONTENT_LENGTH);
    let text = header.and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
