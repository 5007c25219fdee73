//! Registries that ask nothing: what was pushed is read by others, and by us.

use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, MediaType};
use acetate_registry::{Access, Name, NoProgress, Progress, PushManifest, Pushed, Registries};

use crate::server::{Kind, Server, have, net, peer, programs, run, sample};

fn silent() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_pushed_and_read_back() {
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let registries = server.client("{}", "");
        let image = sample(&["1", "latest"]);
        let to = server.repository("org/app");
        let report = registries.push(&to, &image.push, &silent()).await.unwrap();
        assert_eq!(
            (report.n_sent, report.n_present, report.n_mounted),
            (5, 0, 0)
        );
        let name = Name::Tag("latest".into());
        let served = registries.manifest(&to, &name).await.unwrap();
        assert_eq!(served.bytes, image.push.root.bytes);
        let found = registries.describe(&to, &name).await.unwrap().unwrap();
        assert_eq!(
            (found.digest, found.media_type),
            (report.digest, MediaType::OCI_INDEX)
        );
        for (blob, bytes) in image.push.blobs.iter().zip(&image.layers) {
            let read = registries.small_blob(&to, &blob.descriptor, 1 << 23).await;
            assert!(read.unwrap() == *bytes);
        }
        let mut tags = registries.tags(&to).await.unwrap();
        tags.sort();
        assert_eq!(tags, ["1", "latest"]);
        // Once more nothing is sent, and in another repository everything is mounted.
        let report = registries.push(&to, &image.push, &silent()).await.unwrap();
        assert_eq!((report.n_sent, report.n_bytes), (0, 0));
        let mut other = image.push.clone();
        for blob in &mut other.blobs {
            blob.mount_from = vec![to.clone()];
        }
        let there = server.repository("org/other");
        let report = registries.push(&there, &other, &silent()).await.unwrap();
        assert_eq!(
            (report.n_sent, report.n_mounted),
            (0, 5),
            "{}",
            program.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_read_what_was_pushed() {
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let registries = server.client("{}", "");
        let image = sample(&["1"]);
        let to = server.repository("app");
        registries.push(&to, &image.push, &silent()).await.unwrap();
        let name = format!("{}/app:1", server.host);
        if have("skopeo") {
            let copy = format!("oci:{}:1", server.path("copy").display());
            let from = format!("docker://{name}");
            run(
                "skopeo",
                &[
                    "--insecure-policy",
                    "copy",
                    "--all",
                    "--src-tls-verify=false",
                    &from,
                    &copy,
                ],
            );
            let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &from]);
            assert_eq!(raw.as_bytes(), image.push.root.bytes);
        }
        if let Some(crane) = peer("crane") {
            run(&crane, &["validate", "--remote", &name]);
            let digest = run(&crane, &["digest", &name]);
            assert_eq!(digest.trim(), image.push.root.digest().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_skopeo_pushed_is_read() {
    if !have("skopeo") {
        return;
    }
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let registries = server.client("{}", "");
        let image = sample(&["1"]);
        let (from, to) = (server.repository("from"), server.repository("to"));
        registries
            .push(&from, &image.push, &silent())
            .await
            .unwrap();
        let name = |path: &str| format!("docker://{}/{path}:1", server.host);
        run(
            "skopeo",
            &[
                "--insecure-policy",
                "copy",
                "--all",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                &name("from"),
                &name("to"),
            ],
        );
        let served = registries.manifest(&to, &Name::Tag("1".into())).await;
        assert_eq!(served.unwrap().bytes, image.push.root.bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_blob_goes_in_chunks_and_whole() {
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let registries = server.client("{}", "");
        let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let path = server.path("large");
        std::fs::write(&path, &bytes).unwrap();
        let blob = acetate_registry::PushBlob {
            descriptor: Descriptor::of(MediaType::OCI_LAYER, &bytes),
            source: Arc::new(acetate_registry::FileSource(path)),
            mount_from: Vec::new(),
        };
        let whole = server.repository("whole");
        let pushed = registries.push_blob(&whole, &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent);
        let mut access = Access::anonymous();
        access.chunk_size = Some(7_000_000);
        let registries = Registries::new(net(), access);
        let chunks = server.repository("chunks");
        let pushed = registries.push_blob(&chunks, &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent);
        for there in [whole, chunks] {
            let size = registries.has_blob(&there, blob.descriptor.digest).await;
            assert_eq!(size.unwrap(), Some(40_000_000));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referrers_and_deletion() {
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let registries = server.client("{}", "");
        let image = sample(&["1"]);
        let to = server.repository("app");
        registries.push(&to, &image.push, &silent()).await.unwrap();
        let subject = image.push.root.digest();
        let config = image.push.blobs[2].descriptor.clone();
        let mut manifest = acetate_oci::Manifest::oci(config, Vec::new());
        manifest.artifact_type = Some("application/vnd.example".into());
        manifest.subject = Some(Descriptor::of(MediaType::OCI_INDEX, &image.push.root.bytes));
        let manifest = PushManifest {
            media_type: MediaType::OCI_MANIFEST,
            bytes: acetate_oci::canonical_json(&manifest),
        };
        let name = Name::Digest(manifest.digest());
        registries
            .put_manifest(&to, &name, &manifest)
            .await
            .unwrap();
        let found = registries
            .referrers(&to, subject, Some("application/vnd.example"))
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].digest, manifest.digest());
        let none = registries.referrers(&to, Digest::of(b"none"), None).await;
        assert!(none.unwrap().is_empty());
        assert!(registries.delete(&to, &name).await.unwrap());
        assert!(!registries.delete(&to, &name).await.unwrap());
        assert_eq!(registries.describe(&to, &name).await.unwrap(), None);
        assert_eq!(image.index.manifests.len(), 2);
    }
}

/// An artifact that speaks about `subject`, which differs by its annotation.
fn speaking(config: &Descriptor, subject: &Descriptor, n: usize) -> PushManifest {
    let mut manifest = acetate_oci::Manifest::oci(config.clone(), Vec::new());
    manifest.artifact_type = Some("application/vnd.example".into());
    manifest.subject = Some(subject.clone());
    manifest.annotations.insert("n".into(), n.to_string());
    PushManifest {
        media_type: MediaType::OCI_MANIFEST,
        bytes: acetate_oci::canonical_json(&manifest),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_once_lose_no_referrer() {
    for program in programs() {
        let server = Server::start(&program, Kind::Open);
        let image = sample(&["1"]);
        let to = server.repository("app");
        let registries = server.client("{}", "");
        registries.push(&to, &image.push, &silent()).await.unwrap();
        let subject = Descriptor::of(MediaType::OCI_INDEX, &image.push.root.bytes);
        let config = &image.push.blobs[2].descriptor;
        // Each has a client of its own, as processes have.
        let writers = (0..6).map(|n| {
            let (registries, to) = (server.client("{}", ""), to.clone());
            let said = [2 * n, 2 * n + 1].map(|n| speaking(config, &subject, n));
            tokio::spawn(async move {
                for manifest in said {
                    let name = Name::Digest(manifest.digest());
                    registries
                        .put_manifest(&to, &name, &manifest)
                        .await
                        .unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let found = registries.referrers(&to, subject.digest, None).await;
        let mut found: Vec<Digest> = found.unwrap().iter().map(|entry| entry.digest).collect();
        found.sort_unstable();
        let said = (0..12).map(|n| speaking(config, &subject, n).digest());
        let mut said: Vec<Digest> = said.collect();
        said.sort_unstable();
        assert_eq!(found, said, "{}", program.display());
    }
}
