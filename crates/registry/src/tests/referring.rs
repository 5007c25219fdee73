use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::{Descriptor, Digest, Index, MediaType, canonical_json};

use super::fixture::*;
use crate::{Name, Push, PushManifest, RegistryError};

fn speaking(subject: Digest, kind: &str) -> PushManifest {
    manifest(&format!(
        r#"{{"schemaVersion":2,"artifactType":"{kind}","annotations":{{"a":"b"}},"config":{{"mediaType":"application/x"}},
        "subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":2}}}}"#
    ))
}

#[tokio::test]
async fn without_the_interface_a_tag_stands_in() {
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| rules.serve(seen));
    let (registries, subject) = (anonymous(), Digest::of(b"{}"));
    let to = app(&server);
    let (sbom, sign, bare) = (
        speaking(subject, "sbom"),
        speaking(subject, "sign"),
        speaking(subject, ""),
    );
    for manifest in [&sbom, &sign, &sbom, &bare] {
        let name = Name::Digest(manifest.digest());
        registries.put_manifest(&to, &name, manifest).await.unwrap();
    }
    let found = registries.referrers(&to, subject, None).await.unwrap();
    let kinds: Vec<_> = found
        .iter()
        .map(|entry| entry.artifact_type.as_deref())
        .collect();
    assert_eq!(kinds, [Some("sbom"), Some("sign"), Some("application/x")]);
    assert_eq!(found[0].digest, sbom.digest());
    assert_eq!(found[0].size, sbom.bytes.len() as u64);
    assert_eq!(found[0].annotations["a"], "b");
    let found = registries
        .referrers(&to, subject, Some("sign"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let tag = format!("sha256-{}", subject.hex());
    assert!(fake.manifest(&tag).is_some());
    let other = registries
        .referrers(&to, Digest::of(b"x"), None)
        .await
        .unwrap();
    assert!(other.is_empty());
}

#[tokio::test]
async fn with_the_interface_it_is_used() {
    let subject = Digest::of(b"{}");
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| {
        let page = |kind: &str| {
            let bytes = speaking(subject, kind).bytes;
            let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, &bytes);
            entry.artifact_type = Some(kind.to_owned());
            Reply::new(200, canonical_json(&Index::oci(vec![entry])))
        };
        if seen.target == format!("/v2/app/referrers/{subject}") {
            return page("sbom").header("Link", "<x?last=1>; rel=\"next\"");
        }
        if seen.target == "/v2/app/referrers/x?last=1" {
            return page("sign");
        }
        let reply = rules.serve(seen);
        match seen.method.as_str() {
            "PUT" => reply.header("OCI-Subject", subject.to_string()),
            _ => reply,
        }
    });
    let registries = anonymous();
    let to = app(&server);
    let sbom = speaking(subject, "sbom");
    let name = Name::Digest(sbom.digest());
    registries.put_manifest(&to, &name, &sbom).await.unwrap();
    assert_eq!(server.seen().len(), 1, "nothing stands in");
    let found = registries.referrers(&to, subject, None).await.unwrap();
    assert_eq!(found.len(), 2);
    let found = registries
        .referrers(&to, subject, Some("sign"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

/// What another writer has put under a tag that it read before anybody else wrote it.
fn list_of(names: &[&[u8]]) -> Vec<u8> {
    let entries = names
        .iter()
        .map(|name| Descriptor::of(MediaType::OCI_MANIFEST, name));
    canonical_json(&Index::oci(entries.collect()))
}

/// A registry without the interface, in which others overwrite the tag after each of our first
/// writes, the `n`th time with the `n`th list; gives how often we wrote it.
fn contended(fake: &Fake, tag: String, lists: Vec<Vec<u8>>) -> (FakeServer, Arc<AtomicUsize>) {
    let (rules, n_writes) = (fake.clone(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&n_writes);
    let server = FakeServer::start(move |seen, _| {
        let reply = rules.serve(seen);
        if seen.method == "PUT" && seen.target.ends_with(&tag) {
            let n = counter.fetch_add(1, Ordering::SeqCst);
            if let Some(list) = lists.get(n) {
                rules.put_manifest(&tag, list);
            }
        }
        reply
    });
    (server, n_writes)
}

#[tokio::test]
async fn what_another_writer_overwrote_is_put_back() {
    let (fake, subject) = (Fake::default(), Digest::of(b"{}"));
    let tag = format!("sha256-{}", subject.hex());
    fake.put_manifest(&tag, &list_of(&[b"old"]));
    // One adds its entry to what we read, then another one, which has seen neither.
    let lists = vec![list_of(&[b"old", b"one"]), list_of(&[b"old", b"two"])];
    let (server, n_writes) = contended(&fake, tag.clone(), lists);
    let ours = speaking(subject, "sbom");
    let name = Name::Digest(ours.digest());
    let to = app(&server);
    let registries = anonymous();
    registries.put_manifest(&to, &name, &ours).await.unwrap();
    let found = registries.referrers(&to, subject, None).await.unwrap();
    let found: Vec<Digest> = found.iter().map(|entry| entry.digest).collect();
    let expected = [b"old" as &[u8], b"two", b"one"].map(Digest::of);
    assert_eq!(found.len(), 4);
    for digest in expected.iter().chain([&ours.digest()]) {
        assert!(found.contains(digest), "{digest} is not in {found:?}");
    }
    assert_eq!(n_writes.load(Ordering::SeqCst), 3);
    // What is there is not written once more.
    registries.put_manifest(&to, &name, &ours).await.unwrap();
    assert_eq!(n_writes.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_list_that_others_overwrite_all_the_time_is_given_up() {
    let (fake, subject) = (Fake::default(), Digest::of(b"{}"));
    let tag = format!("sha256-{}", subject.hex());
    let lists = vec![list_of(&[b"other"]); 100];
    let (server, n_writes) = contended(&fake, tag, lists);
    let ours = speaking(subject, "sbom");
    let name = Name::Digest(ours.digest());
    let put = anonymous()
        .put_manifest(&app(&server), &name, &ours)
        .await
        .unwrap_err();
    assert!(matches!(put, RegistryError::Overwritten { .. }), "{put}");
    assert!(put.to_string().contains("push once more"), "{put}");
    assert_eq!(n_writes.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn what_was_copied_without_its_list_is_listed_when_it_is_pushed() {
    let (fake, subject) = (Fake::default(), Digest::of(b"{}"));
    let tag = format!("sha256-{}", subject.hex());
    let (said, root) = (speaking(subject, "sbom"), manifest("{}"));
    let push = Push {
        blobs: Vec::new(),
        manifests: vec![said.clone()],
        root: root.clone(),
        tags: Vec::new(),
    };
    for manifest in [&said, &root] {
        fake.put_manifest("copied", &manifest.bytes);
    }
    // A registry that shows no list, for whatever reason, is left alone.
    for (status, is_listed) in [(405, false), (404, true)] {
        let rules = fake.clone();
        let server = FakeServer::start(move |seen, _| {
            let is_list = seen.target.contains("/referrers/");
            if is_list {
                Reply::new(status, "")
            } else {
                rules.serve(seen)
            }
        });
        let registries = anonymous();
        for _ in 0..2 {
            let to = app(&server);
            registries.push(&to, &push, &silent()).await.unwrap();
        }
        assert_eq!(fake.manifest(&tag).is_some(), is_listed, "{status}");
        let n_sent = lines(&server)
            .iter()
            .filter(|line| line.starts_with("PUT"))
            .count();
        // The manifest and the list, and nothing the second time.
        assert_eq!(n_sent, 2 * usize::from(is_listed), "{status}");
    }
}
