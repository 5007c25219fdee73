//! Results whose bytes turn out to be gone.

use acetate_graph::VertexId;

use super::step::Phase;
use super::{Ending, State};
use crate::Failure;

/// How often a result that was made by running may be lost before the build gives up.
pub(super) const MAX_LOSSES: u32 = 3;

impl<O: Clone, C, E> State<O, C, E> {
    pub(super) fn inputs_lost(&mut self, vertex: VertexId, inputs: &[VertexId]) {
        self.end_run(vertex);
        if self.is_stopping() {
            return;
        }
        let named: Vec<VertexId> = self
            .shape
            .inputs(vertex)
            .iter()
            .filter(|id| inputs.contains(id))
            .copied()
            .collect();
        if named.is_empty() {
            self.fail(Failure::LostAgain { vertex });
            return;
        }
        let started_at = self.steps[vertex.idx()].started_at;
        for input in named {
            // What was made again since this step started is not what this step found missing.
            if self.steps[input.idx()].made_at <= started_at {
                self.lose(input);
            }
        }
        self.wait(vertex);
    }

    pub(super) fn lose(&mut self, vertex: VertexId) {
        let step = &mut self.steps[vertex.idx()];
        if self.ending != Ending::NotYet || step.phase != Phase::Done {
            return;
        }
        step.phase = Phase::Idle;
        step.output = None;
        step.n_losses += u32::from(step.is_own);
        if step.n_losses > MAX_LOSSES {
            self.fail(Failure::LostAgain { vertex });
            return;
        }
        self.n_open += 1;
        self.is_done_told = false;
        for dependent in self.shape.dependents(vertex) {
            let step = &mut self.steps[dependent.idx()];
            step.n_missing += usize::from(step.phase == Phase::Waiting);
        }
        self.demand.lose(vertex);
        self.try_next(vertex);
    }
}
