//! The structure checks: what reviews would otherwise have to look for.
//!
//! Each rule is one module with a pure function from text to findings, so that its tests need no
//! checkout.

mod behaviours;
mod codes;
mod headers;
mod links;
mod map;
mod open_ends;
mod sizes;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::project::Project;

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: PathBuf,
    /// Counted from one; 0 for the file as a whole.
    line: usize,
    text: String,
}

impl Finding {
    fn new(file: &Path, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// A file of the repository, with its path from the root.
#[derive(Debug)]
struct Text {
    path: PathBuf,
    content: String,
}

impl Text {
    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|e| e == extension)
    }
}

pub(crate) fn run(project: &Project) -> Result<()> {
    let texts = read_all(project)?;
    let mut findings = Vec::new();
    for text in &texts {
        findings.extend(open_ends::check(&text.path, &text.content));
        findings.extend(words::check(&text.path, &text.content));
        if text.is("rs") {
            findings.extend(sizes::check(&text.path, &text.content));
        }
        if text.is("md") {
            findings.extend(links::check(project.root(), &text.path, &text.content));
        }
        if text.path.ends_with("src/lib.rs") {
            findings.extend(headers::check(&text.path, &text.content));
        }
    }
    findings.extend(map::check(project)?);
    findings.extend(codes::check(&texts));
    findings.extend(behaviours::check(&texts));
    findings.sort();
    for finding in &findings {
        println!("tidy: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} things to mend"),
    }
}

/// Every text that is committed, or would be: ignored files are left out.
fn read_all(project: &Project) -> Result<Vec<Text>> {
    let mut command = Command::new("git");
    command.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let listed = process::stdout(command.current_dir(project.root()))
        .context("tidy looks at the files that git knows")?;
    let mut texts = Vec::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let path = project.path(name);
        // A file may be listed and yet be deleted; one that is not text has no lines to check.
        let Ok(content) = std::fs::read_to_string(&path) else {
            continue;
        };
        texts.push(Text {
            path: PathBuf::from(name),
            content,
        });
    }
    texts.sort_by(|a, b| a.path.cmp(&b.path));
    texts.dedup_by(|a, b| a.path == b.path);
    Ok(texts)
}
