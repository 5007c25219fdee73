//! What the attributes of exporters do: annotations, types, split platforms, stale files.

use acetate_oci::{Index, Manifest, MediaType};

use super::*;
use crate::{Annotation, AnnotationLevel, Annotations, Packaging, Stale, Style, assemble};

fn annotation(level: AnnotationLevel, value: &str) -> Annotation {
    Annotation {
        level,
        platform: None,
        key: "org.example".to_owned(),
        value: value.to_owned(),
    }
}

/// Writes a layout directory and gives its path.
fn layout(dir: &Path, images: &[Image], annotations: Annotations, store: &Store) -> PathBuf {
    let path = dir.join("layout");
    let exporter = OciExporter {
        output: OciOutput::Directory(path.clone()),
        names: Vec::new(),
        annotations,
        companions: Vec::new(),
    };
    exporter.export(images, store).unwrap();
    path
}

fn blob<T: serde::de::DeserializeOwned>(layout: &Path, digest: &Digest) -> T {
    let path = layout.join(format!("blobs/sha256/{}", digest.hex()));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn index(layout: &Path) -> Index {
    serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap()
}

#[test]
fn annotations_reach_their_four_places() {
    let (dir, store) = store();
    let layer = put_layer(&store, &[f("a", "text")]);
    let all = Annotations(
        AnnotationLevel::NAMES
            .iter()
            .map(|(name, level)| annotation(*level, name))
            .collect(),
    );
    let images = ["linux/arm64", "linux/amd64"].map(|platform| {
        let image = image_of(vec![layer.clone()], platform);
        let at = |level| all.of(level, &image.platform());
        let (manifest, descriptor) = (
            at(AnnotationLevel::Manifest),
            at(AnnotationLevel::ManifestDescriptor),
        );
        image.annotated(manifest, descriptor)
    });
    let layout = layout(dir.path(), &images, all, &store);
    let root = &index(&layout).manifests[0];
    assert_eq!(root.annotations["org.example"], "index-descriptor");
    let inner: Index = blob(&layout, &root.digest);
    assert_eq!(inner.annotations["org.example"], "index");
    for entry in &inner.manifests {
        assert_eq!(entry.annotations["org.example"], "manifest-descriptor");
        assert!(entry.platform.is_some());
        let manifest: Manifest = blob(&layout, &entry.digest);
        assert_eq!(manifest.annotations["org.example"], "manifest");
    }
}

#[test]
fn images_with_dockers_types_are_gathered_in_a_list_of_dockers() {
    let (dir, store) = store();
    let layer = put_layer(&store, &[f("a", "text")]);
    let images = ["linux/arm64", "linux/amd64"].map(|platform| {
        let image = image_of(vec![layer.clone()], platform);
        image.in_style(Style::Docker).unwrap()
    });
    let layout = layout(dir.path(), &images, Annotations::default(), &store);
    assert_eq!(
        index(&layout).manifests[0].media_type,
        MediaType::DOCKER_LIST
    );
}

#[test]
fn layers_that_are_not_to_be_given_away_keep_their_type_when_asked() {
    let (_dir, store) = store();
    let mut layer = put_layer(&store, &[f("a", "text")]);
    layer.descriptor.media_type = MediaType::DOCKER_FOREIGN_LAYER_GZIP;
    for (style, keep, expected) in [
        (
            Style::Oci,
            false,
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ),
        (
            Style::Oci,
            true,
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ),
        (
            Style::Docker,
            true,
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ),
    ] {
        let packaging = Packaging {
            style,
            keep_nondistributable: keep,
        };
        let config = image_of(Vec::new(), "linux/amd64").config;
        let image = assemble(config, Vec::new(), vec![layer.clone()], packaging).unwrap();
        assert_eq!(image.layers[0].descriptor.media_type.as_str(), expected);
    }
}

#[test]
fn platforms_in_one_tree_share_directories_only() {
    let (dir, store) = store();
    let image = |name: &str, platform: &str| {
        let layer = put_layer(&store, &[d("bin"), f(name, platform)]);
        image_of(vec![layer], platform)
    };
    let apart = [
        image("bin/arm", "linux/arm64"),
        image("bin/amd", "linux/amd64"),
    ];
    let exporter = |name: &str| LocalExporter {
        directory: dir.path().join(name),
        platform_dirs: PlatformDirs::Never,
        times: None,
        extra: Vec::new(),
        stale: Stale::Keep,
    };
    exporter("apart").export(&apart, &store).unwrap();
    let names: Vec<String> = listing(&dir.path().join("apart")).into_keys().collect();
    assert_eq!(names, ["bin", "bin/amd", "bin/arm"]);
    let same = [image("bin/x", "linux/arm64"), image("bin/x", "linux/amd64")];
    let error = exporter("same").export(&same, &store).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("`bin/x` of `linux/arm64` and of `linux/amd64`"));
    assert!(!dir.path().join("same").exists());
}

