//! What settings are called.

/// The names in a file, sorted.
pub(super) const NAMES: &[&str] = &[
    "anonymous",
    "auth",
    "certificate",
    "dir",
    "insecure-open",
    "listen",
    "lru",
    "max-connections",
    "max-size",
    "max-upload-size",
    "max-uploads",
    "min-rate",
    "no-sync",
    "oidc",
    "opaque",
    "raw",
    "storage",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
    "upstream",
    "upstream-token-file",
];

/// The name that was probably meant.
pub(super) fn near(name: &str) -> Option<String> {
    let plain = name.replace('_', "-");
    let distance = |known: &str| strsim::osa_distance(&plain, known);
    let nearest = NAMES.iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= nearest.len() / 3).then(|| (*nearest).to_owned())
}
