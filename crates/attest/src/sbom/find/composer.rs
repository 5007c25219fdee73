//! `composer.lock`.

use serde_json::Value;

use super::scan;
use crate::sbom::{Ecosystem, HashAlgorithm, Package};

pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "no JSON".to_owned())?;
    let lists = ["packages", "packages-dev"].into_iter();
    let entries = lists
        .filter_map(|list| value.get(list)?.as_array())
        .flatten();
    Ok(entries.filter_map(|entry| package(path, entry)).collect())
}

fn package(path: &str, entry: &Value) -> Option<Package> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let mut package = Package::new(Ecosystem::Composer, text("name")?, text("version")?, path);
    // Several licences are a choice (composer.json, `license`).
    let licenses: Vec<&str> = match entry.get("license") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    package.license = (!licenses.is_empty()).then(|| licenses.join(" OR "));
    package.homepage = text("homepage").and_then(scan::url);
    let sha1 = entry
        .get("dist")
        .and_then(|dist| dist.get("shasum")?.as_str());
    if let Some(sha1) = sha1 {
        package.add_checksum(HashAlgorithm::Sha1, sha1);
    }
    Some(package)
}
