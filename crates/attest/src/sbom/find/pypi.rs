//! `requirements*.txt` with pinned versions, and the metadata of what is installed.

use super::fields::{self, field, values};
use super::scan;
use crate::sbom::license::join;
use crate::sbom::{Ecosystem, HashAlgorithm, Package};

/// The requirements that name one version with `==`; others say too little.
pub(super) fn requirements(path: &str, bytes: &[u8]) -> Vec<Package> {
    let text = fields::text(bytes).replace("\\\n", " ");
    text.lines()
        .filter_map(|line| requirement(path, line))
        .collect()
}

fn requirement(path: &str, line: &str) -> Option<Package> {
    let line = line.split(" #").next()?.trim();
    if line.starts_with(['#', '-']) {
        return None;
    }
    let mut words = line.split_whitespace();
    let spec = line.split(';').next()?.split(" --").next()?;
    let (name, version) = spec.split_once("==")?;
    let version = version.trim_start_matches('=').trim();
    let name = name.split('[').next()?.trim();
    let is_pinned = !version.is_empty() && !version.contains(['*', ',', ' ']);
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_pinned || !is_name {
        return None;
    }
    let mut package = Package::new(Ecosystem::Pypi, name, version, path);
    // Several hashes are those of several files, of which one was taken.
    let mut hashes = words
        .by_ref()
        .filter_map(|word| word.strip_prefix("--hash=sha256:"));
    if let (Some(hash), None) = (hashes.next(), hashes.next()) {
        package.add_checksum(HashAlgorithm::Sha256, hash);
    }
    Some(package)
}

/// `*.dist-info/METADATA` and `*.egg-info/PKG-INFO`: a mail header.
pub(super) fn metadata(path: &str, bytes: &[u8]) -> Vec<Package> {
    let text = fields::text(bytes);
    let Some(header) = fields::paragraphs(&text).next() else {
        return Vec::new();
    };
    let (Some(name), Some(version)) = (field(&header, "Name"), field(&header, "Version")) else {
        return Vec::new();
    };
    let mut package = Package::new(Ecosystem::Pypi, name, version, path);
    package.license = license(&header);
    package.homepage = field(&header, "Home-page").and_then(scan::url);
    vec![package]
}

fn license(header: &[&str]) -> Option<String> {
    if let Some(expression) = field(header, "License-Expression") {
        return Some(expression.to_owned());
    }
    // Some put the whole text of the licence here, which is no name.
    let named = field(header, "License").filter(|text| text.len() < 100);
    if let Some(named) = named.filter(|text| !text.eq_ignore_ascii_case("unknown")) {
        return Some(named.to_owned());
    }
    let classified = values(header, "Classifier").filter_map(|value| {
        let name = value.strip_prefix("License :: ")?.rsplit(" :: ").next()?;
        (name != "OSI Approved").then(|| classifier(name).to_owned())
    });
    join(classified)
}

/// The classifiers that mean one licence.
fn classifier(name: &str) -> &str {
    match name {
        "Apache Software License" => "Apache-2.0",
        "MIT License" => "MIT",
        "ISC License (ISCL)" => "ISC",
        "Python Software Foundation License" => "PSF-2.0",
        "Mozilla Public License 2.0 (MPL 2.0)" => "MPL-2.0",
        "The Unlicense (Unlicense)" => "Unlicense",
        "GNU General Public License v2 (GPLv2)" => "GPL-2.0-only",
        "GNU General Public License v2 or later (GPLv2+)" => "GPL-2.0-or-later",
        "GNU General Public License v3 (GPLv3)" => "GPL-3.0-only",
        "GNU General Public License v3 or later (GPLv3+)" => "GPL-3.0-or-later",
        other => other,
    }
}
