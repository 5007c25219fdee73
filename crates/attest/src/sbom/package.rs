use std::collections::{BTreeMap, BTreeSet};

use crate::package_url;

/// What a package is installed or locked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// Debian and what comes from it.
    Deb,
    /// Alpine and its kin.
    Apk,
    /// Rust crates.
    Cargo,
    /// PHP's Composer.
    Composer,
    /// Ruby gems.
    Gem,
    /// Go modules.
    Golang,
    /// Node's npm, yarn and pnpm.
    Npm,
    /// Python.
    Pypi,
}

impl Ecosystem {
    /// The type in package URLs.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
        }
    }
}

/// How a checksum was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The name in SPDX.
    pub fn spdx(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }

    /// How many hexadecimal digits it has.
    pub fn n_digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// A package that a tree holds or names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// What it is installed or locked by.
    pub ecosystem: Ecosystem,
    /// The part of its package URL in front of the name: a distribution, a scope, a vendor.
    pub namespace: String,
    /// Its name, without the namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Further parts of its package URL, such as `arch`.
    pub qualifiers: BTreeMap<&'static str, String>,
    /// Its licence as declared.
    pub license: Option<String>,
    /// Who made or maintains it, as `Person: …` or `Organization: …` would name them.
    pub supplier: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// Checksums of the file that it is distributed as.
    pub checksums: BTreeMap<HashAlgorithm, String>,
    /// The files that it was found in.
    pub found_in: BTreeSet<String>,
}

impl Package {
    /// A package with nothing known but its name and version; `path` is where it was found.
    pub fn new(ecosystem: Ecosystem, name: &str, version: &str, path: &str) -> Self {
        let (namespace, name) = split_name(ecosystem, name);
        Self {
            ecosystem,
            namespace,
            name,
            version: version.to_owned(),
            qualifiers: BTreeMap::new(),
            license: None,
            supplier: None,
            homepage: None,
            checksums: BTreeMap::new(),
            found_in: BTreeSet::from([path.to_owned()]),
        }
    }

    /// The name with its namespace where people write both: `@scope/name`, `vendor/name`.
    pub fn full_name(&self) -> String {
        let distribution = matches!(self.ecosystem, Ecosystem::Deb | Ecosystem::Apk);
        if self.namespace.is_empty() || distribution {
            return self.name.clone();
        }
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its package URL, which is what makes two packages the same.
    pub fn purl(&self) -> String {
        let qualifiers: Vec<(&str, String)> = self
            .qualifiers
            .iter()
            .map(|(key, value)| (*key, value.clone()))
            .collect();
        let kind = self.ecosystem.purl_type();
        package_url(
            kind,
            &self.namespace,
            &self.name,
            &self.version,
            &qualifiers,
        )
    }

    /// Notes a checksum, unless it is none of its kind.
    pub(crate) fn add_checksum(&mut self, algorithm: HashAlgorithm, hex: &str) {
        let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
        if digits && hex.len() == algorithm.n_digits() {
            self.checksums.insert(algorithm, hex.to_ascii_lowercase());
        }
    }

    /// Takes what another sight of the same package knows more.
    pub(crate) fn merge(&mut self, other: Self) {
        self.license = self.license.take().or(other.license);
        self.supplier = self.supplier.take().or(other.supplier);
        self.homepage = self.homepage.take().or(other.homepage);
        for (algorithm, hex) in other.checksums {
            self.checksums.entry(algorithm).or_insert(hex);
        }
        self.found_in.extend(other.found_in);
    }
}

/// Names as their package URLs have them.
fn split_name(ecosystem: Ecosystem, name: &str) -> (String, String) {
    let name = name.trim();
    let own = |(namespace, name): (&str, &str)| (namespace.to_owned(), name.to_owned());
    match ecosystem {
        Ecosystem::Npm => own(name.rsplit_once('/').unwrap_or(("", name))),
        Ecosystem::Composer | Ecosystem::Golang => {
            let lower = name.to_lowercase();
            own(lower.rsplit_once('/').unwrap_or(("", &lower)))
        }
        Ecosystem::Pypi => own(("", &name.to_lowercase().replace(['_', '.'], "-"))),
        _ => own(("", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_their_package_urls() {
        for (ecosystem, name, wanted) in [
            (Ecosystem::Npm, "@babel/core", "pkg:npm/%40babel/core@1"),
            (
                Ecosystem::Golang,
                "github.com/BurntSushi/toml",
                "pkg:golang/github.com/burntsushi/toml@1",
            ),
            (
                Ecosystem::Pypi,
                "Ruamel.yaml_clib",
                "pkg:pypi/ruamel-yaml-clib@1",
            ),
            (
                Ecosystem::Composer,
                "Symfony/Console",
                "pkg:composer/symfony/console@1",
            ),
            (Ecosystem::Cargo, "serde", "pkg:cargo/serde@1"),
        ] {
            assert_eq!(Package::new(ecosystem, name, "1", "x").purl(), wanted);
        }
        assert_eq!(
            Package::new(Ecosystem::Npm, "@babel/core", "1", "x").full_name(),
            "@babel/core"
        );
    }

    #[test]
    fn only_whole_checksums_are_noted() {
        let mut package = Package::new(Ecosystem::Cargo, "a", "1", "x");
        package.add_checksum(HashAlgorithm::Sha1, "abc");
        package.add_checksum(HashAlgorithm::Sha1, &"g".repeat(40));
        assert!(package.checksums.is_empty());
        package.add_checksum(HashAlgorithm::Sha1, &"A".repeat(40));
        assert_eq!(package.checksums[&HashAlgorithm::Sha1], "a".repeat(40));
    }
}
