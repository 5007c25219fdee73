//! `pnpm-lock.yaml`, in the layout that pnpm writes; it is no reader of YAML.

use super::{fields, integrity};
use crate::sbom::{Ecosystem, Package};

/// The packages of the section `packages:`: names are keys indented by two.
pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let text = fields::text(bytes);
    if !text
        .lines()
        .any(|line| line.starts_with("lockfileVersion:"))
    {
        return Err("no `lockfileVersion`, so not written by pnpm".to_owned());
    }
    let mut out: Vec<Package> = Vec::new();
    let section = text.lines().skip_while(|line| *line != "packages:").skip(1);
    for line in section.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        match depth {
            2 => out.extend(package(path, line)),
            4 => {
                let value = line
                    .strip_prefix("resolution:")
                    .and_then(|v| inline(v, "integrity"));
                if let (Some(value), Some(last)) = (value, out.last_mut()) {
                    integrity::add(last, value);
                }
            }
            6 => {
                let value = line.strip_prefix("integrity:");
                if let (Some(value), Some(last)) = (value, out.last_mut()) {
                    integrity::add(last, value.trim());
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// `/name/1.0.0:` up to version 5, `/name@1.0.0(peer):` in 6, `name@1.0.0:` since 9.
fn package(path: &str, line: &str) -> Option<Package> {
    let key = line
        .strip_suffix(": {}")
        .or_else(|| line.strip_suffix(':'))?;
    let key = key.trim_matches(['\'', '"']);
    let slashed = key.starts_with('/');
    let key = key.trim_start_matches('/').split('(').next()?;
    let at = key.get(1..)?.find('@').map(|at| at + 1);
    let (name, version) = match (at, slashed) {
        (Some(at), _) => (&key[..at], &key[at + 1..]),
        (None, true) => key.rsplit_once('/')?,
        (None, false) => return None,
    };
    // Before version 6 the peers follow an underscore.
    let version = version.split('_').next()?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then(|| Package::new(Ecosystem::Npm, name, version, path))
}

/// A field of `{integrity: sha512-…, tarball: …}`.
fn inline<'a>(map: &'a str, name: &str) -> Option<&'a str> {
    let inside = map.trim().strip_prefix('{')?.strip_suffix('}')?;
    inside.split(',').find_map(|part| {
        let (key, value) = part.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}
