//! Results that were made by what caches say of layers, and are recorded once that is known to be so.

use crate::output::{Files, Output};
use acetate_graph::VertexId;
use std::sync::{Mutex, PoisonError};

/// Results that wait to be recorded.
#[derive(Debug, Default)]
pub(crate) struct Unproven(Mutex<Vec<Kept>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) vertex: VertexId,
    pub(crate) inputs: Vec<Output>,
    pub(crate) files: Files,
    pub(crate) duration_ms: u64,
}

impl Unproven {
    /// Keeps a result until the end of the build.
    pub(crate) fn keep(
        &self,
        vertex: VertexId,
        inputs: &[Output],
        files: &Files,
        duration_ms: u64,
    ) {
        let kept = Kept {
            vertex,
            inputs: inputs.to_vec(),
            files: files.clone(),
            duration_ms,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Made once more, it was lost before.
        all.retain(|kept| kept.vertex != vertex);
        all.push(kept);
    }

    /// Gives all that is kept, in the order in which it was made.
    pub(crate) fn take(&self) -> Vec<Kept> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
