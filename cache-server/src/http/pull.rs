//! Records of the server above, which become records of this one.

use super::Failure;
use super::lease::AT_ONCE;
use super::object::find_key;
use super::write::{Wish, keep};
use crate::App;
use crate::auth::Caller;
use crate::upstream::Reach;
use acetate_oci::Digest;
use futures_util::{StreamExt, stream};

/// Gets what the server above has under these keys, in this namespace and those above it; true when
/// there was something. Without such a server, or when it does not answer, there is nothing.
///
/// # Errors
/// When what it gave cannot be kept here.
pub(super) async fn pull(app: &App, reach: &Reach, keys: &[Digest]) -> Result<bool, Failure> {
    let mut is_new = false;
    for found in app.storage.records_above(keys, reach).await {
        let kept = keep(app, &found.route, found.body, &Wish::New, reach).await;
        match kept {
            // Somebody else may have been faster.
            Ok(()) | Err(Failure::Exists) => is_new = true,
            // It names what is nowhere, or is no record.
            Err(Failure::Incomplete(_) | Failure::Bad(_)) => {}
            Err(Failure::Storage(error)) if error.is_full() => {
                tracing::debug!(%error, "a record of the upstream was not kept");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(is_new)
}

/// The same for those keys that there is nothing under here.
pub(super) async fn pull_absent(
    app: &App,
    reach: &Reach,
    caller: &Caller,
    keys: &[Digest],
) -> Result<(), Failure> {
    if !app.storage.goes_above(reach) {
        return Ok(());
    }
    // Futures are made before they are polled, so that none borrows from the closure.
    let all: Vec<_> = keys
        .iter()
        .map(|key| find_key(app, *key, caller, reach))
        .collect();
    let all = stream::iter(all).buffered(AT_ONCE);
    let mut all = all.zip(stream::iter(keys));
    let mut absent = Vec::new();
    while let Some((found, key)) = all.next().await {
        if found?.is_none() {
            absent.push(*key);
        }
    }
    pull(app, reach, &absent).await.map(drop)
}
