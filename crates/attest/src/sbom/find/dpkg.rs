//! `var/lib/dpkg/status`, `var/lib/dpkg/status.d/*`, and licences from `usr/share/doc`.

use super::fields::{self, field};
use super::os_release::Distribution;
use crate::sbom::license::join;
use crate::sbom::{Ecosystem, Package};

/// The packages that are installed; those that left only their settings are not.
pub(super) fn status(path: &str, bytes: &[u8], distribution: &Distribution) -> Vec<Package> {
    let text = fields::text(bytes);
    let is_status = path.ends_with("/status");
    fields::paragraphs(&text)
        .filter(|paragraph| {
            // Distroless images have one file for each package, and no `Status` in it.
            let status = field(paragraph, "Status");
            status.map_or(!is_status, |status| status.ends_with(" installed"))
        })
        .filter_map(|paragraph| package(path, &paragraph, distribution))
        .collect()
}

fn package(path: &str, paragraph: &[&str], distribution: &Distribution) -> Option<Package> {
    let name = field(paragraph, "Package")?;
    let version = field(paragraph, "Version")?;
    let mut package = Package::new(Ecosystem::Deb, name, version, path);
    package.namespace = distribution.namespace("debian");
    if let Some(arch) = field(paragraph, "Architecture") {
        package.qualifiers.insert("arch", arch.to_owned());
    }
    package
        .qualifiers
        .insert("distro", distribution.qualifier.clone());
    if let Some(source) = field(paragraph, "Source") {
        let upstream = source.split_whitespace().next().unwrap_or_default();
        package.qualifiers.insert("upstream", upstream.to_owned());
    }
    package.supplier =
        field(paragraph, "Maintainer").map(|name| super::scan::actor("Organization", name));
    package.homepage = field(paragraph, "Homepage").and_then(super::scan::url);
    Some(package)
}

/// The licences of a copyright file in the machine-readable form, in SPDX's words as far as
/// Debian's short names are known.
pub(super) fn copyright(bytes: &[u8]) -> Option<String> {
    let text = fields::text(bytes);
    let first = fields::paragraphs(&text).next()?;
    field(&first, "Format").filter(|format| format.contains("copyright-format"))?;
    let names = fields::paragraphs(&text).filter(|p| field(p, "Files").is_some());
    join(names.filter_map(|p| field(&p, "License").map(spdx_expression)))
}

/// `GPL-2+ or Artistic` in SPDX's words. What is said in several words between `and` and `or`, such
/// as an exception, becomes one name that is not on the list.
fn spdx_expression(debian: &str) -> String {
    let debian = debian.replace(',', " ");
    let mut out: Vec<String> = Vec::new();
    let mut name: Vec<String> = Vec::new();
    for word in debian.split_whitespace() {
        let operator = match word {
            "or" | "OR" | "and/or" => "OR",
            "and" | "AND" => "AND",
            word => {
                name.push(spdx_name(word));
                continue;
            }
        };
        if !name.is_empty() {
            out.push(std::mem::take(&mut name).join("-"));
            out.push(operator.to_owned());
        }
    }
    if !name.is_empty() {
        out.push(name.join("-"));
    }
    out.join(" ")
}

fn spdx_name(debian: &str) -> String {
    match debian {
        "Expat" => return "MIT".to_owned(),
        "public-domain" => return "LicenseRef-public-domain".to_owned(),
        _ => {}
    }
    let later = debian.ends_with('+');
    let base = debian.trim_end_matches('+');
    let Some((family, version)) = base.split_once('-') else {
        return debian.to_owned();
    };
    let is_gnu = ["GPL", "LGPL", "AGPL", "GFDL"].contains(&family);
    if !is_gnu || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return debian.to_owned();
    }
    let version = if version.contains('.') {
        version.to_owned()
    } else {
        format!("{version}.0")
    };
    let version = if family == "GFDL" {
        version.replace("1.0", "1.1")
    } else {
        version
    };
    format!(
        "{family}-{version}-{}",
        if later { "or-later" } else { "only" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_short_names_become_spdx() {
        for (debian, spdx) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1", "LGPL-2.1-only"),
            ("Expat or GPL-3+", "MIT OR GPL-3.0-or-later"),
            ("BSD-3-clause", "BSD-3-clause"),
            (
                "GPL-2+ with OpenSSL, and MIT",
                "GPL-2.0-or-later-with-OpenSSL AND MIT",
            ),
            ("GPL-3-with-bison", "GPL-3-with-bison"),
        ] {
            assert_eq!(spdx_expression(debian), spdx);
        }
    }
}
