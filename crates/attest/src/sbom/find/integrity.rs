//! Checksums as npm and its kin write them: `sha512-BASE64`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::sbom::{HashAlgorithm, Package};

/// Notes all checksums of a subresource integrity value.
pub(super) fn add(package: &mut Package, integrity: &str) {
    for part in integrity.split_whitespace() {
        let Some((name, value)) = part.split_once('-') else {
            continue;
        };
        let algorithm = match name {
            "sha1" => HashAlgorithm::Sha1,
            "sha256" => HashAlgorithm::Sha256,
            "sha384" => HashAlgorithm::Sha384,
            "sha512" => HashAlgorithm::Sha512,
            _ => continue,
        };
        let value = value.split('?').next().unwrap_or_default();
        if let Ok(bytes) = BASE64_STANDARD.decode(value) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            package.add_checksum(algorithm, &hex);
        }
    }
}
