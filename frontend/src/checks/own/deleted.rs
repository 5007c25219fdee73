//! Files that one step adds and a later one removes.

use super::Copied;
use super::shell::{Words, commands, program};
use crate::ast::{Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use acetate_pattern::{IgnoreMatcher, clean};

/// A path that a step put there.
struct Added {
    path: String,
    keyword: String,
    line: u32,
}

pub(super) fn check(stage: &[Instruction], found: &mut Vec<Diagnostic>) {
    let mut added: Vec<Added> = Vec::new();
    let mut workdir = "/".to_owned();
    for item in stage {
        let mut new = Vec::new();
        match &item.kind {
            InstructionKind::Workdir(path) => workdir = join(&workdir, path.as_str()),
            InstructionKind::Run(_) => {
                let mut cwd = workdir.clone();
                for words in commands(item) {
                    let (name, rest) = program(&words);
                    match (name, rest.first()) {
                        ("cd", Some(dir)) => cwd = join(&cwd, dir),
                        ("rm", _) => {
                            let paths = rest.iter().map(|path| join(&cwd, path));
                            removed(item, paths, &mut added, &mut new, found);
                        }
                        _ => new.extend(made(&words).map(|path| join(&cwd, &path))),
                    }
                }
            }
            _ => new.extend(copied(item, &workdir)),
        }
        added.extend(
            new.into_iter()
                .filter(|path| is_known(path))
                .map(|path| Added {
                    path,
                    keyword: item.name(),
                    line: item.lines.first,
                }),
        );
    }
}

/// Reports each removal once, for the first thing that it is too late for. What is `new` in the same
/// step is gone in time.
fn removed(
    item: &Instruction,
    paths: impl Iterator<Item = String>,
    added: &mut Vec<Added>,
    new: &mut Vec<String>,
    found: &mut Vec<Diagnostic>,
) {
    for path in paths {
        let pattern = path.trim_start_matches('/');
        if !is_known(&path) || pattern.is_empty() {
            continue;
        }
        let Ok(matcher) = IgnoreMatcher::from_patterns([pattern]) else {
            continue;
        };
        let is_hit = |path: &str| matcher.matches(path.trim_start_matches('/'));
        if let Some(hit) = added.iter().find(|it| is_hit(&it.path)) {
            let fix = if hit.keyword == "RUN" {
                "remove it at the end of that RUN"
            } else {
                "use `RUN --mount=type=bind` instead of copying it"
            };
            let message = format!(
                "`{}` stays in the layer of the {} of line {}, although it is removed here: {fix}",
                hit.path, hit.keyword, hit.line
            );
            found.push(Diagnostic::warning("DeletedInLaterLayer", message).at(item.span));
        }
        added.retain(|it| !is_hit(&it.path));
        new.retain(|path| !is_hit(path));
    }
}

/// The paths that a COPY or ADD writes, as far as they can be told without looking at its sources.
fn copied(item: &Instruction, workdir: &str) -> Vec<String> {
    let Some(copied) = Copied::of(item) else {
        return Vec::new();
    };
    let dest = copied.dest.as_str();
    let into = join(workdir, dest);
    let is_dir = dest.ends_with('/') || dest == "." || copied.sources.len() > 1;
    let paths = copied.sources.iter().map(|source| {
        let name = clean(source.as_str());
        let name = name.rsplit('/').next().unwrap_or_default();
        if is_dir && name != "." && !name.is_empty() {
            join(&into, name)
        } else {
            into.clone()
        }
    });
    paths.collect()
}

/// The files that a command makes, for commands that say it.
fn made(words: &Words) -> impl Iterator<Item = String> {
    let (name, rest) = program(words);
    let path = match name {
        "curl" => behind(words, &["-o", "--output"]),
        "wget" => behind(words, &["-O", "--output-document"]),
        "git" if rest.first() == Some(&"clone") => rest.get(2).map(|dir| (*dir).to_owned()),
        "apt-get" | "apt" if rest.first() == Some(&"update") => {
            Some("/var/lib/apt/lists/partial".to_owned())
        }
        _ => None,
    };
    path.into_iter()
}

/// The value of a flag, in the next word or behind `=`.
fn behind(words: &Words, flags: &[&str]) -> Option<String> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if let Some((flag, value)) = word.split_once('=')
            && flags.contains(&flag)
        {
            return Some(value.to_owned());
        }
        // Short flags may stand together: `-sSLo file`.
        let is_short = |flag: &&str| {
            flag.len() == 2
                && !word.starts_with("--")
                && word.starts_with('-')
                && word.ends_with(&flag[1..])
        };
        if flags.contains(&word.as_str()) || flags.iter().any(is_short) {
            return rest.next().cloned();
        }
    }
    None
}

/// The root has everything in it, and what a variable holds is not known here.
fn is_known(path: &str) -> bool {
    path != "/" && !path.contains('$')
}

fn join(dir: &str, path: &str) -> String {
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{dir}/{path}"))
    }
}
