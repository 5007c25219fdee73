use acetate_net::fake::{FakeServer, Reply};

use super::fixture::*;
use crate::{Push, PushBlob, PushReport, RegistryError};

fn image(blobs: Vec<PushBlob>) -> Push {
    Push {
        blobs,
        manifests: vec![manifest(r#"{"child":1}"#), manifest(r#"{"child":2}"#)],
        root: manifest(r#"{"root":1}"#),
        tags: vec!["1.0".into(), "latest".into()],
    }
}

fn blobs() -> Vec<PushBlob> {
    (1..=6).map(|n| blob(&sample(n * 10))).collect()
}

#[tokio::test]
async fn tags_move_when_everything_is_there() {
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| rules.serve(seen));
    let mut push = image(blobs());
    // The same blob may stand in several images.
    push.blobs.push(push.blobs[0].clone());
    let registries = anonymous();
    let report = registries
        .push(&app(&server), &push, &silent())
        .await
        .unwrap();
    let expected = PushReport {
        digest: push.root.digest(),
        n_present: 0,
        n_mounted: 0,
        n_sent: 6,
        n_bytes: 210,
    };
    assert_eq!(report, expected);
    let lines = lines(&server);
    let at = |line: &str| lines.iter().position(|known| known == line).unwrap();
    let last_blob = lines
        .iter()
        .rposition(|line| line.contains("blobs"))
        .unwrap();
    assert!(last_blob < at("PUT manifests/D"), "{lines:?}");
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "PUT manifests/D",
            "PUT manifests/D",
            "PUT manifests/1.0",
            "PUT manifests/latest"
        ]
    );
    assert_eq!(fake.manifest("latest"), Some(push.root.bytes.clone()));
    assert_eq!(fake.manifest("1.0"), Some(push.root.bytes.clone()));
    // Once more: nothing but the tags.
    let before = server.seen().len();
    let report = registries
        .push(&app(&server), &push, &silent())
        .await
        .unwrap();
    assert_eq!((report.n_sent, report.n_present), (0, 7));
    let again = self::lines(&server).split_off(before);
    assert_eq!(
        again,
        [
            "HEAD manifests/D",
            "HEAD manifests/D",
            "HEAD manifests/D",
            "PUT manifests/1.0",
            "PUT manifests/latest"
        ]
    );
}

#[tokio::test]
async fn without_tags_it_is_found_by_its_digest() {
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| rules.serve(seen));
    let mut push = image(blobs());
    push.tags.clear();
    let registries = anonymous();
    for _ in 0..2 {
        registries
            .push(&app(&server), &push, &silent())
            .await
            .unwrap();
        let digest = push.root.digest().to_string();
        assert_eq!(fake.manifest(&digest), Some(push.root.bytes.clone()));
    }
    let n_puts = lines(&server)
        .iter()
        .filter(|line| *line == "PUT manifests/D")
        .count();
    assert_eq!(n_puts, 3);
}

#[tokio::test]
async fn a_blob_that_fails_keeps_the_tags_where_they_are() {
    let fake = Fake::default();
    let server = FakeServer::start(move |seen, _| {
        if seen.method == "PUT" && seen.body.len() == 30 {
            return Reply::new(400, r#"{"errors":[{"message":"no room"}]}"#);
        }
        fake.serve(seen)
    });
    let registries = anonymous();
    let pushed = registries
        .push(&app(&server), &image(blobs()), &silent())
        .await;
    let error = pushed.unwrap_err().to_string();
    assert!(error.contains("answered 400: no room"), "{error}");
    let lines = lines(&server);
    assert!(
        !lines.iter().any(|line| line.starts_with("PUT manifests")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_manifest_that_is_stored_otherwise_is_noticed() {
    let fake = Fake::default();
    let server = FakeServer::start(move |seen, _| {
        if seen.method == "PUT" && seen.target.contains("/manifests/") {
            let other = acetate_oci::Digest::of(b"other").to_string();
            return Reply::new(201, "").header("Docker-Content-Digest", other);
        }
        fake.serve(seen)
    });
    let registries = anonymous();
    let pushed = registries
        .push(&app(&server), &image(Vec::new()), &silent())
        .await;
    assert!(
        matches!(pushed, Err(RegistryError::Corrupt { .. })),
        "{pushed:?}"
    );
}
