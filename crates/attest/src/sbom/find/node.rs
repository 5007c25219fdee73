//! `package-lock.json` of the versions 1 to 3, and `node_modules/*/package.json`.

use serde_json::{Map, Value};

use super::{integrity, scan};
use crate::sbom::license::join;
use crate::sbom::{Ecosystem, Package};

/// As deep as version 1 may nest dependencies.
const MAX_DEPTH: usize = 100;

pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "no JSON".to_owned())?;
    let mut out = Vec::new();
    if let Some(packages) = value.get("packages").and_then(Value::as_object) {
        out.extend(
            packages
                .iter()
                .filter_map(|(at, entry)| located(path, at, entry)),
        );
    } else if let Some(dependencies) = value.get("dependencies").and_then(Value::as_object) {
        nested(path, dependencies, 0, &mut out);
    }
    Ok(out)
}

/// An entry of the versions 2 and 3, by where it is installed.
fn located(path: &str, at: &str, entry: &Value) -> Option<Package> {
    let (_, installed_as) = at.rsplit_once("node_modules/")?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    // A package under another name says which one it really is.
    let name = text("name").unwrap_or(installed_as);
    let mut package = Package::new(Ecosystem::Npm, name, text("version")?, path);
    package.license = license(entry);
    if let Some(value) = text("integrity") {
        integrity::add(&mut package, value);
    }
    Some(package)
}

fn nested(path: &str, dependencies: &Map<String, Value>, depth: usize, out: &mut Vec<Package>) {
    if depth == MAX_DEPTH {
        return;
    }
    for (name, entry) in dependencies {
        let Some(version) = entry.get("version").and_then(Value::as_str) else {
            continue;
        };
        let alias = version
            .strip_prefix("npm:")
            .and_then(|alias| alias.rsplit_once('@'));
        let (name, version) = alias.unwrap_or((name, version));
        let mut package = Package::new(Ecosystem::Npm, name, version, path);
        if let Some(value) = entry.get("integrity").and_then(Value::as_str) {
            integrity::add(&mut package, value);
        }
        out.push(package);
        if let Some(below) = entry.get("dependencies").and_then(Value::as_object) {
            nested(path, below, depth + 1, out);
        }
    }
}

pub(super) fn installed(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "no JSON".to_owned())?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (Some(name), Some(version)) = (text("name"), text("version")) else {
        return Ok(Vec::new());
    };
    let mut package = Package::new(Ecosystem::Npm, name, version, path);
    package.license = license(&value);
    package.homepage = text("homepage").and_then(scan::url);
    Ok(vec![package])
}

/// `"MIT"`, `{"type": "MIT"}`, or a list of either, of which one may choose.
fn license(entry: &Value) -> Option<String> {
    let one = |value: &Value| {
        let text = value.as_str().or_else(|| value.get("type")?.as_str());
        text.filter(|text| !text.to_ascii_uppercase().starts_with("SEE LICENSE"))
            .map(str::to_owned)
    };
    if let Some(license) = entry.get("license").and_then(one) {
        return Some(license);
    }
    let several = entry
        .get("licenses")
        .or_else(|| entry.get("license"))?
        .as_array()?;
    let several: Vec<String> = several.iter().filter_map(one).collect();
    match several.len() {
        0 => None,
        1 => join(several),
        _ => Some(several.join(" OR ")),
    }
}
