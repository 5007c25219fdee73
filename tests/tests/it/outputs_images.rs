//! Attributes of outputs that are images, value by value; what is expected is what `BuildKit` writes.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails a test")]

use acetate_tests::{Layout, World, items_of_tar};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DOCKERFILE: &str = "
    FROM base
    RUN seq 1 20000 > /numbers
";

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Builds into a layout directory.
#[track_caller]
fn layout(world: &World, attributes: &str, args: &[&str]) -> PathBuf {
    let dest = world.fresh("layout");
    let output = format!("-otype=oci,tar=false,dest={}{attributes}", dest.display());
    world.build(&[&[output.as_str()], args].concat()).ok();
    dest
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, entry: &Value) -> Value {
    let digest = entry["digest"].as_str().unwrap().replace(':', "/");
    json_of(&layout.join("blobs").join(digest))
}

/// What `index.json` points at.
fn root(layout: &Path) -> (Value, Value) {
    let entry = json_of(&layout.join("index.json"))["manifests"][0].clone();
    let document = blob(layout, &entry);
    (entry, document)
}

/// The media types of the layers, bottom first.
fn layer_types(layout: &Path) -> Vec<String> {
    let image = Layout::read(layout);
    let layers = image.manifest.layers.iter();
    layers
        .map(|layer| layer.media_type.as_str().to_owned())
        .collect()
}

/// Their last parts.
fn endings(layout: &Path) -> Vec<String> {
    let ending = |text: String| text.rsplit('.').next().unwrap_or_default().to_owned();
    layer_types(layout).into_iter().map(ending).collect()
}

#[test]
fn every_compression_takes_the_levels_that_it_has() {
    let world = World::of(DOCKERFILE);
    for (compression, ending, levels) in [
        ("uncompressed", "", &[][..]),
        ("gzip", "+gzip", &[0, 9]),
        ("estargz", "+gzip", &[0, 9]),
        ("zstd", "+zstd", &[0, 22]),
    ] {
        let attribute = format!(",compression={compression}");
        let expected = format!("{OCI_LAYER}{ending}");
        let plain = layout(&world, &attribute, &[]);
        assert_eq!(layer_types(&plain)[1], expected, "{compression}");
        let last = root(&plain).1["layers"][1].clone();
        let toc = &last["annotations"]["containerd.io/snapshot/stargz/toc.digest"];
        assert_eq!(toc.is_string(), compression == "estargz", "{last}");
        let sizes = levels.iter().map(|level| {
            let attributes = format!("{attribute},compression-level={level}");
            let dir = layout(&world, &attributes, &[]);
            assert_eq!(layer_types(&dir)[1], expected, "{attributes}");
            root(&dir).1["layers"][1]["size"].as_u64().unwrap()
        });
        let sizes: Vec<u64> = sizes.collect();
        assert!(
            sizes.windows(2).all(|pair| pair[0] > pair[1]),
            "{compression}: {sizes:?}"
        );
        let beyond = match levels {
            [low, high] => [low - 1, high + 1],
            _ => [0, 1],
        };
        for level in beyond {
            let output = format!("type=oci,dest=x{attribute},compression-level={level}");
            world.build(&["-o", &output]).fails(&["level"]);
        }
    }
}

#[test]
fn layers_of_a_base_are_compressed_anew_only_by_force() {
    for form in ["gzip", "zstd"] {
        let maker = World::of(DOCKERFILE);
        let base = layout(&maker, &format!(",compression={form}"), &[]);
        let context = format!("--build-context=packed=oci-layout://{}", base.display());
        let world = World::of("FROM packed\nRUN seq 1 20000 > /numbers\n");
        let types =
            |context: &str, attributes: &str| endings(&layout(&world, attributes, &[context]));
        for (wanted, ending) in [
            ("uncompressed", "tar"),
            ("gzip", "tar+gzip"),
            ("estargz", "tar+gzip"),
            ("zstd", "tar+zstd"),
        ] {
            let own = format!("tar+{form}");
            for no in ["", ",force-compression=false"] {
                let found = types(&context, &format!(",compression={wanted}{no}"));
                assert_eq!(found, [own.as_str(), own.as_str(), ending], "{wanted}{no}");
            }
            let force = format!(",compression={wanted},force-compression=true");
            assert_eq!(types(&context, &force), [ending; 3], "{force} over {form}");
        }
    }
}

