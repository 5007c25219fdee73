use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use acetate_oci::{Compression, Timestamp};

use super::*;
use crate::flatten::TarReader;
use crate::layer::ImageLayer;
use crate::tarball::MemberKind;
use crate::testing::{d, f, h, image_of, k, put_layer, s, store};
use crate::{Force, Recipe, compress};

mod attributes;
mod tools;

/// Two layers with every kind of entry; the second changes the first.
pub(crate) fn layers(store: &Store) -> Vec<ImageLayer> {
    vec![
        put_layer(
            store,
            &[
                d("bin"),
                f("bin/app", "#!/bin/sh\n").mode(0o4755),
                h("bin/link", "bin/app"),
                d("gone"),
                f("gone/x", "1"),
                f("kept", "one"),
                s("sym", "bin/app"),
                k("pipe", MemberKind::Fifo),
                k("node", MemberKind::CharDevice(1, 3)),
            ],
        ),
        put_layer(
            store,
            &[
                f(".wh.gone", ""),
                f("kept", "two"),
                d("sealed").mode(0o555),
                f("sealed/in", "3"),
            ],
        ),
    ]
}

/// A destination and what was written to it.
fn buffer() -> (Destination, Arc<Mutex<Vec<u8>>>) {
    #[derive(Clone)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bytes = Arc::new(Mutex::new(Vec::new()));
    (Destination::stream(Shared(Arc::clone(&bytes))), bytes)
}

/// The names of a tar in order, with its contents.
fn members(tar: &[u8]) -> Vec<(String, String)> {
    let mut reader = TarReader::new(tar);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let start = usize::try_from(entry.offset).unwrap();
        let end = start + usize::try_from(entry.size).unwrap();
        let text = match entry.link.as_slice() {
            b"" => String::from_utf8_lossy(&tar[start..end]).into_owned(),
            link => format!("{:?} {}", entry.kind, String::from_utf8_lossy(link)),
        };
        found.push((String::from_utf8(entry.path).unwrap(), text));
    }
    found
}

