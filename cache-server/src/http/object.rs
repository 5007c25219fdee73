//! Reading and removing one object.

use super::answer::empty;
use super::guard::{allow, verdict};
use super::{Failure, read};
use crate::App;
use crate::auth::{Access, Verdict};
use crate::complete::Hit;
use crate::storage::Found;
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// A record of more bytes is none.
pub(super) const MAX_RECORD: u64 = 4 << 20;

/// The namespace that a record came from, which may be above the one that was asked.
const NAMESPACE: &str = "x-acetate-namespace";

pub(super) fn get(app: &Arc<App>, request: &Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    let headers = request.headers();
    allow(app, headers, &route.namespace, Access::Read)?;
    let response = match route.kind {
        Kind::Content => content(app, &route, request)?,
        Kind::Action => record(app, &route, request)?,
    };
    app.metrics.bytes_down.add(length(&response));
    Ok(response)
}

fn content(app: &Arc<App>, route: &Route, request: &Request) -> Result<Response, Failure> {
    let Some(found) = app.disk.open_object(route)? else {
        app.metrics.content_misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.content_hits.one();
    read::file(app, found, request)
}

fn record(app: &App, route: &Route, request: &Request) -> Result<Response, Failure> {
    let found = find(app, route, request.headers());
    let found = found.inspect_err(|_| app.metrics.errors.one())?;
    let Some(found) = found else {
        app.metrics.misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.hits.one();
    app.metrics.saved_ms.add(found.saved_ms);
    let mut response = read::bytes(found.body, request);
    if let Ok(value) = HeaderValue::from_str(found.namespace.as_str()) {
        response.headers_mut().insert(NAMESPACE, value);
    }
    Ok(response)
}

/// A record that may be served.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it was found.
    pub(super) namespace: Namespace,
    pub(super) body: Bytes,
    /// What it saves.
    pub(super) saved_ms: u64,
}

/// Looks for a record where it was asked for, and then in the namespaces above that may be read.
pub(super) fn find(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<Record>, Failure> {
    for namespace in route.namespace.lineage() {
        if verdict(app, headers, &namespace, Access::Read) != Verdict::Allowed {
            continue;
        }
        let level = Route {
            namespace,
            ..*route
        };
        if let Some(hit) = level_record(app, &level)? {
            return Ok(Some(Record {
                namespace: level.namespace,
                body: hit.body,
                saved_ms: hit.saved_ms,
            }));
        }
    }
    Ok(None)
}

/// The record of one namespace, when it is complete.
fn level_record(app: &App, route: &Route) -> Result<Option<Hit>, Failure> {
    let (namespace, key) = (&route.namespace, &route.key);
    let changes = app.disk.changes(key);
    if let Some(hit) = app.complete.get(namespace, key, changes) {
        app.disk.touch(route);
        return Ok(Some(hit));
    }
    let Some(found) = app.disk.open_object(route)? else {
        return Ok(None);
    };
    let hit = complete(app, route, &found)?;
    if let Some(hit) = &hit {
        app.complete.put(namespace, key, changes, hit.clone());
    } else {
        app.metrics.incomplete.one();
    }
    Ok(hit)
}

/// Reads a record; none when something that it names is not here.
fn complete(app: &App, route: &Route, found: &Found) -> Result<Option<Hit>, Failure> {
    if found.size > MAX_RECORD {
        return Ok(None);
    }
    let mut body = vec![0; usize::try_from(found.size).unwrap_or(0)];
    let read = found.file.read_exact_at(&mut body, 0);
    read.map_err(|error| Failure::Bad(format!("the record cannot be read: {error}")))?;
    let mut saved_ms = 0;
    if app.config.is_checked(&route.namespace) {
        let Some((saves, needs)) = app.disk.needs(&body) else {
            return Ok(None);
        };
        let is_here = |digest: &Digest| {
            let route = Route {
                namespace: Namespace::root(),
                kind: Kind::Content,
                key: *digest,
            };
            app.disk.size_of(&route).is_some()
        };
        if !needs.iter().all(is_here) {
            return Ok(None);
        }
        saved_ms = saves;
    }
    let body = Bytes::from(body);
    Ok(Some(Hit { body, saved_ms }))
}

pub(super) fn delete(app: &App, request: &Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    // Content belongs to all namespaces, so removing it needs the right to all.
    let namespace = match route.kind {
        Kind::Action => route.namespace.clone(),
        Kind::Content => Namespace::root(),
    };
    allow(app, request.headers(), &namespace, Access::Admin)?;
    if app.disk.remove(&route)? {
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
