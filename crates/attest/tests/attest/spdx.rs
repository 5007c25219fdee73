use crate::support::{everything, found, golden, info};
use acetate_attest::sbom::{MemoryTree, PREDICATE_SPDX, document, statement};
use acetate_attest::{StatementVersion, Subject};
use acetate_oci::{Digest, Timestamp};

#[test]
fn a_document_is_written_as_always() {
    golden("spdx.json", &document(&info(), &found(&everything())));
}

#[test]
fn the_namespace_follows_from_the_content() {
    let of = |tree: &MemoryTree| document(&info(), &found(tree))["documentNamespace"].clone();
    let one = MemoryTree::new().with("Cargo.lock", "[[package]]\nname=\"a\"\nversion=\"1\"\n");
    let two = MemoryTree::new().with("Cargo.lock", "[[package]]\nname=\"a\"\nversion=\"2\"\n");
    assert_eq!(of(&one), of(&one.clone()));
    assert_ne!(of(&one), of(&two));
    let mut later = info();
    later.created = Timestamp::from_secs(1);
    assert_ne!(
        document(&later, &found(&one))["documentNamespace"],
        of(&one)
    );
}

#[test]
fn a_document_becomes_a_statement() {
    let document = document(&info(), &found(&MemoryTree::new()));
    let subject = vec![Subject::nameless(Digest::of(b"image"))];
    let statement = statement(document, StatementVersion::V1, subject);
    assert_eq!(statement.predicate_type, PREDICATE_SPDX);
    assert_eq!(
        statement.predicate["packages"].as_array().map(Vec::len),
        Some(1)
    );
}
