//! `yarn.lock`, of the classic kind and of yarn 2 and later.

use super::{fields, integrity};
use crate::sbom::{Ecosystem, Package};

pub(super) fn lock(path: &str, bytes: &[u8]) -> Vec<Package> {
    let text = fields::text(bytes);
    fields::paragraphs(&text)
        .filter_map(|paragraph| package(path, &paragraph))
        .collect()
}

/// A paragraph: the names that ask for it, then its fields, indented by two.
fn package(path: &str, paragraph: &[&str]) -> Option<Package> {
    let heading = paragraph
        .iter()
        .find(|l| !l.starts_with('#') && !l.starts_with(' '))?;
    let heading = heading.strip_suffix(':')?;
    let version = value(paragraph, "version")?;
    // Later yarn says which package it took; `workspace:` is the project itself.
    let resolution = value(paragraph, "resolution");
    if resolution.is_some_and(|r| r.contains("@workspace:")) {
        return None;
    }
    let asked = heading.split(',').next()?.trim().trim_matches('"');
    let mut package = Package::new(
        Ecosystem::Npm,
        name(resolution.unwrap_or(asked))?,
        version,
        path,
    );
    if let Some(value) = value(paragraph, "integrity") {
        integrity::add(&mut package, value);
    }
    Some(package)
}

/// The name in front of the second `@`, or of the first when there is no scope; that of the real
/// package when it is asked for under another one.
fn name(spec: &str) -> Option<&str> {
    let at = spec.get(1..)?.find('@')? + 1;
    let (name, range) = (&spec[..at], &spec[at + 1..]);
    let alias = range
        .strip_prefix("npm:")
        .filter(|alias| alias.get(1..).is_some_and(|a| a.contains('@')));
    match alias {
        Some(alias) => self::name(alias),
        None => Some(name),
    }
}

/// `  name value` or `  name: value`, with or without quotes.
fn value<'a>(paragraph: &[&'a str], name: &str) -> Option<&'a str> {
    paragraph.iter().find_map(|line| {
        let rest = line.strip_prefix("  ")?;
        let rest = rest.strip_prefix(name).or_else(|| {
            rest.strip_prefix('"')?
                .strip_prefix(name)?
                .strip_prefix('"')
        })?;
        let rest = rest.strip_prefix(':').unwrap_or(rest).strip_prefix(' ')?;
        let value = rest.trim().trim_matches('"');
        (!value.is_empty()).then_some(value)
    })
}
