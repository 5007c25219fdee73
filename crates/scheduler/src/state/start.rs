//! What is started, and how the end is told.

use acetate_graph::Decision;

use super::step::Phase;
use super::{Ending, State};
use crate::Command;

impl<O: Clone, C, E> State<O, C, E> {
    pub(super) fn start_loads(&mut self, commands: &mut Vec<Command<C>>) {
        while self.loads.is_free() {
            let Some(vertex) = self.load_queue.pop_front() else {
                return;
            };
            let is_by_definition = self.demand.decision(vertex) == Decision::Load;
            let step = &mut self.steps[vertex.idx()];
            if step.phase != Phase::LoadQueued {
                continue;
            }
            let candidates = if is_by_definition {
                &mut step.by_definition
            } else {
                &mut step.by_content
            };
            if let Some(candidate) = candidates.pop_front() {
                step.phase = Phase::Loading;
                self.loads.take();
                commands.push(Command::Load(vertex, candidate));
            }
        }
    }

    pub(super) fn start_question(&mut self, commands: &mut Vec<Command<C>>) {
        let mut vertices = Vec::new();
        for vertex in std::mem::take(&mut self.ask_queue) {
            if self.inputs_exist(vertex) {
                let step = &mut self.steps[vertex.idx()];
                step.phase = Phase::Asking;
                step.is_asked = true;
                vertices.push(vertex);
            } else {
                self.wait(vertex);
            }
        }
        if !vertices.is_empty() {
            vertices.sort_unstable();
            self.n_asking += vertices.len();
            commands.push(Command::AskContent(vertices));
        }
    }

    pub(super) fn start_runs(&mut self, commands: &mut Vec<Command<C>>) {
        for class in 0..self.ready.len() {
            while self.slots[class].is_free() {
                let Some(vertex) = self.ready[class].pop() else {
                    break;
                };
                if self.inputs_exist(vertex) {
                    self.slots[class].take();
                    let step = &mut self.steps[vertex.idx()];
                    step.is_kept = false;
                    step.phase = Phase::Running;
                    step.started_at = self.clock;
                    commands.push(Command::Run(vertex));
                } else {
                    // An input was lost after this vertex had become ready. Making it again may
                    // take what is kept for this one.
                    if std::mem::take(&mut self.steps[vertex.idx()].is_kept) {
                        commands.push(Command::LetGo(vertex));
                    }
                    self.wait(vertex);
                }
            }
        }
    }

    pub(super) fn end(&mut self, commands: &mut Vec<Command<C>>) {
        if self.ending == Ending::Stopping {
            self.ending = Ending::CancelTold;
            if self.n_in_flight() > 0 {
                commands.push(Command::CancelRunning);
            }
        }
        if self.ending == Ending::CancelTold && self.n_in_flight() == 0 {
            self.ending = Ending::Aborted;
            commands.push(Command::Abort);
        }
    }
}