#[test]
fn media_types_are_those_of_oci_unless_dockers_are_asked_for() {
    let world = World::of(DOCKERFILE);
    let (oci, docker) = ("application/vnd.oci.image", "application/vnd.docker");
    let of_oci = [
        format!("{oci}.manifest.v1+json"),
        format!("{oci}.config.v1+json"),
        format!("{OCI_LAYER}+gzip"),
    ];
    let of_docker = [
        format!("{docker}.distribution.manifest.v2+json"),
        format!("{docker}.container.image.v1+json"),
        format!("{DOCKER_LAYER}.gzip"),
    ];
    for kind in ["oci", "docker"] {
        for (attributes, expected) in [
            ("", &of_oci),
            (",oci-mediatypes=true", &of_oci),
            (",oci-mediatypes=false", &of_docker),
        ] {
            let dest = world.fresh("archive.tar");
            let output = format!("-otype={kind},dest={}{attributes}", dest.display());
            world.build(&[&output]).ok();
            let image = Layout::read_archive(&dest);
            let found = [
                image.manifest.media_type.unwrap(),
                image.manifest.config.media_type,
                image.manifest.layers[1].media_type.clone(),
            ];
            let found = found.map(|one| one.as_str().to_owned());
            assert_eq!(found, *expected, "type={kind}{attributes}");
        }
    }
    let plain = layout(
        &world,
        ",oci-mediatypes=false,compression=uncompressed",
        &[],
    );
    assert_eq!(layer_types(&plain)[1], DOCKER_LAYER);
    let many = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let platforms = "--platform=linux/amd64,linux/arm64";
    let list = layout(&many, ",oci-mediatypes=false", &[platforms]);
    let expected = format!("{docker}.distribution.manifest.list.v2+json");
    assert_eq!(root(&list).0["mediaType"], expected.as_str());
    let index = layout(&many, "", &[platforms]);
    let expected = format!("{oci}.index.v1+json");
    assert_eq!(root(&index).0["mediaType"], expected.as_str());
}

