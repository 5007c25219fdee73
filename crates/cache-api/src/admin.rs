//! What people want to know about a cache, and do to it.
//!
//! Everything is below `/x/v1/{namespace}/`: `GET stats`, `POST misses`, `GET records?limit=&after=`,
//! `POST gc`, `POST verify` and `GET verify?wait=SECONDS`. A record is removed by `DELETE` of its own
//! path. Names and reasons are text from clients: whoever shows them must not take them for more.

use serde::{Deserialize, Serialize};

/// More misses than these are not kept, nor taken at a time.
pub const MAX_MISSES: usize = 200;
/// The most records that are listed in one answer.
pub const MAX_RECORDS: usize = 1000;

/// Why a step had to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Miss {
    /// How the step is shown.
    pub step: String,
    /// What differed, in words.
    pub reason: String,
    /// The key that there was no record of, in hexadecimal.
    pub key: String,
}

/// A miss that was told, and what the server knows about it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenMiss {
    /// The namespace that it was told in.
    pub namespace: String,
    /// How long ago, in seconds.
    pub age_secs: u64,
    /// What was told.
    #[serde(flatten)]
    pub miss: Miss,
}

/// A step that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InFlight {
    /// In which namespace.
    pub namespace: String,
    /// The key of its record.
    pub key: String,
    /// How it is shown; empty where its holder did not say.
    pub name: String,
    /// For how long already, in milliseconds.
    pub since_ms: u64,
    /// How long it took last time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
}

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// `record` or `content`.
    pub kind: String,
    /// Its namespace; empty for content, which is one collection.
    pub namespace: String,
    /// Its key.
    pub key: String,
    /// Its own bytes, without those of what it names.
    pub size: u64,
    /// The seconds since it was used last.
    pub age_secs: u64,
    /// The milliseconds that a hit saves, as far as known.
    pub saved_ms: u64,
}

/// What is there and what happened since the server started.
///
/// The counts are those of the whole server; names, entries and misses are those of the namespace
/// that was asked, with all below it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStats {
    /// Records that are kept.
    pub records: u64,
    /// Pieces of content that are kept.
    pub contents: u64,
    /// Bytes of both.
    pub used_bytes: u64,
    /// Bytes that both may use; none is the whole disk.
    pub max_bytes: Option<u64>,
    /// Records that were asked for and there.
    pub hits: u64,
    /// Records that were asked for and not there.
    pub misses: u64,
    /// The share of the hits, from 0 to 1; none when nobody asked.
    pub hit_rate: Option<f64>,
    /// Bytes of bodies that came.
    pub bytes_up: u64,
    /// Bytes of bodies that went out, which nobody had to make.
    pub bytes_down: u64,
    /// Milliseconds that hits saved.
    pub saved_ms: u64,
    /// Steps that are being made, by name.
    pub in_flight: Vec<InFlight>,
    /// The largest entries.
    pub largest: Vec<Entry>,
    /// The longest unused ones.
    pub oldest: Vec<Entry>,
    /// The last misses that were told, the newest first.
    pub last_misses: Vec<SeenMiss>,
}

/// A part of the list of all records, by namespace and key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Entry>,
    /// What to send as `after` for the next part; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Removed {
    /// Records.
    pub records: u64,
    /// Pieces of content.
    pub contents: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// How far all content was hashed again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verified {
    /// Whether it still goes on.
    pub running: bool,
    /// Objects whose bytes are what their name says.
    pub sound: u64,
    /// Objects whose bytes are not, and that were removed.
    pub damaged: u64,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
