//! Chooses from an index the manifest for a platform.

use acetate_oci::{Descriptor, Platform};

/// Marks entries that speak about another image instead of being one.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// Entries that may lead to an image for `wanted`, best first.
///
/// Entries of a platform that does not run on `wanted` are left out, as are attestations. An exact
/// platform goes before a lower variant, any platform before none; equals keep their order. An
/// entry without platform is judged by the config behind it, so it stays, last.
pub(crate) fn candidates<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Vec<&'a Descriptor> {
    let wanted = wanted.clone().normalized();
    let mut found: Vec<(Rank, &Descriptor)> = entries
        .iter()
        .filter(|entry| is_image(entry))
        .filter_map(|entry| Some((rank(entry, &wanted)?, entry)))
        .collect();
    // A stable sort: equals keep the order of the index.
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The platforms that an index offers, for error texts.
pub(crate) fn offered(entries: &[Descriptor]) -> Vec<String> {
    let images = entries.iter().filter(|entry| is_image(entry));
    images
        .filter_map(|entry| entry.platform.as_ref().map(Platform::to_string))
        .collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Exact,
    /// A lower variant; the highest goes first.
    Variant(std::cmp::Reverse<Option<String>>),
    Unstated,
}

fn rank(entry: &Descriptor, wanted: &Platform) -> Option<Rank> {
    let Some(platform) = &entry.platform else {
        return Some(Rank::Unstated);
    };
    let have = platform.clone().normalized();
    if !have.satisfies(wanted) {
        return None;
    }
    if have.variant == wanted.variant {
        return Some(Rank::Exact);
    }
    Some(Rank::Variant(std::cmp::Reverse(have.variant)))
}

fn is_image(entry: &Descriptor) -> bool {
    let unknown = entry
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown");
    let readable = entry.media_type.is_index() || entry.media_type.is_manifest();
    readable && !unknown && !entry.annotations.contains_key(ATTESTATION)
}

#[cfg(test)]
mod tests {
    use acetate_oci::{Digest, MediaType};

    use super::*;

    fn entry(platform: &str) -> Descriptor {
        let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, platform.as_bytes());
        entry.platform = match platform {
            "" => None,
            "unknown" => Some(Platform::new("unknown", "unknown")),
            text => Some(text.parse().unwrap()),
        };
        entry
    }

    fn choose(platforms: &[&str], wanted: &str) -> Vec<String> {
        let entries: Vec<_> = platforms.iter().copied().map(entry).collect();
        let found = candidates(&entries, &wanted.parse().unwrap());
        found
            .iter()
            .map(|entry| {
                entry
                    .platform
                    .as_ref()
                    .map_or("-".to_owned(), Platform::to_string)
            })
            .collect()
    }

    #[test]
    fn the_platform_is_chosen() {
        let all = ["linux/arm64", "linux/amd64", "windows/amd64", "unknown"];
        assert_eq!(choose(&all, "linux/amd64"), ["linux/amd64"]);
        assert_eq!(choose(&all, "linux/arm64/v8"), ["linux/arm64"]);
        assert!(choose(&all, "linux/riscv64").is_empty());
    }

    #[test]
    fn lower_variants_serve_highest_first() {
        let all = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"];
        assert_eq!(
            choose(&all, "linux/arm/v7"),
            ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
        );
        assert_eq!(
            choose(&all, "linux/arm/v6"),
            ["linux/arm/v6", "linux/arm/v5"]
        );
        let amd = ["linux/amd64", "linux/amd64/v3"];
        assert_eq!(
            choose(&amd, "linux/amd64/v3"),
            ["linux/amd64/v3", "linux/amd64"]
        );
        assert_eq!(choose(&amd, "linux/amd64"), ["linux/amd64"]);
    }

    #[test]
    fn entries_without_platform_come_last() {
        assert_eq!(
            choose(&["", "linux/amd64"], "linux/amd64"),
            ["linux/amd64", "-"]
        );
        assert_eq!(choose(&["", "linux/arm64"], "linux/amd64"), ["-"]);
    }

    #[test]
    fn what_is_no_image_is_left_out() {
        let wanted: Platform = "linux/amd64".parse().unwrap();
        let mut attestation = entry("linux/amd64");
        attestation
            .annotations
            .insert(ATTESTATION.to_owned(), "attestation-manifest".to_owned());
        let other = Descriptor::new(MediaType::new("text/plain"), Digest::of(b""), 0);
        assert!(candidates(&[attestation, other, entry("unknown")], &wanted).is_empty());
    }

    #[test]
    fn offers_are_listed_for_errors() {
        let entries = [entry("linux/arm64"), entry("unknown"), entry("")];
        assert_eq!(offered(&entries), ["linux/arm64"]);
    }
}
