//! `poetry.lock`.

use toml::{Table, Value};

use super::fields;
use crate::sbom::{Ecosystem, HashAlgorithm, Package};

pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let table: Table = fields::text(bytes)
        .parse()
        .map_err(|_| "no TOML".to_owned())?;
    let packages = table.get("package").and_then(Value::as_array);
    let packages = packages.into_iter().flatten().filter_map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let mut package = Package::new(Ecosystem::Pypi, text("name")?, text("version")?, path);
        add_checksum(&mut package, entry);
        Some(package)
    });
    Ok(packages.collect())
}

/// A release has many files; which one was installed is known when there is but one.
fn add_checksum(package: &mut Package, entry: &Value) {
    let files = entry.get("files").and_then(Value::as_array);
    let Some([file]) = files.map(Vec::as_slice) else {
        return;
    };
    let hash = file.get("hash").and_then(Value::as_str);
    if let Some(hex) = hash.and_then(|hash| hash.strip_prefix("sha256:")) {
        package.add_checksum(HashAlgorithm::Sha256, hex);
    }
}
