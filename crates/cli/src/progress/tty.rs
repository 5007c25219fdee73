use super::board::{Board, Row, seconds};
use super::part::{Part, amount};
use acetate_engine::{BuildEvent, EventSink, VertexOutcome};
use acetate_oci::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Redraws the state of all steps in place, ten times a second.
#[derive(Debug)]
pub(crate) struct Tty {
    screen: Arc<Mutex<Screen>>,
    stop: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

/// More often than this nobody can read.
const PERIOD: Duration = Duration::from_millis(100);
/// How many of the last lines of a running step are shown.
const LOG_LINES: usize = 6;
/// How many blobs of a step are shown at the same time.
const PART_LINES: usize = 8;

#[derive(Debug)]
struct Screen {
    board: Board,
    logs: HashMap<usize, VecDeque<String>>,
    began: Instant,
    first: Option<Timestamp>,
    latest: Option<Timestamp>,
    /// How many lines the last drawing has, which the next one goes over.
    drawn: usize,
    /// What goes on, in a word.
    what: &'static str,
}

impl Tty {
    /// Starts to draw on standard error; `what` says in a word what goes on.
    pub(crate) fn start(what: &'static str) -> Self {
        let screen = Arc::new(Mutex::new(Screen::new(what)));
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::clone(&screen);
        let drawer = std::thread::spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).draw();
            }
        });
        Self {
            screen,
            stop: Mutex::new(Some((stop, drawer))),
        }
    }

    /// Draws the last state and stops.
    pub(crate) fn finish(&self) {
        let stop = self
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((stop, drawer)) = stop else {
            return;
        };
        drop(stop);
        if drawer.join().is_err() {
            tracing::debug!("the progress thread broke off");
        }
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .draw();
    }
}

impl EventSink for Tty {
    fn event(&self, event: BuildEvent) {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(&event);
    }
}

impl Screen {
    fn new(what: &'static str) -> Self {
        Self {
            board: Board::default(),
            logs: HashMap::new(),
            began: Instant::now(),
            first: None,
            latest: None,
            drawn: 0,
            what,
        }
    }

    fn apply(&mut self, event: &BuildEvent) {
        let row = self.board.apply(event);
        if let BuildEvent::Started { at, .. } | BuildEvent::Finished { at, .. } = event {
            self.first = self.first.or(Some(*at));
            self.latest = Some(*at);
        }
        if let (BuildEvent::Status(status), Some(row)) = (event, row) {
            self.board.part(row, status);
        }
        if let (
            BuildEvent::Log {
                stream, data, at, ..
            },
            Some(row),
        ) = (event, row)
        {
            let lines = self.board.log(row, *stream, data, *at);
            let logs = self.logs.entry(row).or_default();
            // Escape sequences of a process would move the cursor away from the drawing.
            logs.extend(lines.into_iter().map(|line| line.text.replace('\x1b', "")));
            while logs.len() > LOG_LINES {
                logs.pop_front();
            }
        }
    }

    fn draw(&mut self) {
        let (width, height) = size();
        let lines = self.lines(height, self.began.elapsed().as_secs_f64());
        let mut text = String::new();
        if self.drawn > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[{}A\x1b[J", self.drawn);
        }
        for line in &lines {
            text.push_str(&cut(line, width));
            text.push('\n');
        }
        self.drawn = lines.len();
        let mut out = std::io::stderr().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            tracing::debug!(%error, "progress cannot be drawn");
        }
    }

    /// What is drawn so many seconds after the beginning.
    fn lines(&self, height: usize, elapsed: f64) -> Vec<String> {
        let rows = self.board.rows();
        let done = rows.iter().filter(|row| row.outcome.is_some()).count();
        let mut lines = vec![format!(
            "[+] {} {elapsed:.1}s ({done}/{})",
            self.what,
            rows.len()
        )];
        for (idx, row) in rows.iter().enumerate() {
            lines.push(self.row(row, elapsed));
            if row.outcome.is_none() {
                let logs = self.logs.get(&idx).into_iter().flatten();
                lines.extend(logs.map(|line| format!("\x1b[2m => => {line}\x1b[0m")));
                let moving = row.parts.iter().filter(|part| !part.is_complete);
                lines.extend(moving.take(PART_LINES).map(|part| self.part(part, elapsed)));
            }
        }
        // What does not fit is at its end first: the top scrolls away.
        let surplus = lines.len().saturating_sub(height.saturating_sub(1).max(4));
        lines.drain(1..=surplus);
        lines
    }

    fn row(&self, row: &Row, elapsed: f64) -> String {
        let (mark, color) = match &row.outcome {
            None => ("=>", ""),
            Some(VertexOutcome::Done) => ("=>", "\x1b[34m"),
            Some(VertexOutcome::Cached) => ("=> CACHED", "\x1b[34m"),
            Some(VertexOutcome::Cancelled) => ("=> CANCELED", "\x1b[33m"),
            Some(VertexOutcome::Failed(_)) => ("=> ERROR", "\x1b[31m"),
        };
        let time = match (row.started, row.finished) {
            (Some(started), Some(finished)) => seconds(started, finished),
            (Some(started), None) => self.since(started, elapsed),
            _ => 0.0,
        };
        format!(
            "{color} {mark} {}{}  {time:.1}s\x1b[0m",
            row.name.replace(['\n', '\x1b'], " "),
            moved(row)
        )
    }

