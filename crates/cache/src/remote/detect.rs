//! What a server can do beside keeping objects.

use std::sync::atomic::Ordering;

use acetate_net::Method;
use serde_json::Value;

use super::client::RemoteCache;
use super::transport::{Effort, Fault};

/// More than any server has to say about itself.
const MAX_ANSWER: u64 = 1 << 20;

/// Which level of the protocol a server speaks. The third is tried where it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It keeps objects.
    Objects,
    /// It answers the questions of the Remote Execution API for many objects at once.
    Batches,
}

impl RemoteCache {
    /// Finds out what the server can do, so that no later question has to wait for it. A fault is
    /// no loss: the next question tries again.
    pub async fn warm_up(&self) {
        let level = self.level().await;
        tracing::debug!(?level, "asked the cache what it can do");
    }

    pub(super) async fn level(&self) -> Result<Level, Fault> {
        self.0
            .level
            .get_or_try_init(|| self.ask_level())
            .await
            .copied()
    }

    async fn ask_level(&self) -> Result<Level, Fault> {
        let transport = &self.0.transport;
        let url = transport.address.call("/v2", "capabilities");
        let request = transport.request(Method::Get, url);
        let answer = transport.ask(&request, MAX_ANSWER, Effort::Hedged).await?;
        let is_spoken = answer.status == 200 && hashes_as_we_do(&answer.body);
        Ok(if is_spoken {
            Level::Batches
        } else {
            Level::Objects
        })
    }

    /// Whether the extensions of our own server are worth a try.
    pub(super) async fn may_extend(&self) -> Result<bool, Fault> {
        let is_possible = self.level().await? == Level::Batches;
        Ok(is_possible && self.0.has_extensions.load(Ordering::Relaxed))
    }

    /// Notes from the status of an extension that the server does not have them.
    pub(super) fn is_extension(&self, status: u16) -> bool {
        let is_unknown = matches!(status, 400 | 404 | 405 | 501);
        if is_unknown {
            self.0.has_extensions.store(false, Ordering::Relaxed);
        }
        !is_unknown
    }
}

/// Reads capabilities: other things are found under any address, and are none.
fn hashes_as_we_do(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let functions = answer["cacheCapabilities"]["digestFunctions"].as_array();
    // JSON of protobuf may write the number of an enum, too.
    functions.is_some_and(|all| all.iter().any(|one| one == "SHA256" || one == 1))
}