fn names(texts: &[&str]) -> Vec<Reference> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn oci_archive(images: &[Image], names: Vec<Reference>, store: &Store) -> (Vec<u8>, ExportReport) {
    let (destination, bytes) = buffer();
    let exporter = OciExporter {
        output: OciOutput::Archive(destination),
        names,
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    let report = exporter.export(images, store).unwrap();
    let bytes = bytes.lock().unwrap().clone();
    (bytes, report)
}

#[test]
fn layers_are_heard_of_while_they_are_compressed_and_written() {
    let (dir, store) = store();
    let gzip = crate::Recipe::new(acetate_oci::Compression::Gzip);
    let plain = layers(&store);
    let packing = crate::testing::Heard::default();
    let force = crate::Force::Plain;
    let forms = crate::compress_all(&store, &plain, gzip, force, &packing).unwrap();
    let descriptors = |layers: &[ImageLayer]| -> Vec<Descriptor> {
        let blobs = layers.iter().map(|layer| layer.descriptor.clone());
        blobs.collect()
    };
    let plain = descriptors(&plain);
    packing.ended(&plain.iter().collect::<Vec<_>>());
    let written = descriptors(&forms);
    for output in [
        OciOutput::Archive(buffer().0),
        OciOutput::Directory(dir.path().join("l")),
    ] {
        let exporter = OciExporter {
            output,
            names: Vec::new(),
            annotations: crate::Annotations::default(),
            companions: Vec::new(),
        };
        let writing = crate::testing::Heard::default();
        let images = [image_of(forms.clone(), "linux/amd64")];
        exporter.export_telling(&images, &store, &writing).unwrap();
        writing.ended(&written.iter().collect::<Vec<_>>());
    }
}

#[test]
fn oci_archives_are_sorted_and_repeatable() {
    let (_dir, store) = store();
    let image = image_of(layers(&store), "linux/amd64");
    let names = names(&["app:1", "r.example/b"]);
    let (first, report) = oci_archive(std::slice::from_ref(&image), names.clone(), &store);
    let (second, _) = oci_archive(std::slice::from_ref(&image), names, &store);
    assert!(first == second);
    assert_eq!(
        report.descriptor.as_ref().unwrap().digest,
        image.descriptor.digest
    );
    assert_eq!(report.config_digest, Some(image.manifest.config.digest));
    let members = members(&first);
    let paths: Vec<_> = members.iter().map(|(path, _)| path.as_str()).collect();
    assert!(
        paths.is_sorted() && paths[..2] == ["blobs/", "blobs/sha256/"],
        "{paths:?}"
    );
    assert_eq!(
        paths.len(),
        2 + 4 + 2,
        "directories, blobs, index.json and oci-layout"
    );
    let (_, index) = members
        .iter()
        .find(|(path, _)| path == "index.json")
        .unwrap();
    let digest = image.descriptor.digest;
    let size = image.manifest_bytes.len();
    let entry = |full: &str, tag: &str| {
        format!(
            r#"{{"annotations":{{"io.containerd.image.name":"{full}","org.opencontainers.image.ref.name":"{tag}"}},"digest":"{digest}","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{{"architecture":"amd64","os":"linux"}},"size":{size}}}"#
        )
    };
    let entries = [
        entry("docker.io/library/app:1", "1"),
        entry("r.example/b:latest", "latest"),
    ];
    let expected = format!(
        r#"{{"manifests":[{}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#,
        entries.join(",")
    );
    assert_eq!(*index, expected);
}

#[test]
fn several_platforms_share_an_index() {
    let (_dir, store) = store();
    let layers = layers(&store);
    let images = ["linux/amd64", "linux/arm/v7"].map(|p| image_of(layers.clone(), p));
    let (bytes, report) = oci_archive(&images, names(&["app"]), &store);
    let root = report.descriptor.unwrap();
    assert!(root.media_type.is_index() && report.config_digest.is_none());
    let path = format!("blobs/sha256/{}", root.digest.hex());
    let index = members(&bytes)
        .into_iter()
        .find(|(name, _)| *name == path)
        .unwrap()
        .1;
    assert!(index.contains(r#""variant":"v7""#), "{index}");
    let (destination, written) = buffer();
    let docker = DockerExporter {
        destination,
        names: names(&["app"]),
        companions: Vec::new(),
    };
    let error = docker.export(&images, &store).unwrap_err().to_string();
    assert!(
        error.contains("2 platforms") && error.contains("`type=oci`"),
        "{error}"
    );
    assert!(written.lock().unwrap().is_empty());
}

#[test]
fn docker_archives_name_their_parts() {
    let (_dir, store) = store();
    let plain = layers(&store);
    let gzip = compress(
        &store,
        &plain[0],
        Recipe::new(Compression::Gzip),
        Force::Plain,
    )
    .unwrap();
    let image = image_of(vec![gzip, plain[1].clone()], "linux/amd64");
    let (destination, bytes) = buffer();
    let exporter = DockerExporter {
        destination,
        names: names(&["app:1"]),
        companions: Vec::new(),
    };
    exporter
        .export(std::slice::from_ref(&image), &store)
        .unwrap();
    let members = members(&bytes.lock().unwrap());
    let (_, manifest) = members
        .iter()
        .find(|(path, _)| path == "manifest.json")
        .unwrap();
    let hex = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let expected = format!(
        r#"[{{"Config":"{}","Layers":["{}","{}"],"RepoTags":["app:1"]}}]"#,
        hex(image.manifest.config.digest),
        hex(image.layers[0].descriptor.digest),
        hex(image.layers[1].descriptor.digest),
    );
    assert_eq!(*manifest, expected);
    for path in expected
        .split('"')
        .filter(|text| text.starts_with("blobs/"))
    {
        assert!(members.iter().any(|(name, _)| name == path), "{path}");
    }
}

#[test]
fn images_without_oci_types_hold_no_zstd() {
    let (_dir, store) = store();
    let plain = layers(&store);
    let recipe = Recipe::new(Compression::Zstd);
    let zstd = compress(&store, &plain[0], recipe, Force::Plain).unwrap();
    let image = image_of(vec![zstd], "linux/amd64");
    let error = image.in_style(crate::Style::Docker).unwrap_err();
    assert!(error.to_string().contains("`compression=zstd`"), "{error}");
}

#[test]
fn directories_grow_by_names() {
    let (dir, store) = store();
    let place = dir.path().join("layout");
    let layers = layers(&store);
    let export = |image: &Image, text: &str| {
        let exporter = OciExporter {
            output: OciOutput::Directory(place.clone()),
            names: names(&[text]),
            annotations: crate::Annotations::default(),
            companions: Vec::new(),
        };
        exporter
            .export(std::slice::from_ref(image), &store)
            .unwrap();
    };
    let (one, two) = (
        image_of(layers.clone(), "linux/amd64"),
        image_of(Vec::new(), "linux/amd64"),
    );
    export(&one, "a:1");
    export(&two, "b:1");
    let blob = place
        .join("blobs/sha256")
        .join(one.manifest.config.digest.hex());
    std::fs::write(&blob, "damaged by somebody").unwrap();
    export(&one, "c:1");
    assert_eq!(
        std::fs::read(&blob).unwrap(),
        one.config_bytes,
        "a damaged blob is replaced"
    );
    let index = std::fs::read_to_string(place.join("index.json")).unwrap();
    assert_eq!(index.matches("image.ref.name").count(), 3, "{index}");
    let others: Vec<_> = std::fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["blobs", "index.json", "oci-layout"].contains(&name.as_str()))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    std::fs::write(place.join("index.json"), "no json").unwrap();
    let exporter = OciExporter {
        output: OciOutput::Directory(place.clone()),
        names: Vec::new(),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    assert!(exporter.export(&[two], &store).is_err());
    assert_eq!(std::fs::read(place.join("index.json")).unwrap(), b"no json");
}

#[test]
fn missing_layers_leave_no_archive() {
    let (dir, store) = store();
    let layers = layers(&store);
    store.blobs().remove(&layers[1].descriptor.digest).unwrap();
    let image = image_of(layers, "linux/amd64");
    let path = dir.path().join("out.tar");
    let exporter = OciExporter {
        output: OciOutput::Archive(Destination::File(path.clone())),
        names: Vec::new(),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    let error = exporter
        .export(std::slice::from_ref(&image), &store)
        .unwrap_err();
    assert!(
        matches!(error, ExportError::Image(ImageError::NotFound { .. })),
        "{error}"
    );
    let tar = TarExporter {
        destination: Destination::File(path.clone()),
        platform_dirs: PlatformDirs::IfMany,
        times: None,
        extra: Vec::new(),
    };
    assert!(tar.export(&[image], &store).is_err());
    assert!(tar.export(&[], &store).is_err());
    assert!(!path.exists());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "only the store"
    );
}

#[test]
fn a_damaged_layer_is_not_exported() {
    let (dir, store) = store();
    let layers = layers(&store);
    let blob = store.blobs().path(&layers[0].descriptor.digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let path = dir.path().join("out.tar");
    let exporter = OciExporter {
        output: OciOutput::Archive(Destination::File(path.clone())),
        names: Vec::new(),
        annotations: crate::Annotations::default(),
        companions: Vec::new(),
    };
    let error = exporter
        .export(&[image_of(layers, "linux/amd64")], &store)
        .unwrap_err();
    assert!(
        error.to_string().contains("its bytes are damaged"),
        "{error}"
    );
    assert!(!path.exists());
}

fn rootfs_tar(images: &[Image], times: Option<Timestamp>, store: &Store) -> Vec<u8> {
    let (destination, bytes) = buffer();
    let exporter = TarExporter {
        destination,
        platform_dirs: PlatformDirs::IfMany,
        times,
        extra: Vec::new(),
    };
    exporter.export(images, store).unwrap();
    let bytes = bytes.lock().unwrap();
    bytes.clone()
}

#[test]
fn the_root_file_system_as_a_tar() {
    let (_dir, store) = store();
    let image = image_of(layers(&store), "linux/amd64");
    let tar = rootfs_tar(std::slice::from_ref(&image), None, &store);
    let found = members(&tar);
    let found: Vec<_> = found
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("bin/", ""),
            ("bin/app", "#!/bin/sh\n"),
            ("bin/link", "Link bin/app"),
            ("kept", "two"),
            ("node", ""),
            ("pipe", ""),
            ("sealed/", ""),
            ("sealed/in", "3"),
            ("sym", "Symlink bin/app"),
        ]
    );
    let mut reader = TarReader::new(tar.as_slice());
    let second = reader
        .next_entry()
        .and_then(|_| reader.next_entry())
        .unwrap()
        .unwrap();
    assert_eq!((second.mode, second.uid, second.gid), (0o4755, 10, 20));
    assert_eq!(second.mtime, Timestamp::new(1_600_000_000, 500_000_000));
    assert_eq!(second.xattrs[b"user.note".as_slice()], b"kept");
    let epoch = Timestamp::from_secs(7);
    let fixed = rootfs_tar(&[image], Some(epoch), &store);
    let mut reader = TarReader::new(fixed.as_slice());
    while let Some(entry) = reader.next_entry().unwrap() {
        assert_eq!(entry.mtime, epoch);
    }
}

#[test]
fn several_platforms_get_directories() {
    let (dir, store) = store();
    let layer = put_layer(&store, &[f("a", "text"), h("b", "a")]);
    let images = ["linux/arm/v7", "linux/amd64"].map(|p| image_of(vec![layer.clone()], p));
    let tar = rootfs_tar(&images, None, &store);
    let paths: Vec<_> = members(&tar).into_iter().map(|(path, _)| path).collect();
    let expected = ["linux_amd64/", "linux_amd64/a", "linux_amd64/b"];
    assert_eq!(paths[..3], expected);
    assert_eq!(
        paths[3..],
        expected.map(|path| path.replace("amd64", "arm_v7"))
    );
    assert_eq!(members(&tar)[2].1, "Link linux_amd64/a");
    let local = LocalExporter {
        directory: dir.path().join("out"),
        platform_dirs: PlatformDirs::IfMany,
        times: None,
        extra: Vec::new(),
        stale: crate::Stale::Keep,
    };
    local.export(&images, &store).unwrap();
    assert_eq!(
        std::fs::read(dir.path().join("out/linux_arm_v7/a")).unwrap(),
        b"text"
    );
    let twice = [images[0].clone(), images[0].clone()];
    assert!(matches!(
        local.export(&twice, &store),
        Err(ExportError::SamePlatform { .. })
    ));
    let mut evil = images[0].clone();
    evil.config.os = "..".to_owned();
    assert!(!directory(&evil.platform()).contains(".."));
}

fn local(directory: &Path, image: &Image, store: &Store) -> Result<ExportReport, ExportError> {
    let exporter = LocalExporter {
        directory: directory.to_owned(),
        platform_dirs: PlatformDirs::IfMany,
        times: None,
        extra: Vec::new(),
        stale: crate::Stale::Keep,
    };
    exporter.export(std::slice::from_ref(image), store)
}

/// Everything below a directory: name to mode, content or target.
fn listing(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let data = path.symlink_metadata().unwrap();
            let mode = data.permissions().mode() & 0o7777;
            let what = if data.is_dir() {
                walk(root, &path, found);
                "dir".to_owned()
            } else if data.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if data.is_file() {
                std::fs::read_to_string(&path).unwrap()
            } else {
                "special".to_owned()
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, format!("{mode:o} {what}"));
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

#[test]
fn the_root_file_system_as_files() {
    let (dir, store) = store();
    let image = image_of(layers(&store), "linux/amd64");
    let out = dir.path().join("out/deep");
    std::fs::create_dir_all(out.join("bin")).unwrap();
    std::fs::write(out.join("bin/mine"), "mine").unwrap();
    std::fs::write(out.join("kept"), "old").unwrap();
    // Twice: the second time everything is there already.
    for _ in 0..2 {
        let report = local(&out, &image, &store).unwrap();
        assert_eq!(report.warnings.len(), 1);
        assert!(
            report.warnings[0].contains("1 device nodes"),
            "{:?}",
            report.warnings
        );
        let found = listing(&out);
        let found: Vec<_> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("bin", "755 dir"),
                ("bin/app", "4755 #!/bin/sh\n"),
                ("bin/link", "4755 #!/bin/sh\n"),
                ("bin/mine", "644 mine"),
                ("kept", "644 two"),
                ("pipe", "600 special"),
                ("sealed", "555 dir"),
                ("sealed/in", "644 3"),
                ("sym", "777 -> bin/app"),
            ]
        );
    }
    let data = |name: &str| out.join(name).symlink_metadata().unwrap();
    assert_eq!(data("bin/app").ino(), data("bin/link").ino());
    assert_eq!(data("bin/app").uid(), rustix::process::geteuid().as_raw());
    for name in ["bin", "bin/app", "sym", "pipe", "sealed"] {
        assert_eq!(
            (data(name).mtime(), data(name).mtime_nsec()),
            (1_600_000_000, 500_000_000)
        );
    }
}

#[test]
fn nothing_is_written_through_links_of_the_destination() {
    let (dir, store) = store();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("app"), "precious").unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink(&outside, out.join("bin")).unwrap();
    std::os::unix::fs::symlink(outside.join("app"), out.join("kept")).unwrap();
    local(&out, &image_of(layers(&store), "linux/amd64"), &store).unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read(outside.join("app")).unwrap(), b"precious");
    assert_eq!(std::fs::read(out.join("kept")).unwrap(), b"two");
    // An image whose own link leads outside does not help either.
    let layer = put_layer(&store, &[s("esc", "/"), f("esc/etc-file", "in")]);
    local(&out, &image_of(vec![layer], "linux/amd64"), &store).unwrap();
    assert_eq!(std::fs::read(out.join("etc-file")).unwrap(), b"in");
    assert!(!Path::new("/etc-file").exists());
}

#[test]
fn a_directory_in_the_way_is_named() {
    let (dir, store) = store();
    let out = dir.path().join("out");
    std::fs::create_dir_all(out.join("kept/full")).unwrap();
    let error = local(&out, &image_of(layers(&store), "linux/amd64"), &store).unwrap_err();
    assert!(
        error.to_string().contains("a directory is in the way"),
        "{error}"
    );
    assert!(!listing(&out).keys().any(|name| name.contains("partial")));
}
