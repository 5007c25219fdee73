//! `Gemfile.lock`.

use super::fields;
use crate::sbom::{Ecosystem, HashAlgorithm, Package};

/// The gems of all `specs:`, which stand indented by four; their needs are indented by six.
pub(super) fn lock(path: &str, bytes: &[u8]) -> Vec<Package> {
    let text = fields::text(bytes);
    let mut section = "";
    let mut out: Vec<Package> = Vec::new();
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        let entry = entry(line.trim());
        match (depth, section, entry) {
            (0, _, _) => section = line,
            (4, "GEM" | "GIT" | "PATH" | "PLUGIN SOURCE", Some((name, version, _))) => {
                out.push(package(path, name, version));
            }
            (2, "CHECKSUMS", Some((name, version, rest))) => {
                let wanted = package(path, name, version).purl();
                let sha256 = rest.trim().strip_prefix("sha256=");
                if let (Some(hex), Some(known)) =
                    (sha256, out.iter_mut().find(|p| p.purl() == wanted))
                {
                    known.add_checksum(HashAlgorithm::Sha256, hex);
                }
            }
            _ => {}
        }
    }
    out
}

/// `name (1.0-x86_64-linux) rest`.
fn entry(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(')')?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then_some((name, version, rest))
}

/// What follows the first dash of a version is the platform.
fn package(path: &str, name: &str, version: &str) -> Package {
    let (version, platform) = version.split_once('-').unwrap_or((version, ""));
    let mut package = Package::new(Ecosystem::Gem, name, version, path);
    package.qualifiers.insert("platform", platform.to_owned());
    package
}
