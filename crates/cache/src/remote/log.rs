//! What a step says while it runs: told by who makes it, read by those who wait for its record.
//!
//! All of it is for people who watch. Nothing is warned of, and no fault changes anything else.

use acetate_cache_api::log::{Frame, FrameReader, MAX_APPEND, Stream};
use acetate_net::{Method, Url};

use super::action::action_key;
use super::client::RemoteCache;
use super::lease::is_name;
use crate::CacheKey;

/// A part of a log. It was written by a step on another machine: whoever shows it must let none of it
/// reach a terminal as a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPart {
    /// What the step wrote to one of its outputs.
    Bytes {
        /// Which output.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// So many bytes are not kept any more.
    Dropped(u64),
}

/// How the reading of a log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Where to go on.
    pub next: u64,
    /// Whether the lease is gone, so that no more will come.
    pub is_ended: bool,
}

impl RemoteCache {
    /// Appends what a step wrote, as the holder of the lease.
    ///
    /// False means that there is no use in telling more: the server keeps no logs, the lease is gone,
    /// or the server is left alone. What was not taken is lost.
    pub async fn append_log(
        &self,
        key: &CacheKey,
        lease: &str,
        stream: Stream,
        bytes: &[u8],
    ) -> bool {
        for piece in bytes.chunks(MAX_APPEND) {
            if self.append_piece(key, lease, stream, piece).await.is_none() {
                return false;
            }
        }
        true
    }

    async fn append_piece(
        &self,
        key: &CacheKey,
        lease: &str,
        stream: Stream,
        bytes: &[u8],
    ) -> Option<()> {
        let transport = &self.0.transport;
        if !is_name(lease) || transport.check_writable().is_err() {
            return None;
        }
        let mut url = self.log_url(key).await?;
        url.set_query(Some(&format!("lease={lease}&stream={}", stream.digit())));
        let request = transport.request(Method::Post, url).body(bytes);
        let status = transport.quiet(&request).await?.status();
        match status {
            200..=204 => {
                transport.count(|stats| stats.bytes_up += bytes.len() as u64);
                Some(())
            }
            // It has too much to do just now: this piece is lost, the next one may not be.
            429 => Some(()),
            _ => {
                tracing::debug!(status, "a log is not taken");
                None
            }
        }
    }

    /// Reads the log of a record that somebody else makes, from an offset on, until the lease ends or
    /// something fails. Dropping the future ends it.
    pub async fn follow_log(
        &self,
        key: &CacheKey,
        from: u64,
        mut each: impl FnMut(LogPart) + Send,
    ) -> Followed {
        let mut followed = Followed {
            next: from,
            is_ended: false,
        };
        if self.follow(key, &mut followed, &mut each).await.is_none() {
            tracing::debug!(?followed, "a log is not read to its end");
        }
        followed
    }

    async fn follow(
        &self,
        key: &CacheKey,
        followed: &mut Followed,
        each: &mut (impl FnMut(LogPart) + Send),
    ) -> Option<()> {
        let transport = &self.0.transport;
        let mut url = self.log_url(key).await?;
        url.set_query(Some(&format!("from={}", followed.next)));
        let request = transport.request(Method::Get, url);
        let mut answer = transport.quiet(&request).await?;
        if answer.status() != 200 {
            return None;
        }
        let mut reader = FrameReader::default();
        while let Some(bytes) = answer.chunk().await.ok()? {
            let bytes = bytes.as_ref();
            transport.count(|stats| stats.bytes_down += bytes.len() as u64);
            for frame in reader.feed(bytes).ok()? {
                followed.next = frame.next();
                match frame {
                    Frame::Bytes { stream, bytes, .. } => each(LogPart::Bytes { stream, bytes }),
                    Frame::Dropped { n, .. } => each(LogPart::Dropped(n)),
                    Frame::Alive { .. } => {}
                    Frame::End { .. } => {
                        followed.is_ended = true;
                        return Some(());
                    }
                }
            }
        }
        None
    }

    async fn log_url(&self, key: &CacheKey) -> Option<Url> {
        if !self.may_extend().await.ok()? {
            return None;
        }
        let rest = format!("logs/{}", action_key(key).hex());
        Some(self.0.transport.address.call("/x/v1", &rest))
    }
}
