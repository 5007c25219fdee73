//! Writing one object.

use super::Failure;
use super::answer::empty;
use super::guard::{allow, caller};
use super::incoming::Incoming;
use super::object::{MAX_RECORD, complete, reach};
use super::pull::pull;
use crate::App;
use crate::auth::Access;
use crate::storage::{Arrival, Condition, Put, StorageError, Stored, fail_point};
use crate::upstream::{Names, OnlyNew, Reach};
use acetate_cache_api::{Kind, Route};
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
    let done = match route.kind {
        Kind::Content if app.storage.is_known(&route.key, size) => {
            // It is here and needs no room. The bytes are taken and dropped, which is cheaper than a
            // new connection.
            app.storage.touch(&route);
            drain(app, body, size).await?;
            return Ok(empty(StatusCode::OK));
        }
        Kind::Content => content(app, &route, size, body).await,
        Kind::Action => record(app, &route, size, &parts.headers, body).await,
    };
    drop(claimed);
    if let Err(Failure::Storage(error)) = &done {
        count(app, error);
    }
    done
}

fn count(app: &App, error: &StorageError) {
    if error.is_full() {
        app.metrics.full.one();
    }
    if matches!(error, StorageError::WrongContent { .. }) {
        app.metrics.wrong_content.one();
    }
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
    // Room is set aside before any of it is sent.
    let arrival = app.storage.arrival(&route.key, size).await?;
    receive(app, arrival, size, body).await?.publish().await?;
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
    let bytes = collect(app, body, size).await?;
    let (wish, reach) = (Wish::of(headers)?, reach(&route.namespace, headers));
    if wish == Wish::New {
        // The first result counts, also when it is known above only.
        pull(app, &reach, std::slice::from_ref(&route.key)).await?;
    }
    keep(app, route, bytes.into(), &wish, &reach).await?;
    app.leases.done(route);
    let only_new = match wish {
        Wish::New => OnlyNew::Yes,
        Wish::Any | Wish::There | Wish::Instead(_) => OnlyNew::No,
    };
    let names = if app.config.is_checked(&route.namespace) {
        Names::Content
    } else {
        Names::Nothing
    };
    app.storage.tell(route, only_new, names, &reach);
    Ok(empty(StatusCode::OK))
}

/// What a client says about the record that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing: the last writer wins.
    Any,
    /// `If-None-Match: *`: there must be no complete one.
    New,
    /// `If-Match: *`: there must be one.
    There,
    /// `If-Match: "DIGEST"`: there must be the one that has this digest.
    Instead(Digest),
}

impl Wish {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        if headers.contains_key(header::IF_NONE_MATCH) {
            return Ok(Self::New);
        }
        let Some(header) = headers.get(header::IF_MATCH) else {
            return Ok(Self::Any);
        };
        let tag = header.to_str().unwrap_or("").trim();
        if tag == "*" {
            return Ok(Self::There);
        }
        let digest = Digest::from_hex(tag.trim_matches('"'));
        digest.map(Self::Instead).map_err(|_| {
            Failure::Bad("`If-Match` takes `*` or the SHA-256 of a record in quotes".to_owned())
        })
    }

    /// True when it allows to write where this is.
    fn allows(&self, there: Option<&Stored>, is_complete: bool) -> bool {
        match self {
            Self::Any => true,
            Self::New => !is_complete,
            Self::There => there.is_some(),
            Self::Instead(digest) => there.is_some_and(|there| Digest::of(&there.body) == *digest),
        }
    }

    /// What must still hold when it is written.
    fn condition(&self, there: Option<Stored>) -> Condition {
        match (self, there) {
            (Self::Any, _) => Condition::Any,
            (_, None) => Condition::Absent,
            (_, Some(there)) => Condition::Replaces(there),
        }
    }
}

/// Others may write between a look and a write, but not for ever.
const TRIES: u32 = 10;

/// Writes a record whose content is all here, as far as the wish allows it.
///
/// # Errors
/// [`Failure::Exists`] when it does not, [`Failure::Incomplete`] when content is missing.
pub(super) async fn keep(
    app: &App,
    route: &Route,
    bytes: Bytes,
    wish: &Wish,
    reach: &Reach,
) -> Result<(), Failure> {
    let (saved_ms, refs) = check(app, route, &bytes, reach).await?;
    for _ in 0..TRIES {
        let there = app.storage.record(route, MAX_RECORD).await?;
        // An incomplete one is served to nobody, so that it is no reason to keep it.
        let is_complete = match &there {
            None => false,
            Some(there) => complete(app, route, &there.body, reach).await?.is_some(),
        };
        let differs = is_complete && there.as_ref().is_some_and(|there| there.body != bytes);
        if !wish.allows(there.as_ref(), is_complete) {
            count_conflict(app, differs);
            return Err(Failure::Exists);
        }
        fail_point("before-record");
        let (condition, known) = (wish.condition(there), (saved_ms, refs.as_slice()));
        let put = app
            .storage
            .put_record(route, bytes.clone(), known, condition);
        if put.await? == Put::Written {
            count_conflict(app, differs);
            return Ok(());
        }
    }
    Err(Failure::Exists)
}

fn count_conflict(app: &App, differs: bool) {
    if differs {
        app.metrics.conflicts.one();
    }
}

/// What a record saves and names. In a namespace whose records are checked, all of it must be here.
async fn check(
    app: &App,
    route: &Route,
    bytes: &[u8],
    reach: &Reach,
) -> Result<(u64, Vec<Digest>), Failure> {
    if !app.config.is_checked(&route.namespace) {
        return Ok((0, Vec::new()));
    }
    // A tree that is not here is a missing object like any other.
    let direct = crate::record::needs(bytes, |_| Some(Vec::new())).ok_or_else(|| {
        let namespace = &route.namespace;
        Failure::Bad(format!(
            "the body is no ActionResult; if records of `{namespace}` are no results of actions, \
             start the server with `--opaque {namespace}`"
        ))
    })?;
    let needs = app.storage.needs(bytes, reach).await?;
    let (saved_ms, needs) = needs.unwrap_or(direct);
    let missing = app.storage.missing(needs.clone(), reach).await?;
    if missing.is_empty() {
        Ok((saved_ms, needs))
    } else {
        Err(Failure::Incomplete(
            missing.iter().map(Digest::hex).collect(),
        ))
    }
}

/// Takes a body: while one part is written and hashed, the next one arrives.
async fn receive(
    app: &Arc<App>,
    mut arrival: Arrival,
    size: u64,
    body: Body,
) -> Result<Arrival, Failure> {
    let mut incoming = Incoming::new(body, size, app.config.limits);
    let share = app.up.enter();
    let mut part = incoming.part(share.piece()).await?;
    while let Some(bytes) = part {
        let write = async {
            let written = acetate_stdx::blocking(move || arrival.append(&bytes));
            let mut arrival = written.await?;
            arrival.forward().await?;
            Ok::<_, Failure>(arrival)
        };
        let (written, next) = tokio::join!(write, incoming.part(share.piece()));
        arrival = written?;
        part = next?;
    }
    Ok(arrival)
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