#[test]
fn stale_files_go_when_they_are_to_and_nothing_else_does() {
    let (dir, store) = store();
    let layer = put_layer(&store, &[d("bin"), f("bin/app", "new"), f("file", "new")]);
    let image = image_of(vec![layer], "linux/amd64");
    let (out, outside) = (dir.path().join("out"), dir.path().join("outside"));
    std::fs::create_dir_all(out.join("bin/old/deep")).unwrap();
    std::fs::create_dir_all(out.join("file/in the way")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    for file in [
        out.join("bin/old/deep/x"),
        out.join("bin/app"),
        outside.join("kept"),
    ] {
        std::fs::write(file, "old").unwrap();
    }
    std::os::unix::fs::symlink(&outside, out.join("link")).unwrap();
    let exporter = LocalExporter {
        directory: out.clone(),
        platform_dirs: PlatformDirs::IfMany,
        times: None,
        extra: Vec::new(),
        stale: Stale::Delete,
    };
    for _ in 0..2 {
        exporter
            .export(std::slice::from_ref(&image), &store)
            .unwrap();
        let found: Vec<String> = listing(&out).into_keys().collect();
        assert_eq!(found, ["bin", "bin/app", "file"]);
    }
    assert!(outside.join("kept").exists());
    assert_eq!(std::fs::read(out.join("file")).unwrap(), b"new");
}

#[test]
fn extra_files_lie_beside_those_of_their_image_and_cover_none() {
    let (dir, store) = store();
    let layer = put_layer(&store, &[d("bin"), f("bin/app", "x"), f("zz", "x")]);
    let image = image_of(vec![layer], "linux/amd64");
    let images = [image];
    let extra = |name: &str| {
        vec![vec![ExtraFile {
            name: name.to_owned(),
            bytes: b"{}".to_vec(),
            mtime: acetate_oci::Timestamp::from_secs(5),
        }]]
    };
    let out = dir.path().join("out");
    let local = |name: &str| LocalExporter {
        directory: out.clone(),
        platform_dirs: PlatformDirs::IfMany,
        times: None,
        extra: extra(name),
        stale: Stale::Delete,
    };
    local("p.json").export(&images, &store).unwrap();
    let found: Vec<String> = listing(&out).into_keys().collect();
    assert_eq!(found, ["bin", "bin/app", "p.json", "zz"]);
    assert_eq!(std::fs::read(out.join("p.json")).unwrap(), b"{}");
    let error = local("zz").export(&images, &store).unwrap_err().to_string();
    assert!(
        error.contains("`zz`") && error.contains("attestation-prefix"),
        "{error}"
    );
    let path = dir.path().join("out.tar");
    let tar = TarExporter {
        destination: Destination::File(path.clone()),
        platform_dirs: PlatformDirs::Always,
        times: None,
        extra: extra("p.json"),
    };
    tar.export(&images, &store).unwrap();
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let names = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        entry.path().unwrap().to_string_lossy().into_owned()
    });
    let names: Vec<String> = names.collect();
    let at = names.iter().position(|name| name == "linux_amd64/p.json");
    assert!(at.is_some(), "{names:?}");
}
