use crate::support::golden;
use acetate_attest::carry::{Form, add_referrer, attest_index, carry, referrers_tag};
use acetate_attest::{Statement, StatementVersion, Subject};
use acetate_oci::{Descriptor, Digest, Index, MediaType, Platform};
use serde_json::{Value, json};

fn image() -> Descriptor {
    let mut image = Descriptor::of(MediaType::OCI_MANIFEST, b"image");
    image.platform = Some(Platform::new("linux", "amd64"));
    image.annotations.insert("a".to_owned(), "b".to_owned());
    image
}

fn statements() -> Vec<Statement> {
    [
        "https://spdx.dev/Document",
        "https://slsa.dev/provenance/v1",
    ]
    .map(|kind| Statement {
        version: StatementVersion::V1,
        predicate_type: kind.to_owned(),
        subject: vec![Subject::nameless(image().digest)],
        predicate: json!({}),
    })
    .into()
}

fn as_json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_forms_are_those_that_buildkit_documents() {
    for (name, form) in [
        ("carried-image.json", Form::Image),
        ("carried-artifact.json", Form::Artifact),
    ] {
        let carried = carry(&image(), &statements(), form);
        let index = attest_index(Index::oci(vec![image()]), std::slice::from_ref(&carried));
        golden(
            name,
            &json!({
                "index": index,
                "manifest": as_json(&carried.manifest.bytes),
                "config": as_json(&carried.config.bytes),
                "referrer": carried.referrer(),
            }),
        );
    }
}

#[test]
fn every_blob_has_the_digest_and_size_that_points_at_it() {
    let carried = carry(&image(), &statements(), Form::Artifact);
    assert_eq!(carried, carry(&image(), &statements(), Form::Artifact));
    for blob in carried.blobs() {
        assert_eq!(blob.descriptor.digest, Digest::of(&blob.bytes));
        assert_eq!(blob.descriptor.size, blob.bytes.len() as u64);
    }
    let last = carried.blobs().last().unwrap();
    assert_eq!(last, &carried.manifest);
}

#[test]
fn attestations_stand_behind_all_images_and_replace_older_ones() {
    let other = Descriptor::of(MediaType::OCI_MANIFEST, b"other");
    let old = carry(&image(), &[], Form::Artifact);
    let kept = carry(&other, &[], Form::Artifact);
    let stray = carry(
        &Descriptor::of(MediaType::OCI_MANIFEST, b"x"),
        &[],
        Form::Artifact,
    );
    let index = Index::oci(vec![
        old.index_entry(),
        image(),
        kept.index_entry(),
        other.clone(),
    ]);
    let new = carry(&image(), &statements(), Form::Artifact);
    let index = attest_index(index, &[new.clone(), stray]);
    let digests: Vec<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
    let expected = [
        image().digest,
        kept.manifest.descriptor.digest,
        other.digest,
        new.manifest.descriptor.digest,
    ];
    assert_eq!(digests, expected);
}

#[test]
fn referrers_are_listed_once_below_the_tag_of_the_image() {
    let carried = carry(&image(), &statements(), Form::Artifact);
    let list = add_referrer(None, carried.referrer());
    let list = add_referrer(Some(list), carried.referrer());
    assert_eq!(list.manifests, [carried.referrer()]);
    assert_eq!(
        referrers_tag(image().digest),
        format!("sha256-{}", image().digest.hex())
    );
}