#[test]
fn layers_that_are_not_to_be_distributed_say_so_when_asked() {
    let world = World::of("FROM packed\nCOPY Dockerfile /\n");
    let maker = World::of(DOCKERFILE);
    let base = layout(&maker, "", &[]);
    // The same image, whose first layer is one that its owner gives away himself.
    let (entry, mut manifest) = root(&base);
    manifest["layers"][0]["mediaType"] =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    let bytes = manifest.to_string().into_bytes();
    let digest = acetate_oci::Digest::of(&bytes);
    std::fs::write(base.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
    let entry = json!({
        "mediaType": entry["mediaType"], "digest": digest.to_string(), "size": bytes.len(),
    });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    std::fs::write(base.join("index.json"), index.to_string()).unwrap();
    let context = format!("--build-context=packed=oci-layout://{}", base.display());
    let first = |attributes: &str| layer_types(&layout(&world, attributes, &[&context]))[0].clone();
    let plain = format!("{OCI_LAYER}+gzip");
    assert_eq!(first(""), plain);
    assert_eq!(first(",prefer-nondist-layers=false"), plain);
    assert_eq!(
        first(",prefer-nondist-layers=true"),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    );
    assert_eq!(
        first(",prefer-nondist-layers=true,oci-mediatypes=false"),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    );
}

#[test]
fn an_estargz_base_stays_one() {
    let maker = World::of(DOCKERFILE);
    let base = layout(&maker, ",compression=estargz", &[]);
    let context = format!("--build-context=packed=oci-layout://{}", base.display());
    let world = World::of("FROM packed\nCOPY Dockerfile /\n");
    let of_base = root(&base).1["layers"].clone();
    for compression in ["gzip", "zstd", "estargz"] {
        let dir = layout(&world, &format!(",compression={compression}"), &[&context]);
        let layers = root(&dir).1["layers"].clone();
        assert_eq!(layers[0], of_base[0], "{compression}");
        assert_eq!(layers[1], of_base[1], "{compression}");
        let own = layers[2].get("annotations").is_some();
        assert_eq!(own, compression == "estargz", "{layers}");
    }
}

#[test]
fn an_epoch_is_an_attribute_as_well_and_timestamps_follow_it() {
    let world = World::of(DOCKERFILE);
    let read = |attributes: &str, args: &[&str]| Layout::read(&layout(&world, attributes, args));
    let (none, rewritten) = (read("", &[]), read(",rewrite-timestamp=true", &[]));
    assert_eq!(none.digest(), rewritten.digest(), "there is no epoch");
    let epoch = read(",source-date-epoch=500", &[]);
    assert!(epoch.items(1).iter().all(|item| item.mtime <= 500));
    assert_eq!(epoch.config.created.unwrap().secs, 500);
    assert!(none.items(1).iter().any(|item| item.mtime > 500));
    let both = read(",source-date-epoch=500,rewrite-timestamp=true", &[]);
    let variable = read("", &["--build-arg=SOURCE_DATE_EPOCH=500"]);
    assert_eq!(epoch.digest(), both.digest());
    assert_eq!(epoch.digest(), variable.digest());
    // An empty one is none.
    let empty = read(",source-date-epoch=", &[]);
    assert_eq!(empty.digest(), none.digest());
    for (attribute, words) in [
        ("rewrite-timestamp=false", "rewrite-timestamp=false"),
        ("source-date-epoch=x", "x"),
    ] {
        let output = format!("-otype=oci,dest=x,{attribute}");
        world.build(&[&output]).fails(&[words]);
    }
}

#[test]
fn names_are_those_of_the_output_or_of_the_build() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let tags = ["-ta:1", "-tb"];
    for (name, expected) in [
        ("", &["a:1", "b:latest"][..]),
        (",name=*", &["a:1", "b:latest"]),
        (",name=c", &["c:latest"]),
        (",\"name=c:2,d\"", &["c:2", "d:latest"]),
        (",\"name=c,*\"", &["c:latest", "a:1", "b:latest"]),
    ] {
        let dir = layout(&world, name, &tags);
        let index = json_of(&dir.join("index.json"));
        let entries = index["manifests"].as_array().unwrap();
        let found = entries.iter().map(|entry| {
            let notes = &entry["annotations"];
            let full = notes["io.containerd.image.name"].as_str().unwrap();
            let tag = notes["org.opencontainers.image.ref.name"].as_str().unwrap();
            assert!(full.ends_with(&format!(":{tag}")), "{entry}");
            full.trim_start_matches("docker.io/library/").to_owned()
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
        let dest = world.fresh("docker.tar");
        let output = format!("-otype=docker,dest={}{name}", dest.display());
        world.build(&[&[output.as_str()], &tags[..]].concat()).ok();
        let items = items_of_tar(&std::fs::read(dest).unwrap());
        let manifest = items.iter().find(|item| item.path == "manifest.json");
        let manifest: Value = serde_json::from_slice(&manifest.unwrap().content).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!(expected), "{name}");
    }
    // A directory has a tag even without a name; an archive has none.
    let dir = layout(&world, "", &[]);
    let notes = &root(&dir).0["annotations"];
    assert_eq!(
        *notes,
        json!({ "org.opencontainers.image.ref.name": "latest" })
    );
    let dest = world.fresh("a.tar");
    let output = format!("-otype=oci,dest={}", dest.display());
    world.build(&[&output]).ok();
    let archive = Layout::read_archive(&dest);
    assert!(archive.index.manifests[0].annotations.is_empty());
}

#[test]
fn annotations_stand_where_they_are_meant_to() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let attributes = ",annotation.all=1,annotation[linux/arm64].arm=2\
        ,annotation-manifest[linux/arm64].all=3,annotation-manifest-descriptor.d=4\
        ,annotation-manifest-descriptor[linux/amd64].amd=5\
        ,annotation-index.i=6,annotation-index-descriptor.p=7";
    let platforms = "--platform=linux/amd64,linux/arm64";
    let dir = layout(&world, attributes, &[platforms]);
    let (entry, index) = root(&dir);
    assert_eq!(entry["annotations"]["p"], "7");
    assert_eq!(index["annotations"], json!({ "i": "6" }));
    let (amd, arm) = (&index["manifests"][0], &index["manifests"][1]);
    assert_eq!(amd["annotations"], json!({ "d": "4", "amd": "5" }));
    assert_eq!(arm["annotations"], json!({ "d": "4" }));
    let of = |entry: &Value| blob(&dir, entry)["annotations"].clone();
    assert_eq!(of(amd), json!({ "all": "1" }));
    assert_eq!(of(arm), json!({ "all": "3", "arm": "2" }));
    // One platform: its descriptor is what the layout's name leads to.
    let one = ",annotation.all=1,annotation-manifest-descriptor.d=4";
    let (entry, manifest) = root(&layout(&world, one, &[]));
    assert_eq!(entry["annotations"]["d"], "4");
    assert_eq!(manifest["annotations"], json!({ "all": "1" }));
    for (args, words) in [
        (
            &["-otype=oci,dest=x,annotation-index.a=1"][..],
            "an image of one platform does not have",
        ),
        (
            &["-otype=oci,dest=x,annotation[linux/s390x].a=1"],
            "linux/s390x, which is not built",
        ),
        (
            &["-otype=oci,dest=x,annotation[linux/s390x].a=1", platforms],
            "linux/s390x, which is not built",
        ),
        (
            &["-otype=oci,dest=x,annotation.a=1,oci-mediatypes=false"],
            "`annotation` needs OCI media types, and oci-mediatypes=false",
        ),
    ] {
        world.build(args).fails(&[words]);
    }
}

