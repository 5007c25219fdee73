//! Reading and removing one object.

use super::answer::empty;
use super::guard::{allow, verdict};
use super::{Failure, read};
use crate::App;
use crate::auth::{Access, Verdict};
use crate::storage::Found;
use acetate_cache_api::{Kind, Namespace, Route};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

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

fn record(app: &Arc<App>, route: &Route, request: &Request) -> Result<Response, Failure> {
    let found = find(app, route, request.headers());
    let found = found.inspect_err(|_| app.metrics.errors.one())?;
    let Some((namespace, found)) = found else {
        app.metrics.misses.one();
        return Err(Failure::NotFound);
    };
    app.metrics.hits.one();
    let mut response = read::file(app, found, request)?;
    if let Ok(value) = HeaderValue::from_str(namespace.as_str()) {
        response.headers_mut().insert(NAMESPACE, value);
    }
    Ok(response)
}

/// Looks for a record where it was asked for, and then in the namespaces above that may be read.
pub(super) fn find(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<(Namespace, Found)>, Failure> {
    for namespace in route.namespace.lineage() {
        if verdict(app, headers, &namespace, Access::Read) != Verdict::Allowed {
            continue;
        }
        let level = Route {
            namespace,
            ..route.clone()
        };
        let Some(found) = app.disk.open_object(&level)? else {
            continue;
        };
        if !app.config.is_checked(&level.namespace) || is_complete(app, &level, &found)? {
            return Ok(Some((level.namespace, found)));
        }
        app.metrics.incomplete.one();
    }
    Ok(None)
}

/// True when all that a record names is here; what is here counts as used.
fn is_complete(app: &App, route: &Route, found: &Found) -> Result<bool, Failure> {
    let removals = app.disk.removals();
    if let Some(saved_ms) = app.complete.get(&route.namespace, &route.key, removals) {
        app.metrics.saved_ms.add(saved_ms);
        return Ok(true);
    }
    if found.size > MAX_RECORD {
        return Ok(false);
    }
    let mut body = vec![0; usize::try_from(found.size).unwrap_or(0)];
    let read = found.file.read_exact_at(&mut body, 0);
    read.map_err(|error| Failure::Bad(format!("the record cannot be read: {error}")))?;
    let Some((saved_ms, needs)) = app.disk.needs(&body) else {
        return Ok(false);
    };
    let complete = needs.iter().all(|digest| {
        let route = Route {
            namespace: Namespace::root(),
            kind: Kind::Content,
            key: *digest,
        };
        app.disk.size_of(&route).is_some()
    });
    if complete {
        app.metrics.saved_ms.add(saved_ms);
        let (namespace, key) = (&route.namespace, &route.key);
        app.complete.put(namespace, key, removals, saved_ms);
    }
    Ok(complete)
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
