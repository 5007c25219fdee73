use super::board::seconds;
use crate::size;
use acetate_engine::Status;
use acetate_oci::Timestamp;

/// A line of a log is worth this much of a part, or so many seconds, as with BuildKit.
const STEP: f64 = 0.05;
const PATIENCE: f64 = 5.0;
/// Two lines of one part are so many seconds apart at least.
const PAUSE: f64 = 0.5;
/// What happens to blobs as a rule: nothing is said of it.
const USUAL: [&str; 2] = ["downloading", "uploading"];
/// The columns of a bar.
const BAR: usize = 20;

/// A part of a step, such as a blob on its way.
#[derive(Debug)]
pub(super) struct Part {
    id: String,
    /// What happens to it.
    pub(super) name: String,
    pub(super) current: u64,
    pub(super) total: u64,
    pub(super) started: Timestamp,
    pub(super) at: Timestamp,
    pub(super) is_complete: bool,
    /// What was written of it last, and when.
    written: Option<(u64, Timestamp)>,
}

impl Part {
    pub(super) fn new(status: &Status) -> Self {
        Self {
            id: status.id.clone(),
            name: status.name.clone(),
            current: status.current,
            total: status.total,
            started: status.started,
            at: status.at,
            is_complete: status.completed,
            written: None,
        }
    }

    pub(super) fn update(&mut self, status: &Status) {
        (self.current, self.total) = (status.current, status.total);
        (self.started, self.at) = (status.started, status.at);
        self.is_complete = status.completed;
    }

    /// Whether this is how far it is.
    pub(super) fn is_of(&self, status: &Status) -> bool {
        self.id == status.id && self.name == status.name
    }

    /// `5.2MB / 20.0MB`.
    pub(super) fn amount(&self) -> String {
        amount(self.current, self.total)
    }

    /// True when a log is to have one more line about it, which is written then. A step that is not
    /// the one spoken of last interrupts it seldom.
    pub(super) fn takes_line(&mut self, is_spoken_of: bool) -> bool {
        let is_due = self.is_complete
            || self.written.is_none_or(|(current, at)| {
                let grown = fraction(self.current.abs_diff(current), self.total);
                let since = seconds(at, self.at);
                since >= PATIENCE || (is_spoken_of && grown >= STEP && since >= PAUSE)
            });
        if is_due {
            self.written = Some((self.current, self.at));
        }
        is_due
    }

    /// The rest of its line in a log: what it is, how far, and for how long.
    pub(super) fn line(&self) -> String {
        let mut line = self.with_name(&self.id);
        line += &format!(" {}", self.amount());
        let took = seconds(self.started, self.at);
        if took > 0.01 {
            line += &format!(" {took:.1}s");
        }
        if self.is_complete {
            line += " done";
        }
        line
    }

    /// A bar on a terminal; blank where the total is not known.
    pub(super) fn bar(&self) -> String {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between nothing and the few columns of a bar"
        )]
        let filled = (fraction(self.current, self.total) * BAR as f64) as usize;
        let filled = filled.min(BAR);
        let mut bar = "=".repeat(filled);
        if filled < BAR {
            bar.push('>');
        }
        format!("[{bar:<BAR$}]")
    }

    /// What it is called on a terminal: the beginning of a digest is enough to tell blobs apart.
    pub(super) fn label(&self) -> String {
        self.with_name(self.short_id())
    }

    fn with_name(&self, id: &str) -> String {
        if USUAL.contains(&self.name.as_str()) {
            return id.to_owned();
        }
        format!("{} {id}", self.name)
    }

    fn short_id(&self) -> &str {
        let end = "sha256:".len() + 12;
        match self.id.strip_prefix("sha256:") {
            Some(hex) if hex.len() > 12 => self.id.get(..end).unwrap_or(&self.id),
            _ => &self.id,
        }
    }
}

/// How much of how much, where that is known.
pub(super) fn amount(current: u64, total: u64) -> String {
    let current = size::short(current);
    if total == 0 {
        return current;
    }
    format!("{current} / {}", size::short(total))
}

#[expect(clippy::cast_precision_loss, reason = "shown as a bar")]
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use acetate_oci::Digest;

    /// So much of 20 MB after so many milliseconds.
    pub(crate) fn status(vertex: Digest, current: u64, millis: u32) -> Status {
        let at = Timestamp::new(i64::from(millis / 1000), millis % 1000 * 1_000_000);
        Status {
            vertex,
            id: Digest::of(b"blob").to_string(),
            name: "uploading".to_owned(),
            current,
            total: 20_000_000,
            started: Timestamp::from_secs(0),
            at,
            completed: current == 20_000_000,
        }
    }

    /// The lines of a log about a part that is so far at these times.
    fn lines(is_spoken_of: bool, moves: &[(u64, u32)]) -> Vec<String> {
        let vertex = Digest::of(b"v");
        let mut part = Part::new(&status(vertex, 0, 0));
        let mut lines = Vec::new();
        for (current, millis) in moves {
            part.update(&status(vertex, *current, *millis));
            if part.takes_line(is_spoken_of) {
                let line = part.line();
                let (id, rest) = line.split_once(' ').unwrap();
                assert_eq!(id, part.id);
                lines.push(rest.to_owned());
            }
        }
        lines
    }

    #[test]
    fn a_twentieth_or_five_seconds_are_worth_a_line() {
        let moves = [
            (100_000, 100),
            (2_000_000, 500),
            (1_000_000, 600),
            (1_100_000, 700),
            (1_100_001, 5600),
            (1_200_000, 5700),
            (20_000_000, 5800),
        ];
        assert_eq!(
            lines(true, &moves),
            [
                "100.0kB / 20.0MB 0.1s",
                "1.1MB / 20.0MB 0.7s",
                "1.2MB / 20.0MB 5.7s",
                "20.0MB / 20.0MB 5.8s done",
            ]
        );
        assert_eq!(
            lines(false, &moves),
            [
                "100.0kB / 20.0MB 0.1s",
                "1.1MB / 20.0MB 5.6s",
                "20.0MB / 20.0MB 5.8s done"
            ]
        );
        assert_eq!(lines(true, &[(20_000_000, 4)]), ["20.0MB / 20.0MB done"]);
    }

    #[test]
    fn what_happens_to_a_blob_is_said_where_it_is_unusual() {
        let named = |name: &str| {
            let name = name.to_owned();
            let status = status(Digest::of(b"v"), 5, 4);
            Part::new(&Status { name, ..status })
        };
        assert_eq!(named("uploading").label(), "sha256:fa2c8cc4f281");
        let packed = named("compressing");
        assert_eq!(packed.label(), "compressing sha256:fa2c8cc4f281");
        let line = format!("compressing {} 5B / 20.0MB", Digest::of(b"blob"));
        assert_eq!(packed.line(), line);
    }

    #[test]
    fn the_lines_of_a_blob_are_bounded() {
        let of = |millis: u32| {
            let moves = (0..=2000).map(|n| (u64::from(n) * 10_000, n * millis));
            lines(true, &moves.collect::<Vec<_>>()).len()
        };
        assert_eq!([of(1), of(10), of(1000)], [5, 21, 401]);
    }

    #[test]
    fn bars_are_as_full_as_their_parts() {
        let bar = |current, total| {
            let mut part = Part::new(&status(Digest::of(b"v"), current, 1));
            part.total = total;
            part.bar()
        };
        assert_eq!(bar(0, 0), "[>                   ]");
        assert_eq!(bar(5, 20), "[=====>              ]");
        assert_eq!(bar(20, 20), "[====================]");
        assert_eq!(bar(30, 20), "[====================]");
    }
}
