//! Writing one object.

use super::Failure;
use super::answer::empty;
use super::guard::allow;
use super::object::{MAX_RECORD, find};
use crate::App;
use crate::auth::Access;
use crate::storage::{Disk, StorageError, Upload};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::bytes::Bytes;

/// A body that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// Pieces that wait to be written: the memory of an upload is bounded by these.
const QUEUE: usize = 8;

pub(super) async fn put(app: &Arc<App>, path: &str, request: Request) -> Result<Response, Failure> {
    let route = Route::parse(path)?;
    let (parts, body) = request.into_parts();
    allow(app, &parts.headers, &route.namespace, Access::Write)?;
    let size = length(&body)?;
    app.metrics.bytes_up.add(size);
    let room = app
        .disk
        .reserve(size)
        .inspect_err(|_| app.metrics.full.one())?;
    let done = match route.kind {
        Kind::Content => content(app, &route, size, body).await,
        Kind::Action => record(app, &route, size, &parts.headers, body).await,
    };
    drop(room);
    if let Err(Failure::Storage(error)) = &done
        && error.is_full()
    {
        app.metrics.full.one();
    }
    done
}

/// How long a body is, as its head says; a request without one has an empty body.
fn length(body: &Body) -> Result<u64, Failure> {
    body.size_hint().exact().ok_or(Failure::LengthRequired)
}

async fn content(
    app: &Arc<App>,
    route: &Route,
    size: u64,
    body: Body,
) -> Result<Response, Failure> {
    if app.disk.size_of(route) == Some(size) {
        // It is here: the bytes are taken and dropped, which is cheaper than a new connection.
        app.disk.touch(route);
        drain(body, size).await?;
        return Ok(empty(StatusCode::OK));
    }
    let upload = receive(&app.disk, size, body).await?;
    publish(app, upload, route.clone(), 0, Vec::new()).await?;
    Ok(empty(StatusCode::CREATED))
}

async fn record(
    app: &Arc<App>,
    route: &Route,
    size: u64,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if size > MAX_RECORD {
        return Err(Failure::TooLarge(MAX_RECORD));
    }
    let bytes = collect(body, size).await?;
    let (saved_ms, refs) = check(app, route, &bytes)?;
    if let Some(there) = there(app, route, headers)? {
        if there != bytes {
            app.metrics.conflicts.one();
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            return Err(Failure::Exists);
        }
    }
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
fn there(app: &App, route: &Route, headers: &HeaderMap) -> Result<Option<Vec<u8>>, Failure> {
    let found = find(app, route, headers)?;
    let Some((_, found)) = found.filter(|(namespace, _)| *namespace == route.namespace) else {
        return Ok(None);
    };
    let mut bytes = vec![0; usize::try_from(found.size).unwrap_or(0)];
    let read = found.file.read_exact_at(&mut bytes, 0);
    read.map_err(|error| Failure::Bad(format!("the record cannot be read: {error}")))?;
    Ok(Some(bytes))
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

/// Writes a body to a file on a thread that may wait, while the next pieces arrive.
async fn receive(disk: &Arc<Disk>, size: u64, body: Body) -> Result<Upload, Failure> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(QUEUE);
    let disk = Arc::clone(disk);
    let write = acetate_stdx::blocking(move || {
        let mut upload = disk.upload()?;
        while let Some(bytes) = receiver.blocking_recv() {
            upload.write(&bytes)?;
        }
        Ok::<Upload, StorageError>(upload)
    });
    let send = async move {
        let mut stream = body.into_data_stream();
        let mut left = size;
        while let Some(bytes) = next(&mut stream, &mut left).await? {
            if sender.send(bytes).await.is_err() {
                // The writer failed, and says why.
                break;
            }
        }
        Ok::<(), Failure>(())
    };
    let (upload, sent) = tokio::join!(write, send);
    let upload = upload?;
    sent?;
    if upload.size() == size {
        Ok(upload)
    } else {
        Err(Failure::Timeout)
    }
}

async fn collect(body: Body, size: u64) -> Result<Vec<u8>, Failure> {
    let mut stream = body.into_data_stream();
    let mut left = size;
    let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while let Some(bytes) = next(&mut stream, &mut left).await? {
        out.extend_from_slice(&bytes);
    }
    if left == 0 {
        Ok(out)
    } else {
        Err(Failure::Timeout)
    }
}

async fn drain(body: Body, size: u64) -> Result<(), Failure> {
    let mut stream = body.into_data_stream();
    let mut left = size;
    while next(&mut stream, &mut left).await?.is_some() {}
    Ok(())
}

/// The next piece of a body of at most `left` more bytes.
async fn next(stream: &mut BodyDataStream, left: &mut u64) -> Result<Option<Bytes>, Failure> {
    match tokio::time::timeout(SILENCE, stream.next()).await {
        Err(_) | Ok(Some(Err(_))) => Err(Failure::Timeout),
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => {
            *left = left
                .checked_sub(bytes.len() as u64)
                .ok_or(Failure::TooLarge(*left))?;
            Ok(Some(bytes))
        }
    }
}

/// The whole body of a request that asks for many things.
pub(super) async fn small_body(request: Request) -> Result<Vec<u8>, Failure> {
    let size = length(request.body())?;
    if size > MAX_BATCH {
        return Err(Failure::TooLarge(MAX_BATCH));
    }
    collect(request.into_body(), size).await
}

/// Many small objects in one body, in their base64 form.
const MAX_BATCH: u64 = 8 << 20;
