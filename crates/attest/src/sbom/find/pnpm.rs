//! `pnpm-lock.yaml`, in the layout that pnpm writes; it is no reader of YAML.

use super::{fields, integrity};
use crate::sbom::{Ecosystem, Package};

/// Parts a key into name and version.
type Split = fn(&str) -> Option<(&str, &str)>;

/// The packages of the section `packages:`: names are keys indented by two.
pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let text = fields::text(bytes);
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("lockfileVersion:"))
        .ok_or("no `lockfileVersion`, so not written by pnpm")?;
    let split = if is_old(version) {
        split_old
    } else {
        split_new
    };
    let mut out: Vec<Package> = Vec::new();
    let section = text.lines().skip_while(|line| *line != "packages:").skip(1);
    for line in section.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        let integrity = match depth {
            2 => {
                out.extend(package(path, line, split));
                None
            }
            4 => line
                .strip_prefix("resolution:")
                .and_then(|map| inline(map, "integrity")),
            6 => line.strip_prefix("integrity:"),
            _ => None,
        };
        if let (Some(integrity), Some(last)) = (integrity, out.last_mut()) {
            integrity::add(last, integrity.trim());
        }
    }
    Ok(out)
}

/// True before version 6.
fn is_old(version: &str) -> bool {
    let version = version.trim().trim_matches(['\'', '"']);
    let major = version
        .split('.')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    major.is_some_and(|major| major < 6)
}

/// A key and what stands behind its colon.
fn package(path: &str, line: &str, split: Split) -> Option<Package> {
    let key = line
        .strip_suffix(": {}")
        .or_else(|| line.strip_suffix(':'))?;
    let (name, version) = split(key.trim_matches(['\'', '"']))?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then(|| Package::new(Ecosystem::Npm, name, version, path))
}

/// Up to version 5: `/name/1.0.0_peers`.
fn split_old(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/')?;
    let scope = if key.starts_with('@') {
        key.find('/')? + 1
    } else {
        0
    };
    let slash = scope + key.get(scope..)?.find('/')?;
    let version = key[slash + 1..].split('_').next()?;
    Some((&key[..slash], version))
}

/// `/name@1.0.0(peers)` in version 6, without the slash since 9.
fn split_new(key: &str) -> Option<(&str, &str)> {
    let key = key.trim_start_matches('/').split('(').next()?;
    let at = key.get(1..)?.find('@')? + 1;
    Some((&key[..at], &key[at + 1..]))
}

/// A field of `{integrity: sha512-…, tarball: …}`.
fn inline<'a>(map: &'a str, name: &str) -> Option<&'a str> {
    let inside = map.trim().strip_prefix('{')?.strip_suffix('}')?;
    inside.split(',').find_map(|part| {
        let (key, value) = part.split_once(':')?;
        (key.trim() == name).then_some(value)
    })
}
