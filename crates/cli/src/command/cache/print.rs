//! What the commands say.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// Writes the result; a reader that has seen enough, such as `head`, is no fault.
pub(in crate::command) fn out(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("failed to write the result"),
    }
}

/// Writes the result as JSON.
pub(in crate::command) fn json(value: &Value) -> Result<()> {
    out(&format!("{value}\n"))
}

/// Tells something beside the result.
#[expect(clippy::print_stderr, reason = "a message to the user")]
pub(in crate::command) fn note(text: &str) {
    eprintln!("{text}");
}
