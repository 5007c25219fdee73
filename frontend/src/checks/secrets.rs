//! Variables whose names tell that they hold secrets.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// With these it is something about a secret, but none.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Finds fault with an ARG or ENV whose name means a secret.
pub(crate) fn secret_name(keyword: &str, name: &str, place: Span) -> Option<Diagnostic> {
    if !means_secret(name) {
        return None;
    }
    let message =
        format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
    let warning = Diagnostic::warning("SecretsUsedInArgOrEnv", message).at(place);
    Some(warning.with_hint("use `RUN --mount=type=secret`"))
}

/// Says whether a name has a part, between underscores, that means a secret.
pub fn means_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}
