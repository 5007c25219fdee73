use super::part::Part;
use acetate_engine::{BuildEvent, EventSink};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Writes one line for each blob that has moved, for logs of commands that do nothing but that.
#[derive(Debug)]
pub(crate) struct Brief<W: Write> {
    out: Mutex<W>,
}

impl<W: Write> Brief<W> {
    /// Writes to `out`.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out: Mutex::new(out),
        }
    }
}

impl<W: Write + Send> EventSink for Brief<W> {
    fn event(&self, event: BuildEvent) {
        let BuildEvent::Status(status) = event else {
            return;
        };
        if !status.completed {
            return;
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed standard error is no reason to stop.
        if let Err(error) = writeln!(out, "{}", Part::new(&status).line()) {
            tracing::debug!(%error, "progress cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::status;
    use super::*;
    use acetate_oci::Digest;
    use expect_test::expect;

    #[test]
    fn a_blob_is_one_line_however_many_pieces_it_has() {
        let brief = Brief::new(Vec::new());
        for (current, millis) in [(1, 100), (9_000_000, 200), (20_000_000, 400)] {
            brief.event(BuildEvent::Status(status(
                Digest::of(b"v"),
                current,
                millis,
            )));
        }
        let text = String::from_utf8(brief.out.into_inner().unwrap()).unwrap();
        expect![[r"
            sha256:fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8 20.0MB / 20.0MB 0.4s done
        "]]
        .assert_eq(&text);
    }
}
