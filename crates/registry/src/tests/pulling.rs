use acetate_net::NetError;
use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::Digest;

use super::fixture::*;
use crate::{Name, RegistryError};

fn tag(text: &str) -> Name {
    Name::Tag(text.into())
}

#[tokio::test]
async fn a_manifest_is_described_without_reading_it() {
    let fake = Fake::default();
    fake.put_manifest("1", b"{ }");
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let registries = anonymous();
    let found = registries.describe(&app(&server), &tag("1")).await.unwrap();
    let found = found.unwrap();
    assert_eq!((found.digest, found.size), (Digest::of(b"{ }"), 3));
    assert_eq!(found.media_type, acetate_oci::MediaType::OCI_MANIFEST);
    assert_eq!(
        registries.describe(&app(&server), &tag("2")).await.unwrap(),
        None
    );
    assert_eq!(lines(&server), ["HEAD manifests/1", "HEAD manifests/2"]);
}

#[tokio::test]
async fn one_that_tells_no_digest_or_knows_no_head_is_read() {
    for status in [200, 405] {
        let server = FakeServer::start(move |seen, _| match seen.method.as_str() {
            "HEAD" => Reply::new(status, ""),
            _ => Reply::new(200, "{}").header("Content-Type", "application/x; charset=utf-8"),
        });
        let found = anonymous()
            .describe(&app(&server), &tag("1"))
            .await
            .unwrap();
        let found = found.unwrap();
        assert_eq!(found.digest, Digest::of(b"{}"));
        assert_eq!(found.media_type.as_str(), "application/x");
    }
}

#[tokio::test]
async fn manifests_that_are_not_as_promised_are_refused() {
    let other = Digest::of(b"other");
    for (reply, words) in [
        (Reply::new(200, "x"), "not the promised one"),
        (
            Reply::new(200, "x").header("Docker-Content-Digest", other.to_string()),
            "not the promised one",
        ),
        (
            Reply::new(200, vec![b' '; (4 << 20) + 1]),
            "larger than the limit",
        ),
        // Without an announced size it would never end.
        (
            Reply::new(200, vec![b' '; 5 << 20]).header("Content-Length", "99999999999"),
            "larger than the limit",
        ),
        (Reply::new(200, "xx").cut_after(1), "after 1 bytes"),
        (Reply::new(500, ""), "answered 500"),
        (Reply::new(404, ""), "find the manifest"),
    ] {
        let scripted = reply.clone();
        let server = FakeServer::start(move |_, _| scripted.clone());
        let name = Name::Digest(Digest::of(b"promised"));
        let error = anonymous()
            .manifest(&app(&server), &name)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn a_busy_registry_is_waited_for() {
    let fake = Fake::default();
    fake.put_manifest("1", b"{}");
    let server = FakeServer::start(move |seen, n| match n {
        0 => Reply::new(429, "").header("Retry-After", "0"),
        1 => Reply::new(502, ""),
        2 => Reply::closed(),
        3 => Reply::new(200, "{}").cut_after(1),
        _ => fake.serve(seen),
    });
    let served = anonymous()
        .manifest(&app(&server), &tag("1"))
        .await
        .unwrap();
    assert_eq!(served.bytes, b"{}");
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_resumed_and_checked() {
    let bytes = sample(300_000);
    let whole = bytes.clone();
    let server = FakeServer::start(move |seen, n| {
        with_range(seen, &whole).cut_after(if n < 6 { 50_000 } else { usize::MAX })
    });
    let blob = blob(&bytes).descriptor;
    let got = anonymous().small_blob(&app(&server), &blob, 1 << 20).await;
    assert_eq!(got.unwrap(), bytes);
    let last = server.seen().pop().unwrap();
    assert_eq!(last.range_start(), Some(250_000));
}

#[tokio::test]
async fn blobs_that_are_not_as_promised_are_refused() {
    let blob = blob(b"right").descriptor;
    for (reply, words) in [
        (Reply::new(200, "wrong"), "another digest"),
        (Reply::new(200, "righ"), "ends after 4 of 5 bytes"),
        (Reply::new(200, "rights"), "larger than its 5 bytes"),
        (Reply::new(206, "ght"), "another range"),
        (Reply::new(404, ""), "find the blob"),
    ] {
        let scripted = reply.clone();
        let server = FakeServer::start(move |_, _| scripted.clone());
        let error = anonymous()
            .small_blob(&app(&server), &blob, 100)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let server = FakeServer::start(|_, _| Reply::new(200, "right"));
    let error = anonymous()
        .small_blob(&app(&server), &blob, 4)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("limit of 4"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn resets_without_end_have_an_end() {
    let server = FakeServer::start(|_, _| Reply::new(200, "right").cut_after(2));
    let blob = blob(b"right").descriptor;
    let error = anonymous()
        .small_blob(&app(&server), &blob, 100)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::Net(NetError::Interrupted { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn tags_are_listed_over_pages() {
    let server = FakeServer::start(|seen, _| match seen.target.as_str() {
        "/v2/app/tags/list?n=1000" => Reply::new(200, r#"{"name":"app","tags":["a","b"]}"#)
            .header("Link", r#"</v2/app/tags/list?last=b&n=2>; rel="next""#),
        "/v2/app/tags/list?last=b&n=2" => Reply::new(200, r#"{"name":"app","tags":["c"]}"#),
        "/v2/null/tags/list?n=1000" => Reply::new(200, r#"{"name":"null","tags":null}"#),
        "/v2/evil/tags/list?n=1000" => {
            Reply::new(200, r#"{"tags":[]}"#).header("Link", r#"<http://127.0.0.2/x>; rel="next""#)
        }
        "/v2/loop/tags/list?n=1000" => Reply::new(200, r#"{"tags":["x"]}"#)
            .header("Link", r#"</v2/loop/tags/list?n=1000>; rel="next""#),
        _ => Reply::new(404, ""),
    });
    let registries = anonymous();
    let list = async |path: &str| registries.tags(&named(&server, path)).await;
    assert_eq!(list("app").await.unwrap(), ["a", "b", "c"]);
    assert!(list("null").await.unwrap().is_empty());
    assert!(list("none").await.unwrap().is_empty());
    let error = list("evil").await.unwrap_err().to_string();
    assert!(error.contains("another host"), "{error}");
    let error = list("loop").await.unwrap_err().to_string();
    assert!(error.contains("more than 1000 pages"), "{error}");
}

#[tokio::test]
async fn deleting_tells_what_it_did() {
    let server = FakeServer::start(|seen, _| match seen.target.as_str() {
        "/v2/app/manifests/there" => Reply::new(202, ""),
        "/v2/app/manifests/kept" => Reply::new(405, ""),
        _ => Reply::new(404, ""),
    });
    let registries = anonymous();
    let delete = async |name: &str| registries.delete(&app(&server), &tag(name)).await;
    assert!(delete("there").await.unwrap());
    assert!(!delete("gone").await.unwrap());
    let error = delete("kept").await.unwrap_err().to_string();
    assert!(error.contains("does not allow it"), "{error}");
}
