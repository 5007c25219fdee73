//! What was done with a shared cache.

use serde::Serialize;

use super::BreakerState;

/// Counts of what was done since the cache was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Keys that there was a record of.
    pub hits: u64,
    /// Keys that there was no record of.
    pub misses: u64,
    /// Keys that were not answered, because the server failed or refused.
    pub errors: u64,
    /// Keys that were not answered in time.
    pub timeouts: u64,
    /// Keys whose record could not be understood.
    pub damaged: u64,
    /// Keys whose record was made in a weaker sandbox.
    pub reduced: u64,
    /// Keys whose record nobody signed whose signature is required, or is signed wrongly.
    pub untrusted: u64,
    /// Keys that were not asked for, because the server is left alone.
    pub not_asked: u64,
    /// Milliseconds that the steps of the hits took where they ran.
    pub saved_ms: u64,
    /// Bytes of bodies that came.
    pub bytes_down: u64,
    /// Bytes of bodies that were sent and taken.
    pub bytes_up: u64,
    /// Chunks that came.
    pub chunks_down: u64,
    /// Chunks that did not have to come, because they were here.
    pub chunks_reused: u64,
    /// Chunks that were sent.
    pub chunks_up: u64,
    /// Chunks that did not have to be sent, because they were there.
    pub chunks_deduped: u64,
    /// Compressed forms of layers that came, or are known, instead of being made.
    pub forms_taken: u64,
    /// Compressed forms that were asked for and not there, or of no use.
    pub forms_missed: u64,
    /// Compressed forms that were given.
    pub forms_given: u64,
    /// Chunks that were made, be it to ask for them or to send them.
    pub chunks_compressed: u64,
    /// Layers that were read to be sent.
    pub layers_read: u64,
    /// Layers that did not come whole.
    pub layers_lost: u64,
    /// Layers that the cache lists otherwise than they are.
    pub listings_refuted: u64,
    /// Records that were written.
    pub published: u64,
    /// Records that were there already.
    pub kept: u64,
    /// Records that were not written.
    pub skipped: u64,
    /// How often the server was left alone.
    pub n_openings: u32,
    /// Whether it is asked now.
    #[serde(serialize_with = "as_word")]
    pub breaker: BreakerState,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn as_word<S: serde::Serializer>(state: &BreakerState, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::Probing => "probing",
        BreakerState::Off => "off",
    })
}
