//! `Cargo.lock`.

use toml::{Table, Value};

use super::fields;
use crate::sbom::{Ecosystem, HashAlgorithm, Package};

pub(super) fn lock(path: &str, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let table: Table = fields::text(bytes)
        .parse()
        .map_err(|_| "no TOML".to_owned())?;
    let packages = table.get("package").and_then(Value::as_array);
    Ok(packages
        .into_iter()
        .flatten()
        .filter_map(|entry| package(path, &table, entry))
        .collect())
}

fn package(path: &str, lock: &Table, entry: &Value) -> Option<Package> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let (name, version) = (text("name")?, text("version")?);
    let mut package = Package::new(Ecosystem::Cargo, name, version, path);
    let checksum = text("checksum").or_else(|| old_checksum(lock, name, version, text("source")?));
    if let Some(checksum) = checksum {
        package.add_checksum(HashAlgorithm::Sha256, checksum);
    }
    if let Some(git) = text("source").and_then(|source| source.strip_prefix("git+")) {
        package
            .qualifiers
            .insert("vcs_url", crate::redact(&format!("git+{git}")));
    }
    Some(package)
}

/// Files of version 1 keep checksums in a table of their own.
fn old_checksum<'a>(lock: &'a Table, name: &str, version: &str, source: &str) -> Option<&'a str> {
    let key = format!("checksum {name} {version} ({source})");
    lock.get("metadata")?.get(&key)?.as_str()
}
