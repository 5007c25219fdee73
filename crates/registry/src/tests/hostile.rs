//! Registries and mirrors that do what no registry should.

use std::sync::Arc;

use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_oci::{Descriptor, Digest, MediaType};

use super::fixture::*;
use super::mirrors::mirrored;
use crate::{Name, NoProgress, PushBlob, Pushed, RegistryError, Repository};

fn tag() -> Name {
    Name::Tag("1".into())
}

#[tokio::test]
async fn one_that_knows_no_head_is_pushed_to() {
    for status in [400, 405, 501] {
        let fake = Fake::default();
        let rules = fake.clone();
        let server = FakeServer::start(move |seen, _| match seen.method.as_str() {
            "HEAD" => Reply::new(status, ""),
            _ => rules.serve(seen),
        });
        let (registries, to, blob) = (anonymous(), app(&server), blob(&sample(1000)));
        let pushed = registries.push_blob(&to, &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent, "{status}");
        assert!(fake.blob(&blob.descriptor.digest).is_some());
        let there = registries.has_blob(&to, blob.descriptor.digest).await;
        assert_eq!(there.unwrap(), None, "{status}");
    }
}

#[tokio::test]
async fn a_mount_that_fails_is_asked_for_once_and_then_sent() {
    let is_mount = |seen: &Seen| seen.target.contains("mount=");
    for status in [0, 400, 404, 405, 429, 500, 503] {
        let fake = Fake::default();
        let rules = fake.clone();
        let server = FakeServer::start(move |seen, _| match (is_mount(seen), status) {
            (true, 0) => Reply::closed(),
            (true, status) => Reply::new(status, ""),
            _ => rules.serve(seen),
        });
        let blob = PushBlob {
            mount_from: vec![named(&server, "other")],
            ..blob(&sample(100))
        };
        let registries = anonymous();
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent, "{status}");
        let n_mounts = server.seen().iter().filter(|seen| is_mount(seen)).count();
        assert_eq!(n_mounts, 1, "{status}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_what_a_push_names() {
    let server = FakeServer::start(|_, _| Reply::new(404, ""));
    let (registries, to) = (anonymous(), app(&server));
    let error = registries.push_blob(&to, &blob(b"x"), &silent()).await;
    let error = error.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("begin to send the blob"), "{text}");
    assert!(text.contains("no such repository"), "{text}");
    assert!(text.contains(&to.to_string()), "{text}");
    assert!(error.hint().unwrap().contains("make the repository"));
}

#[tokio::test]
async fn connections_that_break_under_a_large_blob_make_it_go_in_chunks() {
    const LIMIT: u64 = 16 << 20;
    let fake = Fake::default();
    let rules = fake.clone();
    let is_large = |seen: &Seen| {
        let length = seen.header("content-length").unwrap_or("0");
        length.parse::<u64>().unwrap() > LIMIT
    };
    let server = FakeServer::start_cutting(
        move |seen| is_large(seen).then_some(1000),
        move |seen, _| rules.serve(seen),
    );
    let bytes = sample(usize::try_from(LIMIT).unwrap() + 5);
    let blob = blob(&bytes);
    let registries = anonymous();
    let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
    assert_eq!(pushed.unwrap(), Pushed::Sent);
    assert_eq!(fake.blob(&blob.descriptor.digest), Some(bytes));
    let n_patches = lines(&server)
        .iter()
        .filter(|line| line.starts_with("PATCH"))
        .count();
    assert_eq!(n_patches, 2);
}

/// Reads a blob of `app` whole.
async fn read(
    registries: &crate::Registries,
    from: &Repository,
    bytes: &[u8],
) -> Result<Vec<u8>, RegistryError> {
    let blob = Descriptor::of(MediaType::OCI_LAYER, bytes);
    registries.small_blob(from, &blob, 1 << 30).await
}

