//! The `Env` list of an image config.

/// What PATH is where nothing sets it (S60).
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Sets a variable; one that is there keeps its place.
pub(super) fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match env.iter_mut().find(|entry| key(entry) == name) {
        Some(found) => *found = entry,
        None => env.push(entry),
    }
}

/// Says whether a variable is set.
pub(super) fn contains(env: &[String], name: &str) -> bool {
    env.iter().any(|entry| key(entry) == name)
}

/// Parts an entry; one without `=` has an empty value.
pub(super) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

fn key(entry: &str) -> &str {
    split(entry).0
}
