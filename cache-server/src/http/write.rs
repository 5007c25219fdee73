//! Writing one object.

use super::Failure;
use super::answer::empty;
use super::guard::{allow, caller};
use super::incoming::Incoming;
use super::object::{MAX_RECORD, find};
use crate::App;
use crate::auth::{Access, Caller};
use crate::storage::{StorageError, Upload, fail_point};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use tokio_util::bytes::Bytes;

pub(super) async fn put(app: &Arc<App>, request: Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    let (parts, body) = request.into_parts();
    let caller = caller(&parts.extensions);
    allow(app, &caller, &route.namespace, Access::Write)?;
    let size = length(&body)?;
    let claimed = app.uploads.claim(caller.name(), size, &app.config.limits);
    let claimed = claimed.ok_or(Failure::TooMany)?;
    app.metrics.bytes_up.add(size);
    if route.kind == Kind::Content && app.disk.size_of(&route) == Some(size) {
        // It is here and needs no room. The bytes are taken and dropped, which is cheaper than a new
        // connection.
        app.disk.touch(&route);
        drain(app, body, size).await?;
        return Ok(empty(StatusCode::OK));
    }
    let room = app
        .disk
        .reserve(size)
        .inspect_err(|_| app.metrics.full.one())?;
    let done = match route.kind {
        Kind::Content => content(app, &route, size, body).await,
        Kind::Action => record(app, &route, size, &caller, &parts.headers, body).await,
    };
    drop((room, claimed));
    if let Err(Failure::Storage(error)) = &done
        && error.is_full()
    {
        app.metrics.full.one();
    }
    done
}

/// How long a body is, as its head says; a request without one has an empty body.
pub(super) fn length(body: &Body) -> Result<u64, Failure> {
    body.size_hint().exact().ok_or(Failure::LengthRequired)
}

async fn content(
    app: &Arc<App>,
    route: &Route,
    size: u64,
    body: Body,
) -> Result<Response, Failure> {
    let upload = receive(app, size, body).await?;
    publish(app, upload, route.clone(), 0, Vec::new()).await?;
    Ok(empty(StatusCode::CREATED))
}

async fn record(
    app: &Arc<App>,
    route: &Route,
    size: u64,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if size > MAX_RECORD {
        return Err(Failure::TooLarge(MAX_RECORD));
    }
    let bytes = collect(app, body, size).await?;
    let (saved_ms, refs) = check(app, route, &bytes)?;
    if let Some(there) = there(app, route, caller)? {
        if there != bytes {
            app.metrics.conflicts.one();
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            return Err(Failure::Exists);
        }
    }
    fail_point("before-record");
    let disk = Arc::clone(&app.disk);
    let upload = acetate_stdx::blocking(move || {
        let mut upload = disk.upload()?;
        upload.write(&bytes)?;
        Ok::<Upload, StorageError>(upload)
    });
    let upload = upload.await?;
    publish(app, upload, route.clone(), saved_ms, refs).await?;
    app.leases.done(route);
    Ok(empty(StatusCode::OK))
}

/// What a record saves and names. In a namespace whose records are checked, all of it must be here.
pub(super) fn check(app: &App, route: &Route, bytes: &[u8]) -> Result<(u64, Vec<Digest>), Failure> {
    if !app.config.is_checked(&route.namespace) {
        return Ok((0, Vec::new()));
    }
    let is_here = |digest: &Digest| {
        let route = Route {
            namespace: Namespace::root(),
            kind: Kind::Content,
            key: *digest,
        };
        app.disk.size_of(&route).is_some()
    };
    // A tree that is not here is a missing object like any other.
    let direct = crate::record::needs(bytes, |_| Some(Vec::new())).ok_or_else(|| {
        let namespace = &route.namespace;
        Failure::Bad(format!(
            "the body is no ActionResult; if records of `{namespace}` are no results of actions, \
             start the server with `--opaque {namespace}`"
        ))
    })?;
    let (saved_ms, needs) = app.disk.needs(bytes).unwrap_or(direct);
    let missing: Vec<String> = needs
        .iter()
        .filter(|digest| !is_here(digest))
        .map(Digest::hex)
        .collect();
    if missing.is_empty() {
        Ok((saved_ms, needs))
    } else {
        Err(Failure::Incomplete(missing))
    }
}

/// The record that is there already, when it is complete.
fn there(app: &App, route: &Route, caller: &Caller) -> Result<Option<Bytes>, Failure> {
    let found = find(app, route, caller)?;
    let own = found.filter(|found| found.namespace == route.namespace);
    Ok(own.map(|found| found.body))
}

async fn publish(
    app: &Arc<App>,
    upload: Upload,
    route: Route,
    saved_ms: u64,
    refs: Vec<Digest>,
) -> Result<(), Failure> {
    let disk = Arc::clone(&app.disk);
    let published =
        acetate_stdx::blocking(move || disk.publish(upload, &route, saved_ms, &refs)).await;
    Ok(published?)
}

/// Writes a body to a file: while one part is written and hashed, the next one arrives.
async fn receive(app: &Arc<App>, size: u64, body: Body) -> Result<Upload, Failure> {
    let mut incoming = Incoming::new(body, size, app.config.limits);
    let share = app.up.enter();
    let disk = Arc::clone(&app.disk);
    let mut begun = None;
    let mut part = incoming.part(share.piece()).await?.unwrap_or_default();
    loop {
        let disk = Arc::clone(&disk);
        let write = acetate_stdx::blocking(move || {
            let upload = begun.map_or_else(|| disk.upload(), Ok)?;
            append(upload, part)
        });
        let (written, next) = tokio::join!(write, incoming.part(share.piece()));
        let upload = written?;
        match next? {
            None => return Ok(upload),
            Some(next) => (begun, part) = (Some(upload), next),
        }
    }
}

fn append(mut upload: Upload, part: Vec<Bytes>) -> Result<Upload, StorageError> {
    for bytes in part {
        upload.write(&bytes)?;
    }
    Ok(upload)
}

/// Reads a body into memory.
pub(super) async fn collect(app: &App, body: Body, size: u64) -> Result<Vec<u8>, Failure> {
    let mut incoming = Incoming::new(body, size, app.config.limits);
    let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while let Some(bytes) = incoming.next().await? {
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

async fn drain(app: &App, body: Body, size: u64) -> Result<(), Failure> {
    let mut incoming = Incoming::new(body, size, app.config.limits);
    while incoming.next().await?.is_some() {}
    Ok(())
}
