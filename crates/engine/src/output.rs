use crate::context::Contexts;
use acetate_cache::PastInput;
use acetate_files::{HostTree, Selection};
use acetate_oci::{Digest, Timestamp};
use acetate_snapshot::Snapshot;
use std::sync::Arc;

/// The result of a vertex, as it is handed from step to step.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// A snapshot.
    Files(Files),
    /// Selected files of a context, which stay where they are until they are copied.
    Selected(Arc<Selected>),
}

/// A snapshot, and when each of its layers was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) snapshot: Snapshot,
    /// One a layer, bottom first.
    pub(crate) created: Arc<[Timestamp]>,
}

/// Selected files of a context.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) context: String,
    pub(crate) selection: Arc<Selection>,
    pub(crate) digest: Digest,
}

impl Files {
    /// The snapshot with one more layer on it.
    pub(crate) fn with(&self, snapshot: Snapshot, created: Timestamp) -> Self {
        let created = self.created.iter().copied().chain([created]).collect();
        Self { snapshot, created }
    }
}

impl Selected {
    /// The tree that the files are in.
    pub(crate) fn tree(&self) -> Option<&HostTree> {
        self.contexts.tree(&self.context)
    }
}

impl Output {
    /// What a record says about this as an input.
    pub(crate) fn as_past(&self) -> PastInput {
        match self {
            Self::Files(files) => PastInput::Chain(files.snapshot.ids()),
            Self::Selected(selected) => PastInput::Selection(selected.digest),
        }
    }

    /// The snapshot; that of a context is empty, for nothing is stacked on one.
    pub(crate) fn files(&self) -> Files {
        match self {
            Self::Files(files) => files.clone(),
            Self::Selected(_) => Files::default(),
        }
    }
}
