use serde_json::Value;

use super::CORE;
use crate::sbom::PREDICATE_SPDX;
use crate::{Statement, StatementVersion, Subject};

/// As large as one scan may be; BuildKit has the same bound.
const MAX_BYTES: usize = 80 << 20;
/// As many scans as one run may write.
const MAX_SCANS: usize = 1000;
/// The predicate type of the other format that scanners write.
const PREDICATE_CYCLONEDX: &str = "https://cyclonedx.org/bom";

/// A file that a scanner wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Its path below the output directory.
    pub path: String,
    /// Its bytes; the engine may cut them at 80 MiB and one byte.
    pub bytes: Vec<u8>,
}

/// A scan that is fit to be carried.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Its file's name without `.json`: `sbom.spdx`, `sbom-build.spdx`.
    pub name: String,
    /// What it is.
    pub predicate_type: String,
    /// What the scanner says that it is about; mostly nothing.
    pub subject: Vec<Subject>,
    /// What it says.
    pub predicate: Value,
}

impl Scan {
    /// The scan as a statement; `subject` is what was built, for a scan that does not say.
    pub fn statement(&self, version: StatementVersion, subject: &[Subject]) -> Statement {
        let own = !self.subject.is_empty();
        Statement {
            version,
            predicate_type: self.predicate_type.clone(),
            subject: if own {
                self.subject.clone()
            } else {
                subject.to_vec()
            },
            predicate: self.predicate.clone(),
        }
    }
}

/// What a scanner wrote.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Collected {
    /// The scans: that of the result first, then by name.
    pub scans: Vec<Scan>,
    /// Files that are no scans by their names, for a warning.
    pub ignored: Vec<String>,
}

/// What is wrong with the output of a scanner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// It wrote nothing.
    #[error("the scanner wrote no `.spdx.json`; does it follow BuildKit's SBOM protocol?")]
    Nothing,
    /// It wrote too many files.
    #[error("the scanner wrote more than {MAX_SCANS} scans")]
    TooMany,
    /// A file is too large.
    #[error("scan `{0}` is larger than 80 MiB")]
    TooLarge(String),
    /// A file is no in-toto statement.
    #[error("scan `{path}` is no in-toto statement: {problem}")]
    NoStatement {
        /// The file.
        path: String,
        /// Why not.
        problem: String,
    },
    /// A statement says something that a scanner has no business to say.
    #[error("scan `{path}` has predicate type `{found}`; a scanner may write `{PREDICATE_SPDX}`")]
    WrongType {
        /// The file.
        path: String,
        /// Its type.
        found: String,
    },
    /// A predicate that is not what its type says.
    #[error("scan `{path}` has no SPDX document in it: {problem}")]
    NoDocument {
        /// The file.
        path: String,
        /// Why not.
        problem: &'static str,
    },
}

/// Checks and orders what a scanner wrote.
pub fn collect(files: Vec<OutputFile>) -> Result<Collected, OutputError> {
    let mut collected = Collected::default();
    for file in files {
        match scan_name(&file.path) {
            None => collected.ignored.push(file.path),
            Some(_) if collected.scans.len() == MAX_SCANS => return Err(OutputError::TooMany),
            Some(name) => {
                let name = name.to_owned();
                collected.scans.push(parse(name, &file)?);
            }
        }
    }
    if collected.scans.is_empty() {
        return Err(OutputError::Nothing);
    }
    collected.ignored.sort();
    collected.scans.sort_by(|a, b| order(a).cmp(&order(b)));
    collected.scans.dedup();
    Ok(collected)
}

/// A scan lies at the top of the output; names are otherwise free.
fn scan_name(path: &str) -> Option<&str> {
    let path = path.trim_start_matches('/');
    let name = path.strip_suffix(".json").filter(|_| !path.contains('/'))?;
    let known = [".spdx", ".cdx"]
        .iter()
        .any(|kind| name.len() > kind.len() && name.ends_with(kind));
    known.then_some(name)
}

fn order(scan: &Scan) -> (bool, &str) {
    let first = scan.name.split('.').next().unwrap_or_default();
    (first != CORE, &scan.name)
}

fn parse(name: String, file: &OutputFile) -> Result<Scan, OutputError> {
    let path = &file.path;
    if file.bytes.len() > MAX_BYTES {
        return Err(OutputError::TooLarge(path.clone()));
    }
    let value: Value = serde_json::from_slice(&file.bytes).map_err(|e| no_statement(path, &e))?;
    let Value::Object(mut statement) = value else {
        return Err(no_statement(path, &"it is no JSON object"));
    };
    let version = statement.remove("_type").unwrap_or_default();
    serde_json::from_value::<StatementVersion>(version)
        .map_err(|_| no_statement(path, &"`_type` is not an in-toto statement's"))?;
    let subject = statement
        .remove("subject")
        .filter(|subject| !subject.is_null());
    let subject = subject.map_or(Ok(Vec::new()), serde_json::from_value);
    let subject = subject.map_err(|e| no_statement(path, &e))?;
    let Some(Value::String(predicate_type)) = statement.remove("predicateType") else {
        return Err(no_statement(path, &"it has no `predicateType`"));
    };
    let predicate = statement.remove("predicate").unwrap_or_default();
    check_predicate(path, &predicate_type, &predicate)?;
    Ok(Scan {
        name,
        predicate_type,
        subject,
        predicate,
    })
}

fn check_predicate(path: &str, kind: &str, predicate: &Value) -> Result<(), OutputError> {
    let problem = match kind {
        PREDICATE_CYCLONEDX if predicate.is_object() => None,
        PREDICATE_CYCLONEDX => Some("`predicate` is no object"),
        PREDICATE_SPDX => match predicate.get("spdxVersion").and_then(Value::as_str) {
            Some(version) if version.starts_with("SPDX-2.") => None,
            Some(_) => Some("`spdxVersion` is not `SPDX-2.2` or `SPDX-2.3`"),
            None => Some("`spdxVersion` is missing"),
        },
        _ => {
            return Err(OutputError::WrongType {
                path: path.to_owned(),
                found: kind.to_owned(),
            });
        }
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(OutputError::NoDocument {
            path: path.to_owned(),
            problem,
        }),
    }
}

fn no_statement(path: &str, problem: &dyn std::fmt::Display) -> OutputError {
    OutputError::NoStatement {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}
