use super::Failure;
use crate::Limits;
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use std::time::Instant;
use tokio_util::bytes::Bytes;

/// A body of a known length, which must not stand still.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: BodyDataStream,
    left: u64,
    received: u64,
    since: Instant,
    limits: Limits,
}

impl Incoming {
    pub(super) fn new(body: Body, size: u64, limits: Limits) -> Self {
        Self {
            stream: body.into_data_stream(),
            left: size,
            received: 0,
            since: Instant::now(),
            limits,
        }
    }

    /// The next bytes; none at the end, which must not come early.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let next = tokio::time::timeout(self.limits.silence, self.stream.next()).await;
        match next {
            Err(_) | Ok(Some(Err(_))) => Err(Failure::Timeout),
            Ok(None) if self.left > 0 => Err(Failure::Timeout),
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => {
                let len = bytes.len() as u64;
                self.left = self
                    .left
                    .checked_sub(len)
                    .ok_or(Failure::TooLarge(self.left))?;
                self.received += len;
                self.keeps_pace()?;
                Ok(Some(bytes))
            }
        }
    }

    /// At least so many bytes, unless the body ends before; none when there are no more.
    pub(super) async fn part(&mut self, least: usize) -> Result<Option<Vec<Bytes>>, Failure> {
        let (mut part, mut len) = (Vec::new(), 0);
        while len < least {
            let Some(bytes) = self.next().await? else {
                break;
            };
            len += bytes.len();
            part.push(bytes);
        }
        Ok((!part.is_empty()).then_some(part))
    }

    fn keeps_pace(&self) -> Result<(), Failure> {
        let passed = self.since.elapsed();
        let is_slow = passed > self.limits.silence && self.received < self.limits.due(passed);
        if is_slow && self.left > 0 {
            Err(Failure::Timeout)
        } else {
            Ok(())
        }
    }
}
