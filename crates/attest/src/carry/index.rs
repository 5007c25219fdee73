use acetate_oci::{Descriptor, Digest, Index};

use super::{ATTESTATION_MANIFEST, Carried, REFERENCE_DIGEST, REFERENCE_TYPE};

/// The index with the attestations behind all images, in the order of the images.
///
/// Attestations that the index already holds for the same images are replaced. Those that are about
/// an image that the index does not hold are left out: nothing would lead to them.
#[must_use]
pub fn attest_index(mut index: Index, carried: &[Carried]) -> Index {
    let images: Vec<Digest> = index
        .manifests
        .iter()
        .filter(|entry| !is_attestation(entry))
        .map(|entry| entry.digest)
        .collect();
    index.manifests.retain(|entry| {
        let about = entry.annotations.get(REFERENCE_DIGEST);
        !is_attestation(entry) || !carried.iter().any(|c| about == Some(&c.image.to_string()))
    });
    for (n, image) in images.iter().enumerate() {
        if images[..n].contains(image) {
            continue;
        }
        let about = carried.iter().filter(|carried| carried.image == *image);
        index.manifests.extend(about.map(Carried::index_entry));
    }
    index
}

/// The tag below which a registry without the referrers API keeps the list: `sha256-…`.
pub fn referrers_tag(image: Digest) -> String {
    image.to_string().replace(':', "-")
}

/// The list of referrers with one more; it is the same list when it holds that one already.
#[must_use]
pub fn add_referrer(list: Option<Index>, referrer: Descriptor) -> Index {
    let mut list = list.unwrap_or_else(|| Index::oci(Vec::new()));
    if list
        .manifests
        .iter()
        .all(|entry| entry.digest != referrer.digest)
    {
        list.manifests.push(referrer);
    }
    list
}

fn is_attestation(entry: &Descriptor) -> bool {
    entry
        .annotations
        .get(REFERENCE_TYPE)
        .is_some_and(|kind| kind == ATTESTATION_MANIFEST)
}