#[tokio::test]
async fn all_bytes_are_enough_whatever_was_announced() {
    // It announces more than it has, and ignores ranges.
    let bytes = sample(1000);
    let body = bytes.clone();
    let server = FakeServer::start(move |_, _| {
        let mut longer = body.clone();
        longer.extend_from_slice(b"more");
        Reply::new(200, longer).cut_after(body.len())
    });
    let found = read(&anonymous(), &app(&server), &bytes).await.unwrap();
    assert_eq!(found, bytes);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_mirror_that_stands_still_is_left_where_it_stopped() {
    let bytes = sample(1000);
    let body = bytes.clone();
    let mirror = FakeServer::start(move |seen, _| match seen.range_start() {
        None => Reply::new(200, body.clone()).cut_after(400),
        Some(_) => with_range(seen, &body).cut_after(0),
    });
    let fake = Fake::default();
    fake.put_blob(&bytes);
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let (registries, _) = mirrored(&server, &[&mirror.host()]);
    let found = read(&registries, &app(&server), &bytes).await.unwrap();
    assert_eq!(found, bytes);
    assert_eq!(mirror.seen().len(), 2, "one try to go on");
    assert_eq!(server.seen()[0].header("range"), Some("bytes=400-"));
}

#[tokio::test]
async fn a_web_page_is_no_manifest() {
    let page = || Reply::new(200, "\n<!doctype html><title>Log in</title>");
    let portal = FakeServer::start(move |_, _| page());
    let error = anonymous().manifest(&app(&portal), &tag()).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("web page"), "{error}");
    assert!(error.hint().unwrap().contains("proxy"));
    // As a mirror it is passed over.
    let fake = Fake::default();
    fake.put_manifest("1", b"{}");
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let (registries, _) = mirrored(&server, &[&portal.host()]);
    let served = registries.manifest(&app(&server), &tag()).await.unwrap();
    assert_eq!(served.bytes, b"{}");
}

#[tokio::test]
async fn a_token_server_that_fails_is_named_with_what_it_was_asked_for() {
    for (answer, words) in [
        (Reply::new(500, ""), "the registry answered 500"),
        (Reply::new(200, "<html>"), "is no token"),
        (
            Reply::new(307, "").header("Location", "/token"),
            "redirects",
        ),
        (Reply::new(200, vec![b' '; 2 << 20]), "larger than"),
        (Reply::closed(), "4 tries"),
    ] {
        let server = FakeServer::start(move |seen, _| {
            if seen.target.starts_with("/token") {
                return answer.clone();
            }
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            Reply::new(401, "").header("WWW-Authenticate", challenge)
        });
        let error = anonymous().manifest(&app(&server), &tag()).await;
        let text = error.unwrap_err().to_string();
        let expected = format!("pull from `{}`: ", app(&server));
        assert!(
            text.starts_with(&expected) && text.contains(words),
            "{text}"
        );
        assert!(text.contains("/token"), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_ends_between_two_blobs_is_asked_for_again() {
    let fake = Fake::default();
    let rules = fake.clone();
    // Each token is good for three requests.
    let used = std::sync::Mutex::new((0_u32, 0_u32));
    let server = FakeServer::start(move |seen, _| {
        let mut used = used.lock().unwrap();
        if seen.target.starts_with("/token") {
            *used = (used.0 + 1, 0);
            let token = format!(r#"{{"token":"t{}","expires_in":900}}"#, used.0);
            return Reply::new(200, token);
        }
        let is_good = seen.header("authorization") == Some(&format!("Bearer t{}", used.0));
        if !is_good || used.1 == 3 {
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            return Reply::new(401, "")
                .header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""));
        }
        used.1 += 1;
        rules.serve(seen)
    });
    let registries = anonymous();
    for n in 1..6 {
        let blob = blob(&sample(n * 1000));
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent, "{n}");
        assert!(fake.blob(&blob.descriptor.digest).is_some());
    }
}

#[tokio::test]
async fn the_host_that_a_redirect_led_to_is_named_when_it_fails() {
    let digest = Digest::of(b"x");
    let server = FakeServer::start(|_, _| {
        Reply::new(307, "").header("Location", "http://127.0.0.1:1/storage?signature=secret")
    });
    let blob = Descriptor::new(MediaType::OCI_LAYER, digest, 1);
    let (sender, _pieces) = tokio::sync::mpsc::channel(1);
    let registries = Arc::new(anonymous());
    let error = registries
        .blob(&app(&server), &blob, &sender, &NoProgress)
        .await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("`http://127.0.0.1:1/storage?...`"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_manifest_that_is_called_wrong_once_is_sent_again() {
    for n_wrong in [1, 2, 3] {
        let fake = Fake::default();
        let rules = fake.clone();
        let n_puts = std::sync::atomic::AtomicUsize::new(0);
        let server = FakeServer::start(move |seen, _| {
            let is_put = seen.method == "PUT" && seen.target.contains("/manifests/");
            if is_put && n_puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < n_wrong {
                return Reply::new(400, r#"{"errors":[{"message":"digest did not match"}]}"#);
            }
            rules.serve(seen)
        });
        let registries = anonymous();
        let (to, manifest) = (app(&server), manifest("{}"));
        let outcome = registries.put_manifest(&to, &tag(), &manifest).await;
        assert_eq!(outcome.is_ok(), n_wrong < 3, "{outcome:?}");
        assert_eq!(fake.manifest("1").is_some(), n_wrong < 3);
    }
}
