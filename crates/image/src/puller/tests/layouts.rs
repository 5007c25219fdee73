//! Images in layouts, whole and broken.

use std::path::Path;

use super::*;
use crate::{Exporter, OciExporter, OciOutput};

fn export(dir: &Path, images: &[Image], names: &[&str], store: &Store) {
    let exporter = OciExporter {
        output: OciOutput::Directory(dir.to_owned()),
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    exporter.export(images, store).unwrap();
}

/// A layout with one image of one layer.
fn layout() -> (tempfile::TempDir, Image) {
    let dir = tempfile::tempdir().unwrap();
    let (_store_dir, store) = store();
    let image = image_of(vec![put_layer(&store, &[f("a", "text")])], "linux/amd64");
    export(
        &dir.path().join("l"),
        std::slice::from_ref(&image),
        &["x:1"],
        &store,
    );
    (dir, image)
}

fn blob(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("l/blobs/sha256").join(digest.hex())
}

async fn pull(dir: &Path, rest: &str) -> Result<ResolvedImage, ImageError> {
    let (_dir, store) = store();
    let source = format!("oci-layout://{}/l{rest}", dir.display())
        .parse()
        .unwrap();
    pull_all(&Puller::new(store, net()), &source).await
}

#[tokio::test]
async fn blobs_of_a_layout_are_heard_of_like_those_of_a_registry() {
    let (dir, image) = layout();
    let (_dir, store) = store();
    let puller = Puller::new(store, net());
    let source = format!("oci-layout://{}/l", dir.path().display());
    let whole = puller.whole(&source.parse().unwrap()).await.unwrap();
    let heard = Arc::new(Heard::default());
    let progress: Arc<dyn Progress> = Arc::<Heard>::clone(&heard);
    puller
        .fetch_whole(&whole.0, &whole.1, &progress)
        .await
        .unwrap();
    heard.ended(&[&image.manifest.config, &image.layers[0].descriptor]);
}

#[tokio::test]
async fn a_layout_is_found_by_tag_name_and_digest() {
    let (dir, image) = layout();
    let digest = image.descriptor.digest;
    for rest in [
        "",
        ":1",
        ":docker.io/library/x:1",
        &format!("@{digest}"),
        &format!(":no@{digest}"),
    ] {
        // A whole name holds slashes, so it can only be given as a value.
        if rest.contains('/') {
            continue;
        }
        let found = pull(dir.path(), rest).await.unwrap();
        assert_eq!(found.manifest_bytes, image.manifest_bytes, "{rest}");
        assert_eq!(found.reference(), None);
    }
    let error = pull(dir.path(), ":2").await.unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
    let error = pull(dir.path(), &format!("@{}", Digest::of(b"no")))
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn missing_blobs_are_named() {
    for which in 0..3 {
        let (dir, image) = layout();
        let digest = [
            image.descriptor.digest,
            image.manifest.config.digest,
            image.layers[0].descriptor.digest,
        ][which];
        std::fs::remove_file(blob(dir.path(), &digest)).unwrap();
        let error = pull(dir.path(), "").await.unwrap_err();
        assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
    }
}

#[tokio::test]
async fn changed_blobs_are_refused() {
    for which in 0..3 {
        for edit in [|b: &mut Vec<u8>| b[3] ^= 1, |b: &mut Vec<u8>| b.push(b' ')] {
            let (dir, image) = layout();
            let digest = [
                image.descriptor.digest,
                image.manifest.config.digest,
                image.layers[0].descriptor.digest,
            ][which];
            let path = blob(dir.path(), &digest);
            let mut bytes = std::fs::read(&path).unwrap();
            edit(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            let error = pull(dir.path(), "").await.unwrap_err();
            assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
        }
    }
}

/// Puts a document into the layout and makes it the only entry.
fn set_root(dir: &Path, bytes: &[u8], kind: MediaType, size: Option<u64>) {
    let mut entry = Descriptor::of(kind, bytes);
    std::fs::write(blob(dir, &entry.digest), bytes).unwrap();
    entry.size = size.unwrap_or(entry.size);
    let index = canonical_json(&Index::oci(vec![entry]));
    std::fs::write(dir.join("l/index.json"), index).unwrap();
}

#[tokio::test]
async fn sizes_and_kinds_must_be_true() {
    let (dir, image) = layout();
    set_root(
        dir.path(),
        &image.manifest_bytes,
        MediaType::OCI_MANIFEST,
        Some(7),
    );
    let error = pull(dir.path(), "").await.unwrap_err();
    assert!(error.to_string().contains("instead of 7"), "{error}");
    set_root(dir.path(), b"{}", MediaType::OCI_MANIFEST, None);
    let error = pull(dir.path(), "").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("neither an index nor a manifest"),
        "{error}"
    );
    let mut manifest = image.manifest.clone();
    manifest.layers.clear();
    set_root(
        dir.path(),
        &canonical_json(&manifest),
        MediaType::OCI_MANIFEST,
        None,
    );
    let error = pull(dir.path(), "").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it names 1 layers, the manifest 0"),
        "{error}"
    );
}

#[tokio::test]
async fn indexes_within_indexes_end() {
    let (dir, image) = layout();
    let mut entry = image.descriptor;
    for _ in 0..10 {
        let bytes = canonical_json(&Index::oci(vec![entry]));
        set_root(dir.path(), &bytes, MediaType::OCI_INDEX, None);
        entry = Descriptor::of(MediaType::OCI_INDEX, &bytes);
    }
    let error = pull(dir.path(), "").await.unwrap_err();
    assert!(error.to_string().contains("too deep"), "{error}");
    // An index that lists itself by a wrong digest is only a wrong digest.
    let (dir, image) = layout();
    let mut me = image.descriptor;
    me.media_type = MediaType::OCI_INDEX;
    let bytes = canonical_json(&Index::oci(vec![me.clone()]));
    me.size = bytes.len() as u64;
    std::fs::write(blob(dir.path(), &me.digest), &bytes).unwrap();
    let index = canonical_json(&Index::oci(vec![me]));
    std::fs::write(dir.path().join("l/index.json"), index).unwrap();
    let error = pull(dir.path(), "").await.unwrap_err();
    assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn an_entry_without_platform_is_judged_by_its_config() {
    let (dir, image) = layout();
    let mut entry = image.descriptor.clone();
    entry.platform = None;
    let bytes = canonical_json(&Index::oci(vec![entry]));
    set_root(dir.path(), &bytes, MediaType::OCI_INDEX, None);
    assert_eq!(pull(dir.path(), "").await.unwrap().manifest, image.manifest);
    let (_dir, store) = store();
    let source = ImageSource::layout(dir.path().join("l"));
    let wanted = Platform::new("linux", "riscv64");
    let error = Puller::new(store, net())
        .resolve(&source, &wanted)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ImageError::NoPlatform { offered, .. } if offered == &["linux/amd64"])
    );
}

#[tokio::test]
async fn platforms_without_names_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (_store_dir, store) = store();
    let layer = put_layer(&store, &[f("a", "text")]);
    let images =
        ["linux/amd64", "linux/arm64"].map(|platform| image_of(vec![layer.clone()], platform));
    export(&dir.path().join("l"), &images, &[], &store);
    let found = pull(dir.path(), "").await.unwrap();
    assert_eq!(found.manifest, images[0].manifest);
}
