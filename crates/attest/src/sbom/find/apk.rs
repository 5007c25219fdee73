//! `lib/apk/db/installed`: a paragraph for each package, a letter for each field.

use super::fields::{self, field};
use super::os_release::Distribution;
use crate::sbom::{Ecosystem, Package};

pub(super) fn installed(path: &str, bytes: &[u8], distribution: &Distribution) -> Vec<Package> {
    let text = fields::text(bytes);
    fields::paragraphs(&text)
        .filter_map(|paragraph| package(path, &paragraph, distribution))
        .collect()
}

fn package(path: &str, paragraph: &[&str], distribution: &Distribution) -> Option<Package> {
    let exact = |name: &str| {
        let named: Vec<&str> = paragraph
            .iter()
            .copied()
            .filter(|l| l.starts_with(name))
            .collect();
        field(&named, name)
    };
    let mut package = Package::new(Ecosystem::Apk, exact("P")?, exact("V")?, path);
    package.namespace = distribution.namespace("alpine");
    if let Some(arch) = exact("A") {
        package.qualifiers.insert("arch", arch.to_owned());
    }
    package
        .qualifiers
        .insert("distro", distribution.qualifier.clone());
    if let Some(origin) = exact("o") {
        package.qualifiers.insert("upstream", origin.to_owned());
    }
    package.license = exact("L").map(expression);
    package.supplier = exact("m").map(|name| super::scan::actor("Person", name));
    package.homepage = exact("U").and_then(super::scan::url);
    Some(package)
}

/// Old packages list licences with blanks, and mean all of them.
fn expression(declared: &str) -> String {
    let words: Vec<&str> = declared.split_whitespace().collect();
    let is_list = words.len() > 1
        && !words.iter().any(|w| {
            ["AND", "OR", "WITH"]
                .iter()
                .any(|op| w.eq_ignore_ascii_case(op))
        });
    if is_list {
        words.join(" AND ")
    } else {
        declared.to_owned()
    }
}
