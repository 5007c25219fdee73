use std::collections::{BTreeMap, BTreeSet};

use acetate_oci::{Digest, Timestamp, canonical_json};
use serde_json::{Map, Value, json};

use super::{Found, License, PREDICATE_SPDX, Package, parse_license};
use crate::{Statement, StatementVersion, Subject};

const NO_ASSERTION: &str = "NOASSERTION";
/// The element that stands for the scanned tree itself.
const ROOT: &str = "SPDXRef-Root";

/// What the document says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentInfo {
    /// What was scanned: `sbom` for the result, `sbom-build` for a stage.
    pub name: String,
    /// When: the time of the build, or the epoch; the fraction of a second is dropped.
    pub created: Timestamp,
    /// Which version of the program scanned.
    pub tool_version: String,
    /// The digest of what was scanned, when it has one: that of the image's manifest.
    pub scanned: Option<Digest>,
}

/// Writes what was found as an SPDX 2.3 document.
///
/// Packages stand in the order of their package URLs. The namespace follows from all the rest, so
/// that two documents share it exactly when they are the same.
pub fn document(info: &DocumentInfo, found: &Found) -> Value {
    let mut references = BTreeMap::new();
    let mut packages = vec![root_package(info)];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    let by_purl: BTreeMap<String, &Package> = found
        .packages
        .iter()
        .map(|package| (package.purl(), package))
        .collect();
    for (purl, package) in &by_purl {
        let id = element_id(package, purl);
        relationships.push(relationship(ROOT, "CONTAINS", &id));
        packages.push(package_json(package, &id, purl, &mut references));
    }
    let mut document = Map::new();
    document.insert("SPDXID".to_owned(), "SPDXRef-DOCUMENT".into());
    document.insert("spdxVersion".to_owned(), "SPDX-2.3".into());
    document.insert("dataLicense".to_owned(), "CC0-1.0".into());
    document.insert("name".to_owned(), info.name.clone().into());
    document.insert("creationInfo".to_owned(), creation_info(info));
    document.insert("packages".to_owned(), packages.into());
    document.insert("relationships".to_owned(), relationships.into());
    if !references.is_empty() {
        let extracted = references.iter();
        let extracted =
            extracted.map(|(id, text)| json!({ "licenseId": id, "extractedText": text }));
        document.insert("hasExtractedLicensingInfos".to_owned(), extracted.collect());
    }
    if !found.problems.is_empty() {
        let text = format!("not everything was read: {}", found.problems.join("; "));
        document.insert("comment".to_owned(), text.into());
    }
    let digest = Digest::of(&canonical_json(&document)).hex();
    // The form that the specification gives to those who own no name for it (section 6.5).
    let namespace = format!(
        "https://spdx.org/spdxdocs/acetate-{}-{digest}",
        slug(&info.name)
    );
    document.insert("documentNamespace".to_owned(), namespace.into());
    document.into()
}

/// Puts an SPDX document into a statement.
pub fn statement(document: Value, version: StatementVersion, subject: Vec<Subject>) -> Statement {
    Statement {
        version,
        predicate_type: PREDICATE_SPDX.to_owned(),
        subject,
        predicate: document,
    }
}

fn creation_info(info: &DocumentInfo) -> Value {
    let created = Timestamp::from_secs(info.created.secs);
    json!({
        "created": created.to_string(),
        "creators": [format!("Tool: acetate-{}", slug(&info.tool_version))],
    })
}

fn root_package(info: &DocumentInfo) -> Value {
    let mut root = Map::new();
    root.insert("SPDXID".to_owned(), ROOT.into());
    root.insert("name".to_owned(), info.name.clone().into());
    root.insert("primaryPackagePurpose".to_owned(), "CONTAINER".into());
    if let Some(digest) = info.scanned {
        root.insert("versionInfo".to_owned(), digest.to_string().into());
        let checksum = json!([{ "algorithm": "SHA256", "checksumValue": digest.hex() }]);
        root.insert("checksums".to_owned(), checksum);
    }
    complete(root)
}

fn package_json(
    package: &Package,
    id: &str,
    purl: &str,
    references: &mut BTreeMap<String, String>,
) -> Value {
    let mut out = Map::new();
    out.insert("SPDXID".to_owned(), id.into());
    out.insert("name".to_owned(), package.full_name().into());
    if !package.version.is_empty() {
        out.insert("versionInfo".to_owned(), package.version.clone().into());
    }
    let external = json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    }]);
    out.insert("externalRefs".to_owned(), external);
    out.insert(
        "sourceInfo".to_owned(),
        source_info(&package.found_in).into(),
    );
    if let Some(supplier) = &package.supplier {
        out.insert("supplier".to_owned(), supplier.clone().into());
    }
    if let Some(homepage) = &package.homepage {
        out.insert("homepage".to_owned(), homepage.clone().into());
    }
    if !package.checksums.is_empty() {
        let checksums = package.checksums.iter();
        let checksums = checksums
            .map(|(algorithm, hex)| json!({ "algorithm": algorithm.spdx(), "checksumValue": hex }));
        out.insert("checksums".to_owned(), checksums.collect());
    }
    let license = package
        .license
        .as_deref()
        .map_or(License::NoAssertion, parse_license);
    out.insert("licenseDeclared".to_owned(), license.to_string().into());
    if let License::Expression {
        references: named, ..
    } = license
    {
        references.extend(named);
    }
    complete(out)
}

/// Adds what SPDX wants to be said even where there is nothing to say.
fn complete(mut package: Map<String, Value>) -> Value {
    package.insert("filesAnalyzed".to_owned(), false.into());
    for name in [
        "copyrightText",
        "downloadLocation",
        "licenseConcluded",
        "licenseDeclared",
    ] {
        package.entry(name).or_insert_with(|| NO_ASSERTION.into());
    }
    package.into()
}

fn source_info(paths: &BTreeSet<String>) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = paths.iter().take(SHOWN).map(String::as_str).collect();
    let more = paths.len().saturating_sub(SHOWN);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("found in {}{more}", shown.join(", "))
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// An id that the same package has in every document.
fn element_id(package: &Package, purl: &str) -> String {
    let name = slug(&package.full_name());
    let digest = Digest::of(purl.as_bytes()).hex();
    format!(
        "SPDXRef-Package-{}-{name}-{}",
        package.ecosystem.purl_type(),
        &digest[..16]
    )
}

/// Letters, digits, dots and dashes only.
fn slug(text: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let slug: String = text.chars().take(64).map(legal).collect();
    slug.trim_matches('-').to_owned()
}
