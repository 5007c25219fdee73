//! Steps that somebody else has: they wait without a slot, in any number.

use acetate_graph::VertexId;

use super::State;
use super::step::Phase;
use crate::Command;

impl<O: Clone, C, E> State<O, C, E> {
    pub(super) fn taken(&mut self, vertex: VertexId) {
        self.end_run(vertex);
        self.steps[vertex.idx()].phase = Phase::Parked;
        self.park_queue.push(vertex);
    }

    pub(super) fn freed(&mut self, vertex: VertexId) {
        self.end_wait(vertex);
        self.steps[vertex.idx()].is_kept = true;
        // An input that was lost meanwhile is noticed when the vertex leaves the queue.
        self.make_ready(vertex);
    }

    pub(super) fn end_wait(&mut self, vertex: VertexId) {
        self.n_waiting -= 1;
        self.steps[vertex.idx()].phase = Phase::Idle;
    }

    pub(super) fn start_waits(&mut self, commands: &mut Vec<Command<C>>) {
        let parked = std::mem::take(&mut self.park_queue);
        self.n_waiting += parked.len();
        commands.extend(parked.into_iter().map(Command::Wait));
    }
}
