use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::{Digest, Index, canonical_json};

use super::fixture::*;
use crate::{Name, PushManifest};

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
            let mut entry =
                acetate_oci::Descriptor::of(acetate_oci::MediaType::OCI_MANIFEST, &bytes);
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