#[test]
fn attestations_are_artifacts_unless_images_are_asked_for() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let provenance = "--provenance=mode=min";
    let second = |attributes: &str| {
        let dir = layout(&world, attributes, &[provenance]);
        let (_, index) = root(&dir);
        let entry = index["manifests"][1].clone();
        (blob(&dir, &entry), index["manifests"][0].clone(), dir)
    };
    for attributes in ["", ",oci-artifact=true"] {
        let (manifest, image, _) = second(attributes);
        assert_eq!(
            manifest["artifactType"],
            "application/vnd.docker.attestation.manifest.v1+json"
        );
        assert_eq!(manifest["subject"]["digest"], image["digest"]);
        let config = &manifest["config"];
        assert_eq!(config["mediaType"], "application/vnd.oci.empty.v1+json");
        assert_eq!(config["data"], "e30=");
    }
    let (manifest, _, dir) = second(",oci-artifact=false");
    assert!(manifest.get("artifactType").is_none() && manifest.get("subject").is_none());
    let config = &manifest["config"];
    assert_eq!(
        config["mediaType"],
        "application/vnd.oci.image.config.v1+json"
    );
    let layer = &manifest["layers"][0];
    assert_eq!(
        blob(&dir, config),
        json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        })
    );
    for output in [
        "-otype=oci,dest=x,oci-mediatypes=false",
        "-otype=registry,name=127.0.0.1:1/x,oci-mediatypes=false",
    ] {
        let words = "oci-mediatypes=false cannot be combined with --provenance";
        world.build(&[output, provenance]).fails(&[words]);
    }
}

