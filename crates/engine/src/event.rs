use crate::Explanation;
use acetate_frontend::{Diagnostic, SourceFile};
use acetate_graph::Origin;
use acetate_oci::{Digest, Timestamp};
use std::sync::Arc;

/// One observable fact of a build. Every way of showing progress, and the tests, read the same
/// stream.
#[derive(Debug, Clone)]
pub enum BuildEvent {
    /// The Dockerfile was read; its text explains later positions.
    Dockerfile(Arc<SourceFile>),
    /// A step exists. It comes before every other event of the step.
    Vertex(VertexInfo),
    /// A step began.
    Started {
        /// Which.
        vertex: Digest,
        /// When.
        at: Timestamp,
    },
    /// A step ended.
    Finished {
        /// Which.
        vertex: Digest,
        /// When.
        at: Timestamp,
        /// How.
        outcome: VertexOutcome,
    },
    /// A process wrote something.
    Log {
        /// Which step.
        vertex: Digest,
        /// When.
        at: Timestamp,
        /// 1 is standard output, 2 standard error.
        stream: u8,
        /// The bytes, not cut at lines.
        data: Vec<u8>,
    },
    /// A part of a step went on, such as the download of a layer.
    Status(Status),
    /// A warning about the Dockerfile.
    Warning(Diagnostic),
    /// Why a step ran, or would run; told at the end, when it was asked for.
    Explained(Explanation),
}

/// A step as it is shown.
#[derive(Debug, Clone)]
pub struct VertexInfo {
    /// The definition key, or the digest of the name for steps of the engine itself.
    pub digest: Digest,
    /// The steps that it needs.
    pub inputs: Vec<Digest>,
    /// Its name.
    pub name: String,
    /// Where it stands in the Dockerfile.
    pub origin: Option<Origin>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VertexOutcome {
    /// It was carried out.
    Done,
    /// A recorded result was taken.
    Cached,
    /// It failed, with this message.
    Failed(String),
    /// It was broken off since another one failed.
    Cancelled,
}

/// The progress of a part of a step.
#[derive(Debug, Clone)]
pub struct Status {
    /// Which step.
    pub vertex: Digest,
    /// What part, unique within the step.
    pub id: String,
    /// What happens to it.
    pub name: String,
    /// How much is done, in bytes.
    pub current: u64,
    /// How much there is; 0 when unknown.
    pub total: u64,
    /// When it began.
    pub started: Timestamp,
    /// When.
    pub at: Timestamp,
    /// Whether it is complete.
    pub completed: bool,
}

/// Takes events, from any thread, in the order in which they happen to each step.
pub trait EventSink: Send + Sync {
    /// Takes one event; it must not block for long.
    fn event(&self, event: BuildEvent);
}

/// Forgets all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn event(&self, _event: BuildEvent) {}
}
