use super::part::Part;
use acetate_engine::{BuildEvent, Status, VertexOutcome};
use acetate_oci::{Digest, Timestamp};
use std::collections::HashMap;

/// What is known of every step that was begun, in the order of beginning.
#[derive(Debug, Default)]
pub(super) struct Board {
    rows: Vec<Row>,
    by_digest: HashMap<Digest, usize>,
    names: HashMap<Digest, String>,
}

/// One step.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) outcome: Option<VertexOutcome>,
    /// What goes on in it, in the order of beginning.
    pub(super) parts: Vec<Part>,
    lines: HashMap<u8, Vec<u8>>,
}

/// A whole line that a process wrote.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Seconds since the step began.
    pub(super) at: f64,
}

impl Board {
    /// Takes an event; returns the row that it concerns, once that was begun.
    pub(super) fn apply(&mut self, event: &BuildEvent) -> Option<usize> {
        match event {
            BuildEvent::Vertex(info) => {
                self.names.insert(info.digest, info.name.clone());
                None
            }
            BuildEvent::Started { vertex, at } => {
                let row = self.row(*vertex);
                let begun = &mut self.rows[row];
                // A step can go on after its end, when layers of its image are fetched at last.
                (begun.started, begun.finished, begun.outcome) = (Some(*at), None, None);
                Some(row)
            }
            BuildEvent::Finished {
                vertex,
                at,
                outcome,
            } => {
                let row = self.row(*vertex);
                self.rows[row].finished = Some(*at);
                self.rows[row].outcome = Some(outcome.clone());
                Some(row)
            }
            BuildEvent::Log { vertex, .. } => Some(self.row(*vertex)),
            BuildEvent::Status(status) => Some(self.row(status.vertex)),
            BuildEvent::Dockerfile(_) | BuildEvent::Warning(_) | BuildEvent::Explained(_) => None,
        }
    }

    fn row(&mut self, vertex: Digest) -> usize {
        if let Some(row) = self.by_digest.get(&vertex) {
            return *row;
        }
        let name = self
            .names
            .get(&vertex)
            .cloned()
            .unwrap_or_else(|| vertex.to_string());
        let (started, finished, outcome) = (None, None, None);
        self.rows.push(Row {
            name,
            started,
            finished,
            outcome,
            parts: Vec::new(),
            lines: HashMap::new(),
        });
        self.by_digest.insert(vertex, self.rows.len() - 1);
        self.rows.len() - 1
    }

    /// All rows.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Takes how far a part of a step is.
    pub(super) fn part(&mut self, row: usize, status: &Status) -> &mut Part {
        let parts = &mut self.rows[row].parts;
        let known = parts.iter().position(|part| part.is_of(status));
        let idx = known.unwrap_or(parts.len());
        if known.is_none() {
            parts.push(Part::new(status));
        }
        let part = &mut parts[idx];
        part.update(status);
        part
    }

    /// Adds bytes of a process and returns the lines that are whole now.
    pub(super) fn log(&mut self, row: usize, stream: u8, data: &[u8], at: Timestamp) -> Vec<Line> {
        let row = &mut self.rows[row];
        let since = row.started.map_or(0.0, |started| seconds(started, at));
        let pending = row.lines.entry(stream).or_default();
        pending.extend_from_slice(data);
        let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = pending.drain(..=end).collect();
        lines(&whole, since)
    }

    /// The last lines of a step, which have no line ending.
    pub(super) fn rest(&mut self, row: usize, at: Timestamp) -> Vec<Line> {
        let row = &mut self.rows[row];
        let since = row.started.map_or(0.0, |started| seconds(started, at));
        let mut streams: Vec<(u8, Vec<u8>)> = row.lines.drain().collect();
        streams.sort_unstable();
        streams
            .iter()
            .flat_map(|(_, rest)| lines(rest, since))
            .collect()
    }
}

fn lines(bytes: &[u8], at: f64) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .map(|line| Line {
            text: clean(line),
            at,
        })
        .collect()
}

/// Keeps what overwrote a line last, and no control characters: a log must not steer a terminal.
fn clean(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let last = line.rsplit('\r').next().unwrap_or(line);
    last.chars()
        .filter(|c| *c == '\t' || *c == '\u{1b}' || !c.is_control())
        .collect()
}

/// Seconds from one moment to another.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "durations of builds are short")]
    let whole = (to.secs - from.secs) as f64;
    whole + (f64::from(to.nanos) - f64::from(from.nanos)) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_overwritten_ones_are_dropped() {
        let mut board = Board::default();
        let vertex = Digest::of(b"v");
        let row = board
            .apply(&BuildEvent::Started {
                vertex,
                at: Timestamp::from_secs(1),
            })
            .unwrap();
        let at = Timestamp::new(2, 500_000_000);
        assert_eq!(
            board.log(row, 1, b"one\ntw", at),
            [Line {
                text: "one".into(),
                at: 1.5
            }]
        );
        assert_eq!(
            board.log(row, 1, b"o 10%\rtwo 20%\r\n", at)[0].text,
            "two 20%"
        );
        assert!(board.log(row, 2, b"\x07end", at).is_empty());
        assert_eq!(board.rest(row, at)[0].text, "end");
        assert!(board.rest(row, at).is_empty());
    }
}
