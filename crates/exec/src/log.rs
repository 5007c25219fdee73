//! [`LogSink`]: where the output of a step goes.

/// Which of the two output streams of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Receives the output of a step, in the pieces in which it was read.
///
/// A piece may end inside a line or a character. It is called on the thread that runs the step; while it
/// blocks, the step blocks once its pipe is full.
pub trait LogSink {
    /// Takes one non-empty piece.
    fn log(&mut self, stream: Stream, bytes: &[u8]);
}

impl<F: FnMut(Stream, &[u8])> LogSink for F {
    fn log(&mut self, stream: Stream, bytes: &[u8]) {
        self(stream, bytes);
    }
}
