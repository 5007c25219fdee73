use super::Failure;
use super::guard::caller;
use super::write::{collect, length};
use crate::App;
use crate::uploads::Claimed;
use axum::extract::Request;
use std::ops::Deref;

/// Many small objects in one body, in their base64 form.
pub(super) const MAX_BATCH: u64 = 8 << 20;

/// A body that was read whole. It counts for whoever sent it as long as it is in memory.
#[derive(Debug)]
pub(super) struct SmallBody {
    bytes: Vec<u8>,
    _claimed: Claimed,
}

impl Deref for SmallBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body of a request, of at most so many bytes.
pub(super) async fn small_body(
    app: &App,
    request: Request,
    most: u64,
) -> Result<SmallBody, Failure> {
    let size = length(request.body())?;
    if size > most {
        return Err(Failure::TooLarge(most));
    }
    let caller = caller(request.extensions());
    let claimed = app
        .bodies
        .claim(caller.name(), size, &app.config.limits.bodies());
    let claimed = claimed.ok_or(Failure::TooMany)?;
    Ok(SmallBody {
        bytes: collect(app, request.into_body(), size).await?,
        _claimed: claimed,
    })
}
