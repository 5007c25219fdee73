use std::sync::Arc;

use acetate_net::fake::{FakeServer, Reply};
use acetate_stdx::clock::FixedClock;

use super::fixture::*;
use crate::{Access, Name, Registries, RegistryError, Settings};

/// Registries where `server` has these mirrors, and their clock.
pub(super) fn mirrored(server: &FakeServer, mirrors: &[&str]) -> (Registries, Arc<FixedClock>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registries.toml");
    let text = format!("[registry.\"{}\"]\nmirrors = {mirrors:?}\n", server.host());
    std::fs::write(&path, text).unwrap();
    let clock = Arc::new(FixedClock::at(1000));
    let mut access = Access::anonymous();
    access.settings = Settings::read(&[path]).unwrap();
    access.clock = clock.clone();
    (Registries::new(net(), access), clock)
}

fn holding(bytes: &'static [u8]) -> FakeServer {
    let fake = Fake::default();
    fake.put_manifest("1", bytes);
    fake.put_blob(bytes);
    FakeServer::start(move |seen, _| fake.serve(seen))
}

#[tokio::test]
async fn the_first_mirror_that_has_it_serves() {
    let empty = FakeServer::start(|_, _| Reply::new(404, ""));
    let full = FakeServer::start(|seen, _| {
        let path = seen.target.replacen("/v2/hub/", "/v2/", 1);
        let fake = Fake::default();
        fake.put_manifest("1", b"mirrored");
        let seen = acetate_net::fake::Seen {
            target: path,
            ..seen.clone()
        };
        fake.serve(&seen)
    });
    let server = holding(b"own");
    let (registries, _) = mirrored(&server, &[&empty.host(), &format!("{}/hub", full.host())]);
    let name = Name::Tag("1".into());
    let served = registries.manifest(&app(&server), &name).await.unwrap();
    assert_eq!(served.bytes, b"mirrored");
    assert!(server.seen().is_empty());
    let ns = server.host().replace(':', "%3A");
    assert_eq!(
        full.seen()[0].target,
        format!("/v2/hub/app/manifests/1?ns={ns}")
    );
    // Having nothing is no fault: it is asked for the next thing.
    registries.manifest(&app(&server), &name).await.unwrap();
    assert_eq!(empty.seen().len(), 2);
}

#[tokio::test]
async fn one_that_fails_is_passed_over_for_a_while() {
    let broken = FakeServer::start(|_, _| Reply::new(500, ""));
    let closed = FakeServer::start(|_, _| Reply::closed());
    let server = holding(b"own");
    let (registries, clock) = mirrored(&server, &[&broken.host(), &closed.host()]);
    let name = Name::Tag("1".into());
    for _ in 0..3 {
        let served = registries.manifest(&app(&server), &name).await.unwrap();
        assert_eq!(served.bytes, b"own");
    }
    assert_eq!((broken.seen().len(), closed.seen().len()), (1, 1));
    clock.advance(61);
    registries.manifest(&app(&server), &name).await.unwrap();
    assert_eq!(broken.seen().len(), 2);
}

#[tokio::test]
async fn wrong_bytes_of_a_mirror_are_not_taken() {
    let fake = Fake::default();
    let right = fake.put_blob(b"right");
    let liar = FakeServer::start(|_, _| Reply::new(200, "wrong"));
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let (registries, clock) = mirrored(&server, &[&liar.host()]);
    let blob = blob(b"right").descriptor;
    assert_eq!(blob.digest, right);
    let bytes = registries
        .small_blob(&app(&server), &blob, 100)
        .await
        .unwrap();
    assert_eq!(bytes, b"right");
    // It is never asked again.
    clock.advance(1_000_000);
    registries
        .small_blob(&app(&server), &blob, 100)
        .await
        .unwrap();
    assert_eq!(liar.seen().len(), 1);
    let (registries, _) = mirrored(&server, &[&liar.host()]);
    let name = Name::Digest(right);
    let error = registries.manifest(&app(&server), &name).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn the_rest_of_a_broken_blob_comes_from_the_registry() {
    let bytes = sample(100_000);
    let cut = bytes.clone();
    let mirror = FakeServer::start(move |_, n| match n {
        0 => Reply::new(200, cut.clone()).cut_after(40_000),
        _ => Reply::new(503, ""),
    });
    let fake = Fake::default();
    fake.put_blob(&bytes);
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let (registries, _) = mirrored(&server, &[&mirror.host()]);
    let blob = blob(&bytes).descriptor;
    let got = registries
        .small_blob(&app(&server), &blob, 1 << 20)
        .await
        .unwrap();
    assert_eq!(got, bytes);
    assert_eq!(server.seen()[0].header("range"), Some("bytes=40000-"));
}

#[tokio::test]
async fn what_is_written_goes_to_the_registry_alone() {
    let mirror = holding(b"x");
    let fake = Fake::default();
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let (registries, _) = mirrored(&server, &[&mirror.host()]);
    let to = app(&server);
    registries
        .push_blob(&to, &blob(b"x"), &silent())
        .await
        .unwrap();
    registries
        .put_manifest(&to, &Name::Tag("1".into()), &manifest("{}"))
        .await
        .unwrap();
    registries
        .delete(&to, &Name::Tag("2".into()))
        .await
        .unwrap();
    assert!(mirror.seen().is_empty());
}
