//! Copies of the whole context in front of what installs dependencies.

use super::Copied;
use super::shell::{Words, commands, program};
use crate::ast::Instruction;
use crate::diagnostic::Diagnostic;

/// A way to install dependencies.
struct Installer {
    programs: &'static [&'static str],
    /// The first words; an empty one is the program alone.
    verbs: &'static [&'static str],
    /// What it needs of the context; empty when it needs nothing.
    needs: &'static str,
}

const INSTALLERS: [Installer; 12] = [
    installer(
        &["npm"],
        &["ci", "install", "i"],
        "`package.json` and `package-lock.json`",
    ),
    installer(
        &["yarn"],
        &["", "install"],
        "`package.json` and `yarn.lock`",
    ),
    installer(
        &["pnpm"],
        &["install", "i", "fetch"],
        "`package.json` and `pnpm-lock.yaml`",
    ),
    installer(&["pip", "pip3"], &["install"], "`requirements.txt`"),
    installer(
        &["poetry"],
        &["install"],
        "`pyproject.toml` and `poetry.lock`",
    ),
    installer(&["uv"], &["sync"], "`pyproject.toml` and `uv.lock`"),
    installer(
        &["bundle", "bundler"],
        &["install"],
        "`Gemfile` and `Gemfile.lock`",
    ),
    installer(
        &["composer"],
        &["install"],
        "`composer.json` and `composer.lock`",
    ),
    installer(
        &["go"],
        &["mod download", "mod vendor"],
        "`go.mod` and `go.sum`",
    ),
    installer(
        &["cargo"],
        &["fetch", "chef cook"],
        "`Cargo.toml` and `Cargo.lock`",
    ),
    installer(&["dotnet"], &["restore"], "the project files"),
    installer(
        &["apt", "apt-get", "apk", "yum", "dnf", "microdnf", "zypper"],
        &["install", "add"],
        "",
    ),
];

const fn installer(
    programs: &'static [&'static str],
    verbs: &'static [&'static str],
    needs: &'static str,
) -> Installer {
    Installer {
        programs,
        verbs,
        needs,
    }
}

pub(super) fn check(stage: &[Instruction], found: &mut Vec<Diagnostic>) {
    for (idx, item) in stage.iter().enumerate() {
        if !takes_everything(item) {
            continue;
        }
        let later = stage[idx..].iter().flat_map(commands);
        let mut installs = later.filter_map(|words| Some((installer_of(&words)?, words)));
        let Some((installer, words)) = installs.next() else {
            continue;
        };
        let command = shown(&words);
        let fix = match installer.needs {
            "" => "install in front of this instruction".to_owned(),
            needs => format!("copy {needs} alone, install, and copy the rest behind that"),
        };
        let message = format!(
            "the whole context is copied in front of `{command}`, which then runs again after every change of any file: {fix}"
        );
        found.push(Diagnostic::warning("CopySourcesBeforeInstall", message).at(item.span));
    }
}

fn takes_everything(item: &Instruction) -> bool {
    Copied::of(item).is_some_and(|copied| {
        let mut sources = copied.sources.iter();
        sources.any(|source| matches!(source.as_str(), "." | "./" | "/" | "*" | "./*" | "./."))
    })
}

fn installer_of(words: &Words) -> Option<&'static Installer> {
    let (name, rest) = program(words);
    // What installs the context itself cannot stand in front of its copy.
    if rest
        .iter()
        .any(|word| *word == "." || word.starts_with("./") || word.starts_with(".["))
    {
        return None;
    }
    let all = rest.join(" ");
    INSTALLERS.iter().find(|installer| {
        let starts = |verb: &&str| {
            let behind = all.strip_prefix(*verb);
            let is_whole = behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            if verb.is_empty() {
                all.is_empty()
            } else {
                is_whole
            }
        };
        installer.programs.contains(&name) && installer.verbs.iter().any(starts)
    })
}

/// A command as messages show it.
fn shown(words: &Words) -> String {
    const MAX: usize = 40;
    let text = words.join(" ");
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