#[test]
fn what_has_no_meaning_here_changes_nothing() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let digest = |attributes: &str| {
        let file = world.fresh("metadata.json");
        let flag = format!("--metadata-file={}", file.display());
        let output = format!("-otype=image,name=app{attributes}");
        world.build(&[&output, &flag]).ok();
        json_of(&file)["containerimage.digest"].clone()
    };
    let plain = digest("");
    for attributes in [
        ",unpack=true",
        ",unpack=false",
        ",buildinfo=true,buildinfo-attrs=false",
        ",store=true",
        ",push=false",
        ",danging-name-empty-only=true",
    ] {
        assert_eq!(digest(attributes), plain, "{attributes}");
    }
}

#[test]
fn one_build_serves_exporters_that_want_different_images() {
    let world = World::of(DOCKERFILE);
    let dests: Vec<PathBuf> = (0..7)
        .map(|n| world.dir().join(format!("out-{n}")))
        .collect();
    let kinds = [
        "oci,tar=false,compression=gzip",
        "oci,tar=false,compression=zstd,annotation.a=1",
        "oci,tar=false,compression=estargz",
        "oci,tar=false,compression=uncompressed,oci-mediatypes=false",
        "docker",
        "local",
        "tar",
    ];
    let outputs = kinds.iter().zip(&dests);
    let mut args: Vec<String> = outputs
        .map(|(kind, dest)| format!("-otype={kind},dest={}", dest.display()))
        .collect();
    args.extend(["-otype=cacheonly".into(), "-otype=image,name=kept".into()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = world.build(&args).ok();
    assert_eq!(outcome.ran().len(), 1, "one pass");
    let types: Vec<String> = dests[..4]
        .iter()
        .map(|dir| layer_types(dir)[1].clone())
        .collect();
    let expected = [
        format!("{OCI_LAYER}+gzip"),
        format!("{OCI_LAYER}+zstd"),
        format!("{OCI_LAYER}+gzip"),
        DOCKER_LAYER.to_owned(),
    ];
    assert_eq!(types, expected);
    assert_eq!(root(&dests[1]).1["annotations"], json!({ "a": "1" }));
    let numbers = std::fs::read(dests[5].join("numbers")).unwrap();
    let tar = items_of_tar(&std::fs::read(&dests[6]).unwrap());
    let item = tar.iter().find(|item| item.path == "numbers").unwrap();
    assert!(item.content == numbers);
    Layout::read_archive(&dests[4]);
    world.acetate(&["run", "kept", "true"]).ok();
}

#[test]
fn the_metadata_file_tells_of_each_kind_what_buildx_tells() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let told = |output: &str, args: &[&str]| {
        let (file, dest) = (world.fresh("metadata.json"), world.fresh("out"));
        let flag = format!("--metadata-file={}", file.display());
        let output = format!("-o{}", output.replace("DEST", &dest.display().to_string()));
        world
            .build(&[&[output.as_str(), &flag], args].concat())
            .ok();
        (json_of(&file), dest)
    };
    let (oci, dest) = told("type=oci,tar=false,dest=DEST,name=a:1", &[]);
    let (entry, manifest) = root(&dest);
    assert_eq!(oci["containerimage.digest"], entry["digest"]);
    assert_eq!(
        oci["containerimage.config.digest"],
        manifest["config"]["digest"]
    );
    assert_eq!(oci["image.name"], "docker.io/library/a:1");
    let descriptor = &oci["containerimage.descriptor"];
    for key in ["mediaType", "digest", "size", "platform"] {
        assert_eq!(descriptor[key], entry[key], "{key}");
    }
    let (docker, _) = told("type=docker,dest=DEST,oci-mediatypes=false", &[]);
    assert_eq!(
        docker["containerimage.descriptor"]["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert!(docker.get("image.name").is_none());
    let many = "--platform=linux/amd64,linux/arm64";
    let (index, dest) = told("type=oci,tar=false,dest=DEST", &[many]);
    let (entry, _) = root(&dest);
    assert_eq!(index["containerimage.digest"], entry["digest"]);
    assert_eq!(
        index["containerimage.descriptor"]["mediaType"],
        entry["mediaType"]
    );
    assert!(index.get("containerimage.config.digest").is_none());
}