    fn part(&self, part: &Part, elapsed: f64) -> String {
        let time = self.since(part.started, elapsed);
        let (label, bar, amount) = (part.label(), part.bar(), part.amount());
        format!(" => => {label} {bar} {amount}  {time:.1}s")
    }

    /// Seconds since a moment.
    fn since(&self, moment: Timestamp, elapsed: f64) -> f64 {
        let first = self.first.unwrap_or(moment);
        (elapsed - seconds(first, moment)).max(0.0)
    }
}

/// How much of what is known to move in a step has moved, in what it does last where that is several
/// things: layers are compressed before they are written.
fn moved(row: &Row) -> String {
    let Some(last) = row.parts.last() else {
        return String::new();
    };
    let parts = row.parts.iter().filter(|part| part.name == last.name);
    let (current, total) = parts.fold((0, 0), |(current, total), part| {
        (current + part.current, total + part.total)
    });
    match row.outcome {
        Some(_) => format!("  {}", amount(current, 0)),
        None => format!("  {}", amount(current, total)),
    }
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// Cuts a line at the width of the terminal; what would wrap could not be gone over again.
fn cut(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut columns, mut in_escape) = (0, false);
    for c in line.chars() {
        if c == '\x1b' {
            in_escape = true;
        }
        if !in_escape {
            columns += 1;
            if columns > width {
                continue;
            }
        }
        in_escape = in_escape && c != 'm';
        out.push(if c == '\t' { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::status;
    use super::*;
    use acetate_engine::{Status, VertexInfo};
    use acetate_oci::Digest;

    #[test]
    fn what_is_said_of_a_step_that_waits_is_drawn_until_it_ends() {
        let (vertex, at) = (Digest::of(b"v"), Timestamp::from_secs(1));
        let mut screen = Screen::new("Building");
        screen.apply(&BuildEvent::Vertex(VertexInfo {
            digest: vertex,
            inputs: vec![],
            name: "RUN make".to_owned(),
            origin: None,
        }));
        screen.apply(&BuildEvent::Started { vertex, at });
        screen.apply(&BuildEvent::Log {
            vertex,
            at,
            stream: 2,
            data: b"waiting: another build is running this step\n".to_vec(),
        });
        let waiting = screen.lines(24, 0.0);
        assert!(waiting[1].contains("=> RUN make"), "{waiting:?}");
        assert!(
            waiting[2].contains("waiting: another build is running this step"),
            "{waiting:?}"
        );
        screen.apply(&BuildEvent::Finished {
            vertex,
            at,
            outcome: VertexOutcome::Cached,
        });
        let done = screen.lines(24, 0.0);
        assert_eq!(done.len(), 2, "{done:?}");
        assert!(done[1].contains("=> CACHED RUN make"), "{done:?}");
    }

    #[test]
    fn blobs_on_their_way_have_a_bar_each_and_their_step_the_sum() {
        let (vertex, at) = (Digest::of(b"v"), Timestamp::from_secs(0));
        let mut screen = Screen::new("Pulling");
        screen.apply(&BuildEvent::Vertex(VertexInfo {
            digest: vertex,
            inputs: vec![],
            name: "pulling r.example/app".to_owned(),
            origin: None,
        }));
        screen.apply(&BuildEvent::Started { vertex, at });
        screen.apply(&BuildEvent::Status(Status {
            name: "compressing".to_owned(),
            ..status(vertex, 20_000_000, 300)
        }));
        for (id, current) in [("sha256:0123456789abcdef", 5_200_000), ("b", 20_000_000)] {
            let id = id.to_owned();
            screen.apply(&BuildEvent::Status(Status {
                id,
                ..status(vertex, current, 400)
            }));
        }
        let lines = screen.lines(24, 1.25);
        assert_eq!(
            lines,
            [
                "[+] Pulling 1.2s (0/1)",
                " => pulling r.example/app  25.2MB / 40.0MB  1.2s\x1b[0m",
                " => => sha256:0123456789ab [=====>              ] 5.2MB / 20.0MB  1.2s",
            ]
        );
        screen.apply(&BuildEvent::Finished {
            vertex,
            at: Timestamp::from_secs(2),
            outcome: VertexOutcome::Done,
        });
        let done = screen.lines(24, 2.0);
        let last = "\x1b[34m => pulling r.example/app  25.2MB  2.0s\x1b[0m";
        assert_eq!(done, ["[+] Pulling 2.0s (1/1)", last]);
    }

    #[test]
    fn lines_are_cut_but_colors_are_closed() {
        assert_eq!(cut("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(cut("a\tb", 10), "a b");
    }
}
