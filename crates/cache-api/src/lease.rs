//! Leases: who is making a record just now.
//!
//! `POST /x/v1/{namespace}/leases/{key}` claims, `PUT .../leases/{key}/{lease}` says that the holder
//! lives, `DELETE` gives up, and `GET .../leases/{key}?wait=SECONDS` waits until the record is there,
//! the lease is gone or the time is up. A lease is a hint: nothing is wrong when two machines make
//! one record.

use serde::{Deserialize, Serialize};

/// How long a lease lives without a sign of its holder, in seconds.
pub const TTL_SECS: u64 = 15;
/// How often a holder should say that it lives, in seconds.
pub const BEAT_SECS: u64 = 5;

/// What the holder says about itself and the step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claim {
    /// How the step is shown.
    #[serde(default)]
    pub name: String,
    /// How long it took last time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
}

/// The answer to a claim, and to waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Lease {
    /// The step is the caller's to run.
    Granted {
        /// What names the lease from now on.
        lease: String,
        /// How long it lives without a sign, in seconds.
        ttl_secs: u64,
    },
    /// Somebody else runs it.
    Held {
        /// For how long already, in milliseconds.
        since_ms: u64,
        /// How long it took last time, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected_ms: Option<u64>,
        /// After how many seconds asking again makes sense.
        retry_after_secs: u64,
    },
    /// The record is there.
    Done,
    /// Nobody holds it, and there is no record.
    Free,
}
