use acetate_oci::{Platform, Reference};

/// The package URL of an image: `pkg:docker/alpine@3.17?platform=linux%2Famd64`.
///
/// Names are the short ones that people type; a pinned digest becomes a qualifier, and a name
/// without tag that is not pinned means `latest`.
pub fn image_purl(reference: &Reference, platform: Option<&Platform>) -> String {
    typed_image_purl("docker", reference, platform)
}

/// The same with another type than `docker`.
pub(crate) fn typed_image_purl(
    kind: &str,
    reference: &Reference,
    platform: Option<&Platform>,
) -> String {
    let familiar = reference
        .path()
        .strip_prefix("library/")
        .filter(|rest| reference.domain() == "docker.io" && !rest.contains('/'))
        .unwrap_or_else(|| reference.path());
    let full = match reference.domain() {
        "docker.io" => familiar.to_owned(),
        domain => format!("{domain}/{familiar}"),
    };
    let (namespace, name) = full.rsplit_once('/').unwrap_or(("", &full));
    let version = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag,
        (None, Some(_)) => "",
        (None, None) => "latest",
    };
    let mut qualifiers = Vec::new();
    if let Some(digest) = reference.digest() {
        qualifiers.push(("digest", digest.to_string()));
    }
    if let Some(platform) = platform {
        qualifiers.push(("platform", platform.clone().normalized().to_string()));
    }
    package_url(kind, namespace, name, version, &qualifiers)
}

/// A package URL of its parts; an empty namespace or version is left out, as are empty qualifiers.
///
/// Qualifiers come out sorted, as the specification asks.
pub fn package_url(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, String)],
) -> String {
    let mut out = format!("pkg:{kind}/");
    for segment in namespace.split('/').filter(|s| !s.is_empty()) {
        escape(segment, &mut out);
        out.push('/');
    }
    escape(name, &mut out);
    if !version.is_empty() {
        out.push('@');
        escape(version, &mut out);
    }
    let mut sorted: Vec<_> = qualifiers.iter().filter(|(_, v)| !v.is_empty()).collect();
    sorted.sort();
    for (n, (key, value)) in sorted.into_iter().enumerate() {
        out.push(if n == 0 { '?' } else { '&' });
        out.push_str(key);
        out.push('=');
        escape(value, &mut out);
    }
    out
}

/// Percent-encodes all that is neither unreserved nor a colon.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn images_are_named_as_buildkit_names_them() {
        let amd64 = Platform::new("linux", "amd64");
        for (reference, platform, wanted) in [
            ("alpine", None, "pkg:docker/alpine@latest".to_owned()),
            (
                "library/alpine:3.15",
                None,
                "pkg:docker/alpine@3.15".to_owned(),
            ),
            (
                "docker.io/library/alpine:latest",
                None,
                "pkg:docker/alpine@latest".to_owned(),
            ),
            ("user/test:v2", None, "pkg:docker/user/test@v2".to_owned()),
            (
                "ghcr.io/foo/bar:v2",
                None,
                "pkg:docker/ghcr.io/foo/bar@v2".to_owned(),
            ),
            (
                "ghcr.io/foo/bar",
                None,
                "pkg:docker/ghcr.io/foo/bar@latest".to_owned(),
            ),
            (
                "localhost:5000/a",
                Some(&amd64),
                "pkg:docker/localhost:5000/a@latest?platform=linux%2Famd64".to_owned(),
            ),
            (
                &format!("docker.io/library/alpine:latest@{DIGEST}"),
                None,
                format!("pkg:docker/alpine@latest?digest={DIGEST}"),
            ),
            (
                &format!("busybox@{DIGEST}"),
                Some(&amd64),
                format!("pkg:docker/busybox?digest={DIGEST}&platform=linux%2Famd64"),
            ),
        ] {
            let parsed: Reference = reference.parse().unwrap();
            assert_eq!(image_purl(&parsed, platform), wanted, "{reference}");
        }
    }

    #[test]
    fn parts_are_escaped_and_qualifiers_sorted() {
        let qualifiers = [
            ("distro", "debian-12".to_owned()),
            ("arch", "amd64".to_owned()),
        ];
        assert_eq!(
            package_url(
                "deb",
                "debian",
                "libstdc++6",
                "12.2.0-14+deb12u1",
                &qualifiers
            ),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
        assert_eq!(
            package_url("npm", "@a", "b", "", &[("x", String::new())]),
            "pkg:npm/%40a/b"
        );
    }
}
