use std::collections::BTreeMap;
use std::io;

use super::os_release::Distribution;
use super::{apk, dpkg, go_binary};
use crate::sbom::{Ecosystem, Package, Tree, TreeFile};

/// Bounds of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file of packages that is read.
    pub file_bytes: u64,
    /// The largest program that is looked into.
    pub program_bytes: u64,
    /// As many packages as are listed.
    pub packages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            program_bytes: 256 << 20,
            packages: 200_000,
        }
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The packages, each once, in the order of their package URLs.
    pub packages: Vec<Package>,
    /// Files that could not be read as what they should be, in sentences; the SBOM lacks them.
    pub problems: Vec<String>,
}

/// Who reads a file.
pub(super) type Reader = fn(&str, &[u8], &Distribution) -> Result<Vec<Package>, String>;

/// Looks for packages.
///
/// An error of the tree ends the scan; a file that is damaged, too large or not to be read is a
/// problem, and the scan goes on.
pub fn scan(tree: &dyn Tree, limits: &Limits) -> io::Result<Found> {
    let mut files = tree.files()?;
    files.sort();
    let distribution = distribution(tree, &files, limits)?;
    let mut scan = Scan::default();
    for file in &files {
        let Some((reader, kind)) = reader(file) else {
            continue;
        };
        match look(tree, file, kind, limits)? {
            Look::Nothing => {}
            Look::Problem(problem) => scan.problem(&file.path, &problem),
            Look::Bytes(bytes) => match reader(&file.path, &bytes, &distribution) {
                Ok(packages) => scan.add(packages, limits),
                Err(problem) => scan.problem(&file.path, &problem),
            },
        }
    }
    add_debian_licenses(tree, &files, limits, &mut scan)?;
    Ok(scan.finish())
}

/// What kind of file is read, which has its own bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A list of packages, or one package.
    List,
    /// A program, which is read only if it begins as one.
    Program,
}

enum Look {
    Nothing,
    Problem(String),
    Bytes(Vec<u8>),
}

/// Reads a file within its bound. A file that went away or may not be read is a problem of its own;
/// any other error is one of the whole tree.
fn look(tree: &dyn Tree, file: &TreeFile, kind: FileKind, limits: &Limits) -> io::Result<Look> {
    let limit = match kind {
        FileKind::List => limits.file_bytes,
        FileKind::Program => limits.program_bytes,
    };
    let read = || {
        // Most files that may be executed are scripts, and need not be read whole.
        let is_program = |start: &[u8]| go_binary::is_program(start);
        if kind == FileKind::Program && !is_program(&tree.read(&file.path, 4)?) {
            return Ok(Look::Nothing);
        }
        if file.size > limit {
            return Ok(Look::Problem(format!("larger than {limit} bytes")));
        }
        tree.read(&file.path, limit).map(Look::Bytes)
    };
    match read() {
        Err(error) if is_of_one_file(&error) => Ok(Look::Problem(error.kind().to_string())),
        result => result,
    }
}

fn is_of_one_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

#[derive(Default)]
struct Scan {
    packages: BTreeMap<String, Package>,
    problems: Vec<String>,
    full: bool,
}

impl Scan {
    fn add(&mut self, packages: Vec<Package>, limits: &Limits) {
        for package in packages.into_iter().filter(|p| !p.name.is_empty()) {
            let purl = package.purl();
            if let Some(known) = self.packages.get_mut(&purl) {
                known.merge(package);
            } else if self.packages.len() < limits.packages {
                self.packages.insert(purl, package);
            } else if !self.full {
                self.full = true;
                self.problems.push(format!(
                    "only the first {} packages are listed",
                    limits.packages
                ));
            }
        }
    }

    fn problem(&mut self, path: &str, problem: &str) {
        const LISTED: usize = 100;
        match self.problems.len() {
            LISTED => self.problems.push("and more".to_owned()),
            n if n < LISTED => self.problems.push(format!("`{path}`: {problem}")),
            _ => {}
        }
    }

    fn finish(self) -> Found {
        Found {
            packages: self.packages.into_values().collect(),
            problems: self.problems,
        }
    }
}

fn distribution(tree: &dyn Tree, files: &[TreeFile], limits: &Limits) -> io::Result<Distribution> {
    for path in ["etc/os-release", "usr/lib/os-release"] {
        if files.iter().any(|file| file.path == path) {
            let bytes = tree.read(path, limits.file_bytes)?;
            return Ok(Distribution::parse(&bytes));
        }
    }
    Ok(Distribution::default())
}

/// Who reads a file, by its path alone.
fn reader(file: &TreeFile) -> Option<(Reader, FileKind)> {
    let path = file.path.as_str();
    let name = path.rsplit('/').next().unwrap_or(path);
    let reader: Reader = match path {
        "var/lib/dpkg/status" => |p, b, d| Ok(dpkg::status(p, b, d)),
        _ if is_status_d(path) => |p, b, d| Ok(dpkg::status(p, b, d)),
        "lib/apk/db/installed" | "usr/lib/apk/db/installed" => {
            |p, b, d| Ok(apk::installed(p, b, d))
        }
        _ => return super::language::reader(path, name, file.executable),
    };
    Some((reader, FileKind::List))
}

fn is_status_d(path: &str) -> bool {
    let name = path.strip_prefix("var/lib/dpkg/status.d/");
    name.is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"))
}

/// Debian keeps licences beside the documentation, not in its database.
fn add_debian_licenses(
    tree: &dyn Tree,
    files: &[TreeFile],
    limits: &Limits,
    scan: &mut Scan,
) -> io::Result<()> {
    let packages = scan
        .packages
        .values_mut()
        .filter(|p| p.ecosystem == Ecosystem::Deb);
    for package in packages {
        let path = format!("usr/share/doc/{}/copyright", package.name);
        let at = files.binary_search_by(|file| file.path.as_str().cmp(&path));
        if at.is_ok_and(|at| files[at].size <= limits.file_bytes) {
            match tree.read(&path, limits.file_bytes) {
                Ok(bytes) => package.license = dpkg::copyright(&bytes),
                // A licence less is what most packages have anyway.
                Err(error) if is_of_one_file(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// A URL that SPDX takes as one.
pub(super) fn url(text: &str) -> Option<String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
    (is_web && plain && text.len() > 8).then(|| crate::redact(text))
}

/// `Name <mail>` as SPDX writes it: `Person: Name (mail)`.
pub(super) fn actor(kind: &str, text: &str) -> String {
    match text.split_once(" <") {
        Some((name, mail)) => format!("{kind}: {name} ({})", mail.trim_end_matches('>')),
        None => format!("{kind}: {text}"),
    }
}
