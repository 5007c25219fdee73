use super::board::{Board, seconds};
use acetate_engine::{BuildEvent, EventSink, VertexOutcome};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Writes progress line by line, each line with the number of its step.
#[derive(Debug)]
pub(crate) struct Plain<W: Write> {
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W> {
    out: W,
    board: Board,
    /// The step whose lines were written last, if it is not at its end.
    current: Option<usize>,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W) -> Self {
        let state = State {
            out,
            board: Board::default(),
            current: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl<W: Write + Send> EventSink for Plain<W> {
    fn event(&self, event: BuildEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = state.text(&event);
        // A closed standard error is no reason to stop a build.
        let written = state
            .out
            .write_all(text.as_bytes())
            .and_then(|()| state.out.flush());
        if let Err(error) = written {
            tracing::debug!(%error, "progress cannot be written");
        }
    }
}

impl<W> State<W> {
    fn text(&mut self, event: &BuildEvent) -> String {
        let mut text = String::new();
        let Some(row) = self.board.apply(event) else {
            return text;
        };
        match event {
            BuildEvent::Started { .. } => self.switch(row, &mut text),
            BuildEvent::Log {
                stream, data, at, ..
            } => {
                for line in self.board.log(row, *stream, data, *at) {
                    self.switch(row, &mut text);
                    text += &format!("#{} {:.3} {}\n", row + 1, line.at, line.text);
                }
            }
            BuildEvent::Status(status) => {
                let is_spoken_of = self.current.is_none_or(|current| current == row);
                let part = self.board.part(row, status);
                if part.takes_line(is_spoken_of) {
                    let line = part.line();
                    self.switch(row, &mut text);
                    text += &format!("#{} {line}\n", row + 1);
                }
            }
            BuildEvent::Finished { at, outcome, .. } => {
                self.switch(row, &mut text);
                for line in self.board.rest(row, *at) {
                    text += &format!("#{} {:.3} {}\n", row + 1, line.at, line.text);
                }
                let started = self.board.rows()[row].started.unwrap_or(*at);
                text += &end(row, outcome, seconds(started, *at));
                self.current = None;
            }
            _ => {}
        }
        text
    }

    /// Writes the name of a step when its lines begin, or go on after those of another.
    fn switch(&mut self, row: usize, text: &mut String) {
        if self.current == Some(row) {
            return;
        }
        if let Some(other) = self.current {
            *text += &format!("#{} ...\n\n", other + 1);
        }
        *text += &format!("#{} {}\n", row + 1, self.board.rows()[row].name);
        self.current = Some(row);
    }
}

fn end(row: usize, outcome: &VertexOutcome, seconds: f64) -> String {
    let n = row + 1;
    match outcome {
        VertexOutcome::Done => format!("#{n} DONE {seconds:.1}s\n\n"),
        VertexOutcome::Cached => format!("#{n} CACHED\n\n"),
        VertexOutcome::Cancelled => format!("#{n} CANCELED\n\n"),
        VertexOutcome::Failed(message) => format!("#{n} ERROR: {message}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::status;
    use super::*;
    use acetate_engine::VertexInfo;
    use acetate_oci::{Digest, Timestamp};
    use expect_test::expect;

    fn vertex(name: &str) -> BuildEvent {
        let digest = Digest::of(name.as_bytes());
        BuildEvent::Vertex(VertexInfo {
            digest,
            inputs: vec![],
            name: name.to_owned(),
            origin: None,
        })
    }

    #[test]
    fn lines_of_parallel_steps_can_be_told_apart() {
        let plain = Plain::new(Vec::new());
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let at = Timestamp::from_secs;
        let log = |vertex, data: &str, secs| BuildEvent::Log {
            vertex,
            at: at(secs),
            stream: 1,
            data: data.as_bytes().to_vec(),
        };
        plain.event(vertex("a"));
        plain.event(vertex("b"));
        plain.event(BuildEvent::Started {
            vertex: a,
            at: at(0),
        });
        plain.event(log(a, "hello\nwor", 1));
        plain.event(BuildEvent::Started {
            vertex: b,
            at: at(1),
        });
        plain.event(log(a, "ld\n", 2));
        plain.event(BuildEvent::Finished {
            vertex: b,
            at: at(3),
            outcome: VertexOutcome::Cached,
        });
        let failed = VertexOutcome::Failed("exit code: 1".into());
        plain.event(BuildEvent::Finished {
            vertex: a,
            at: at(3),
            outcome: failed,
        });
        let text = String::from_utf8(plain.state.into_inner().unwrap().out).unwrap();
        expect![[r"
            #1 a
            #1 1.000 hello
            #1 ...

            #2 b
            #2 ...

            #1 a
            #1 2.000 world
            #1 ...

            #2 b
            #2 CACHED

            #1 a
            #1 ERROR: exit code: 1

        "]]
        .assert_eq(&text);
    }

    #[test]
    fn blobs_on_their_way_have_lines_now_and_then() {
        let plain = Plain::new(Vec::new());
        let (push, run) = (
            Digest::of(b"pushing r.example/app"),
            Digest::of(b"RUN make"),
        );
        plain.event(vertex("pushing r.example/app"));
        plain.event(vertex("RUN make"));
        let at = Timestamp::from_secs(0);
        plain.event(BuildEvent::Started { vertex: push, at });
        for (current, millis) in [(100, 100), (5_000_000, 200), (5_200_000, 700)] {
            plain.event(BuildEvent::Status(status(push, current, millis)));
        }
        plain.event(BuildEvent::Started { vertex: run, at });
        // What another step says is not interrupted for this.
        for (current, millis) in [(9_000_000, 600), (20_000_000, 1500)] {
            plain.event(BuildEvent::Status(status(push, current, millis)));
        }
        plain.event(BuildEvent::Finished {
            vertex: push,
            at: Timestamp::from_secs(2),
            outcome: VertexOutcome::Done,
        });
        let text = String::from_utf8(plain.state.into_inner().unwrap().out).unwrap();
        expect![[r"
            #1 pushing r.example/app
            #1 sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8 100B / 20.0MB 0.1s
            #1 sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8 5.2MB / 20.0MB 0.7s
            #1 ...

            #2 RUN make
            #2 ...

            #1 pushing r.example/app
            #1 sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8 20.0MB / 20.0MB 1.5s done
            #1 DONE 2.0s

        "]]
        .assert_eq(&text);
    }
}
