//! What Go writes into its programs: the section that `go version -m` reads.

use crate::sbom::{Ecosystem, Package};

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The header of the section, behind which the texts stand since Go 1.18.
const HEADER: usize = 32;
/// The text is aligned to this in all formats of programs.
const ALIGNMENT: usize = 16;

/// The modules of a Go program; nothing for any other program.
pub(super) fn modules(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    if !is_program(bytes) {
        return Ok(Vec::new());
    }
    let at = bytes
        .chunks(ALIGNMENT)
        .position(|chunk| chunk.starts_with(MAGIC));
    let Some(at) = at.map(|chunk| chunk * ALIGNMENT) else {
        return Ok(Vec::new());
    };
    // Bit 1: texts stand here. Before Go 1.18 pointers did, which only a loader can follow.
    if bytes.get(at + 15).is_none_or(|flags| flags & 2 == 0) {
        return Err("a program of Go before 1.18 does not say its modules inline".to_owned());
    }
    let damaged = || "damaged Go build information".to_owned();
    let mut rest = bytes.get(at + HEADER..).ok_or_else(damaged)?;
    let version = take(&mut rest).ok_or_else(damaged)?;
    let info = take(&mut rest).ok_or_else(damaged)?;
    let mut out = Vec::new();
    if let Some(version) = version
        .strip_prefix("go")
        .filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    {
        out.push(Package::new(Ecosystem::Golang, "stdlib", version, path));
    }
    out.extend(listed(path, &info));
    Ok(out)
}

/// Whether bytes begin as a program of any system does.
pub(super) fn is_program(bytes: &[u8]) -> bool {
    [
        &b"\x7fELF"[..],
        b"MZ",
        b"\xcf\xfa\xed\xfe",
        b"\xfe\xed\xfa\xcf",
    ]
    .iter()
    .any(|magic| bytes.starts_with(magic))
}

/// A text with its length in front, as a variable-length number.
fn take(rest: &mut &[u8]) -> Option<String> {
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    None
}

/// Lines `dep<TAB>module<TAB>version[<TAB>sum]`; `=>` replaces the line before it.
fn listed(path: &str, info: &str) -> Vec<Package> {
    let mut out: Vec<Package> = Vec::new();
    for line in info.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let (kind, name, version) = match words.as_slice() {
            [kind, name, version, ..] => (*kind, *name, *version),
            _ => continue,
        };
        let version = if version == "(devel)" { "" } else { version };
        let package = Package::new(Ecosystem::Golang, name, version, path);
        match kind {
            "mod" | "dep" => out.push(package),
            // A directory in place of a module has no name that others know.
            "=>" if !name.starts_with(['.', '/']) => {
                out.pop();
                out.push(package);
            }
            _ => {}
        }
    }
    out
}
