//! `go.mod`. What `go.sum` adds are checksums of a kind that SPDX has no name for, and modules that
//! were only looked at.

use super::fields;
use crate::sbom::{Ecosystem, Package};

/// The modules that are required, with replacements applied.
pub(super) fn module(path: &str, bytes: &[u8]) -> Vec<Package> {
    let text = fields::text(bytes);
    let directives = directives(&text);
    let replacements: Vec<Replacement<'_>> = directives
        .iter()
        .filter(|(verb, _)| *verb == "replace")
        .filter_map(|(_, words)| replacement(words))
        .collect();
    let required = directives.iter().filter(|(verb, _)| *verb == "require");
    required
        .filter_map(|(_, words)| {
            let [name, version, ..] = words.as_slice() else {
                return None;
            };
            let replaced = replacements
                .iter()
                .find(|r| r.name == *name && r.version.is_none_or(|replaced| replaced == *version));
            match replaced.map(|r| r.by) {
                Some(None) => None,
                Some(Some((name, version))) => {
                    Some(Package::new(Ecosystem::Golang, name, version, path))
                }
                None => Some(Package::new(Ecosystem::Golang, name, version, path)),
            }
        })
        .collect()
}

struct Replacement<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// None is a local directory.
    by: Option<(&'a str, &'a str)>,
}

fn replacement<'a>(words: &[&'a str]) -> Option<Replacement<'a>> {
    let arrow = words.iter().position(|word| *word == "=>")?;
    let (from, to) = (&words[..arrow], &words[arrow + 1..]);
    let by = match to {
        [name, version] => Some((*name, *version)),
        _ => None,
    };
    Some(Replacement {
        name: from.first()?,
        version: from.get(1).copied(),
        by,
    })
}

/// Lines as a verb and its words, those in parentheses with the verb in front of them.
fn directives(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut out = Vec::new();
    let mut block = None;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_matches('"'))
            .collect();
        match (block, words.as_slice()) {
            (_, []) => {}
            (Some(_), [")"]) => block = None,
            (Some(verb), _) => out.push((verb, words)),
            (None, [verb, "("]) => block = Some(*verb),
            (None, [verb, rest @ ..]) => out.push((*verb, rest.to_vec())),
        }
    }
    out
}
