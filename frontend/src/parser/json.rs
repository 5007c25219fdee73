//! The JSON array form of arguments.

use serde_json::Value;

use super::line::Piece;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// Says whether arguments are a JSON array of anything.
pub(super) fn is_array(args: Piece<'_>) -> bool {
    values(args).is_some()
}

/// Reads arguments as a JSON array of strings; `None` when they are no JSON array at all.
///
/// An array of anything else is an error: it was hardly meant for the shell.
pub(super) fn strings(args: Piece<'_>) -> Result<Option<Vec<Spanned<String>>>, Diagnostic> {
    let Some(values) = values(args) else {
        return Ok(None);
    };
    let mut words = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::String(word) => words.push(word),
            _ => return Err(not_strings(args)),
        }
    }
    let places = string_places(args);
    Ok(Some(
        words
            .into_iter()
            .zip(places)
            .map(|(word, place)| Spanned::new(word, place.span()))
            .collect(),
    ))
}

fn values(args: Piece<'_>) -> Option<Vec<Value>> {
    let args = args.trim();
    if !args.text().starts_with('[') {
        return None;
    }
    serde_json::from_str(args.text()).ok()
}

/// Finds the strings of a valid array of strings, quotes included.
fn string_places(args: Piece<'_>) -> Vec<Piece<'_>> {
    let mut places = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (offset, byte) in args.text().bytes().enumerate() {
        match (start, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(from), b'"') => {
                places.push(args.sub(from..offset + 1));
                start = None;
            }
            (None, b'"') => start = Some(offset),
            _ => {}
        }
    }
    places
}

fn not_strings(args: Piece<'_>) -> Diagnostic {
    let message = "when using JSON array syntax, arrays must be comprised of strings only";
    Diagnostic::error("json-not-strings", message).at(args.span())
}
