//! Reading and removing one object.

use super::answer::empty;
use super::guard::{allow, caller};
use super::{Failure, read};
use crate::App;
use crate::auth::{Access, Caller, Verdict};
use crate::complete::Hit;
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

/// A record of more bytes is none.
pub(super) const MAX_RECORD: u64 = 4 << 20;

/// The namespace that a record came from, which may be above the one that was asked.
const NAMESPACE: &str = "x-acetate-namespace";

pub(super) fn get(app: &Arc<App>, request: &Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    let caller = caller(request.extensions());
    allow(app, &caller, &route.namespace, Access::Read)?;
    let response = match route.kind {
        Kind::Content => content(app, &route, request)?,
        Kind::Action => record(app, &route, &caller, request)?,
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

fn record(
    app: &App,
    route: &Route,
    caller: &Caller,
    request: &Request,
) -> Result<Response, Failure> {
    let found = find(app, route, caller);
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
pub(super) fn find(app: &App, route: &Route, caller: &Caller) -> Result<Option<Record>, Failure> {
    for namespace in route.namespace.lineage() {
        if caller.decide(&namespace, Access::Read) != Verdict::Allowed {
            continue;
        }
        let level = Route {
            namespace,
            ..*route
        };
        if let Some((body, saved_ms)) = level_record(app, &level)? {
            let namespace = level.namespace;
            return Ok(Some(Record {
                namespace,
                body,
                saved_ms,
            }));
        }
    }
    Ok(None)
}

/// The record of one namespace and what it saves, when it is complete.
fn level_record(app: &App, route: &Route) -> Result<Option<(Bytes, u64)>, Failure> {
    let (namespace, key) = (&route.namespace, &route.key);
    let changes = app.disk.changes(key);
    let known = app.complete.get(namespace, key, changes);
    if let Some(Hit {
        body: Some(body),
        saved_ms,
    }) = known
    {
        app.disk.touch(route);
        return Ok(Some((body, saved_ms)));
    }
    let Some(body) = app.disk.read_record(route, MAX_RECORD)? else {
        return Ok(None);
    };
    let body = Bytes::from(body);
    let Some(saved_ms) = known
        .map(|hit| hit.saved_ms)
        .or_else(|| complete(app, route, &body))
    else {
        app.metrics.incomplete.one();
        return Ok(None);
    };
    app.complete.put(namespace, key, changes, &body, saved_ms);
    Ok(Some((body, saved_ms)))
}

/// What a record saves; none when something that it names is not here.
fn complete(app: &App, route: &Route, body: &[u8]) -> Option<u64> {
    if !app.config.is_checked(&route.namespace) {
        return Some(0);
    }
    let (saved_ms, needs) = app.disk.needs(body)?;
    let is_here = |digest: &Digest| {
        let route = Route {
            namespace: Namespace::root(),
            kind: Kind::Content,
            key: *digest,
        };
        app.disk.size_of(&route).is_some()
    };
    needs.iter().all(is_here).then_some(saved_ms)
}

pub(super) fn delete(app: &App, request: &Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    // Content belongs to all namespaces, so removing it needs the right to all.
    let namespace = match route.kind {
        Kind::Action => route.namespace.clone(),
        Kind::Content => Namespace::root(),
    };
    allow(
        app,
        &caller(request.extensions()),
        &namespace,
        Access::Admin,
    )?;
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
