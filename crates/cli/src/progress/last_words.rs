use super::board::{Board, Line};
use acetate_engine::{BuildEvent, EventSink, VertexOutcome};
use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// So many lines explain most failures, and fit a screen together with the excerpt.
const MAX_LINES: usize = 20;

/// Passes events on and keeps what each running step wrote last, for the error at the end.
pub(crate) struct LastWords {
    next: Arc<dyn EventSink>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    board: Board,
    lines: HashMap<usize, VecDeque<Line>>,
    /// The step that failed first.
    failed: Option<usize>,
}

impl LastWords {
    /// Passes events on to `next`.
    pub(crate) fn new(next: Arc<dyn EventSink>) -> Self {
        Self {
            next,
            state: Mutex::default(),
        }
    }

    /// What the step that failed wrote last, a line each with its time; empty when none did.
    pub(crate) fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = state.failed.and_then(|row| state.lines.get(&row));
        let mut text = String::new();
        for line in lines.into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:.3} {}", line.at, line.text);
        }
        text
    }
}

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastWords").finish_non_exhaustive()
    }
}

impl EventSink for LastWords {
    fn event(&self, event: BuildEvent) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&event);
        self.next.event(event);
    }
}

impl State {
    fn take(&mut self, event: &BuildEvent) {
        let Some(row) = self.board.apply(event) else {
            return;
        };
        match event {
            BuildEvent::Log {
                stream, data, at, ..
            } => {
                let lines = self.board.log(row, *stream, data, *at);
                self.keep(row, lines);
            }
            BuildEvent::Finished { at, outcome, .. } => {
                let rest = self.board.rest(row, *at);
                if matches!(outcome, VertexOutcome::Failed(_)) {
                    self.keep(row, rest);
                    self.failed.get_or_insert(row);
                } else {
                    self.lines.remove(&row);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, row: usize, lines: Vec<Line>) {
        let kept = self.lines.entry(row).or_default();
        kept.extend(lines);
        let too_many = kept.len().saturating_sub(MAX_LINES);
        kept.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_engine::NoEvents;
    use acetate_oci::{Digest, Timestamp};

    #[test]
    fn only_the_end_of_the_step_that_failed_is_told() {
        let words = LastWords::new(Arc::new(NoEvents));
        let at = Timestamp::from_secs(1);
        let log = |vertex, text: &str| BuildEvent::Log {
            vertex,
            at,
            stream: 1,
            data: text.as_bytes().to_vec(),
        };
        let (good, bad) = (Digest::of(b"good"), Digest::of(b"bad"));
        for vertex in [good, bad] {
            words.event(BuildEvent::Started { vertex, at });
        }
        words.event(log(good, "fine\n"));
        for n in 0..30 {
            words.event(log(bad, &format!("line {n}\n")));
        }
        words.event(log(bad, "no line end"));
        assert_eq!(words.text(), "");
        for (vertex, outcome) in [
            (bad, VertexOutcome::Failed("exit code: 1".to_owned())),
            (good, VertexOutcome::Cancelled),
        ] {
            words.event(BuildEvent::Finished {
                vertex,
                at,
                outcome,
            });
        }
        let text = words.text();
        assert!(
            text.starts_with("0.000 line 11\n") && text.ends_with("line 29\n0.000 no line end\n")
        );
        assert_eq!(text.lines().count(), MAX_LINES);
    }
}
