//! `--push`: images in a registry on loopback, read back by this program and by others.

use acetate_tests::{Server, World, have, tool};
use serde_json::Value;

const DOCKERFILE: &str = "
    FROM base AS build
    RUN mkdir -p /o && head -c 100000 /dev/urandom > /o/a
    FROM base
    COPY --from=build /o /
    ENV A=1
";

fn registry(world: &World) -> Option<Server> {
    (have("skopeo") && have("docker-registry")).then(|| Server::registry(world.dir()))
}

/// What the registry says an image is, without its parts.
fn raw(image: &str) -> Value {
    let name = format!("docker://{image}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    serde_json::from_str(&text).expect("JSON")
}

fn digest_of(image: &str) -> String {
    let name = format!("docker://{image}");
    let format = "{{.Digest}}";
    let args = ["inspect", "--tls-verify=false", "--format", format, &name];
    tool("skopeo", &args).trim().to_owned()
}

fn metadata(world: &World, args: &[&str]) -> Value {
    let path = world.fresh("metadata.json");
    let flag = format!("--metadata-file={}", path.display());
    world.build(&[args, &[&flag]].concat()).ok();
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn what_is_pushed_is_what_others_pull() {
    let world = World::of(DOCKERFILE);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/team/app:1", server.address);
    let tag = format!("-t{name}");
    let told = metadata(&world, &["--push", &tag]);
    assert_eq!(told["containerimage.digest"], digest_of(&name));
    assert_eq!(told["image.name"], name);
    let pulled = world.fresh("pulled");
    let (from, to) = (
        format!("docker://{name}"),
        format!("oci:{}", pulled.display()),
    );
    tool("skopeo", &["copy", "--src-tls-verify=false", &from, &to]);
    let local = world.image(&[]);
    let pulled = acetate_tests::Layout::read(&pulled);
    assert_eq!(pulled.config.rootfs, local.config.rootfs);
    assert_eq!(pulled.manifest, local.manifest);
    // Nothing is sent twice, and a second tag costs a manifest.
    let other = format!("-t{}/team/app:2", server.address);
    let outcome = world.build(&["--push", &tag, &other]).ok();
    assert!(outcome.log().contains("0 of "), "{}", outcome.log());
    let twice = format!("{}/team/app:2", server.address);
    assert_eq!(digest_of(&name), digest_of(&twice));
    // It is not kept here: that is what names without --push are for.
    world.acetate(&["run", &name, "true"]).fails(&[&name]);
}

#[test]
fn a_base_that_the_registry_has_is_neither_pulled_nor_sent() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    let base = format!("oci:{}", world.base().display());
    let to = format!("docker://{}/base:1", server.address);
    tool("skopeo", &["copy", "--dest-tls-verify=false", &base, &to]);
    let own = World::of(&format!(
        "FROM {}/base:1\nCOPY --link Dockerfile /f\nENV A=1\n",
        server.address
    ));
    let name = format!("{}/other/app:1", server.address);
    let outcome = own.build(&["--push", &format!("-t{name}")]).ok();
    let manifest = raw(&name);
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    // Of the base's layer, our layer and the config the last two were sent.
    let log = outcome.log();
    assert!(log.contains("2 of 3 blobs sent"), "{log}");
    let hex = layers[0]["digest"]
        .as_str()
        .unwrap()
        .split_once(':')
        .unwrap()
        .1;
    let kept = acetate_tests::files_below(&own.root());
    let has_base = kept
        .iter()
        .any(|path| path.to_string_lossy().contains(&hex[4..]));
    assert!(!has_base, "the base was pulled");
    // On a registry that lacks it, it is brought along.
    let dir = world.fresh("second");
    std::fs::create_dir(&dir).unwrap();
    let second = Server::registry(&dir);
    let name = format!("{}/app:1", second.address);
    own.build(&["--push", &format!("-t{name}")]).ok();
    assert_eq!(raw(&name), manifest);
}

#[test]
fn names_annotations_and_digests_are_as_the_attributes_say() {
    let world = World::of(DOCKERFILE);
    let Some(server) = registry(&world) else {
        return;
    };
    let (one, two) = (
        format!("{}/one:a", server.address),
        format!("{}/two", server.address),
    );
    let output = format!(
        "type=image,\"name={one},{two}\",push=true,store=false,compression=zstd,annotation.x.y=1"
    );
    let told = metadata(&world, &["-o", &output, "--annotation=manifest:z=2"]);
    let manifest = raw(&one);
    assert_eq!(
        manifest["annotations"],
        serde_json::json!({"x.y": "1", "z": "2"})
    );
    let last = manifest["layers"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        last["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+zstd"
    );
    assert_eq!(raw(&format!("{two}:latest")), manifest);
    assert_eq!(told["containerimage.digest"], digest_of(&one));
    // By digest alone, and with Docker's types.
    let name = format!("{}/three", server.address);
    let output = format!("type=registry,name={name},push-by-digest=true,oci-mediatypes=false");
    let told = metadata(&world, &["-o", &output]);
    let digest = told["containerimage.digest"].as_str().unwrap();
    let manifest = raw(&format!("{name}@{digest}"));
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    let tags = |name: &str| {
        let name = format!("docker://{}/{name}", server.address);
        let args = ["list-tags", "--tls-verify=false", &name];
        let listed = std::process::Command::new("skopeo").args(args).output();
        String::from_utf8_lossy(&listed.unwrap().stdout).into_owned()
    };
    assert!(tags("one").contains("\"a\""), "{}", tags("one"));
    assert!(!tags("three").contains("latest"), "{}", tags("three"));
}

#[test]
fn several_platforms_are_one_index() {
    let world = World::of("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/many:1", server.address);
    let tag = format!("-t{name}");
    let platforms = "--platform=linux/amd64,linux/arm64";
    let annotation = "--annotation=index:k=v";
    let told = metadata(&world, &["--push", &tag, platforms, annotation]);
    let index = raw(&name);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(index["annotations"]["k"], "v");
    assert_eq!(told["containerimage.digest"], digest_of_raw(&name));
}

/// The digest of an index, which the usual form of the tool looks through.
fn digest_of_raw(image: &str) -> String {
    let name = format!("docker://{image}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    acetate_oci::Digest::of(text.as_bytes()).to_string()
}

#[test]
fn a_push_that_cannot_succeed_says_why() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    world
        .build(&["--push"])
        .fails(&["pushing needs a name", "-t HOST/NAME:TAG"]);
    let tag = "-t127.0.0.1:1/app:1";
    world.build(&["--push", tag]).fails(&["127.0.0.1:1"]);
}

#[test]
fn buildah_pulls_what_is_pushed_and_its_pushes_are_built_upon() {
    if !have("buildah") || acetate_tests::needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN echo ours > /ours\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let storage = world.fresh("storage");
    let (root, run) = (
        storage.join("root").display().to_string(),
        storage.join("run").display().to_string(),
    );
    let buildah = |args: &[&str]| {
        let place = [
            "--root",
            &root,
            "--runroot",
            &run,
            "--storage-driver",
            "vfs",
        ];
        tool("buildah", &[&place, args].concat())
    };
    let ours = format!("{}/ours:1", server.address);
    world.build(&["--push", &format!("-t{ours}")]).ok();
    let source = format!("docker://{ours}");
    let from = ["from", "--tls-verify=false", "--name", "c", &source];
    assert_eq!(buildah(&from).trim(), "c");
    let out = buildah(&["run", "--isolation", "chroot", "c", "cat", "/ours"]);
    assert_eq!(out, "ours\n");
    let note = world.fresh("theirs");
    std::fs::write(&note, "theirs\n").unwrap();
    buildah(&["copy", "c", &note.display().to_string(), "/theirs"]);
    buildah(&["commit", "c", "made"]);
    let theirs = format!("docker://{}/theirs:1", server.address);
    buildah(&["push", "--tls-verify=false", "made", &theirs]);
    buildah(&["rm", "c"]);
    buildah(&["rmi", "--all", "--force"]);
    world.dockerfile(&format!(
        "FROM {}/theirs:1\nRUN cat /ours /theirs > /both\n",
        server.address
    ));
    assert_eq!(world.image(&[]).file("both"), "ours\ntheirs\n");
}

#[test]
fn an_insecure_registry_is_pushed_to_only_when_the_output_says_so() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    if !(have("skopeo") && have("docker-registry") && have("openssl")) {
        return;
    }
    let server = Server::registry_with_unknown_certificate(world.dir());
    let name = format!("{}/app:1", server.address);
    let with = |attributes: &str| {
        let output = format!("type=image,name={name},push=true{attributes}");
        world.build(&["-o", &output])
    };
    with("").fails(&[&server.address]);
    with(",registry.insecure=false").fails(&[&server.address]);
    with(",registry.insecure=true").ok();
    assert_eq!(raw(&name)["layers"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_pushed_is_kept_as_well_where_the_output_says_so() {
    let world = World::of("FROM base\nCOPY Dockerfile /\n");
    let Some(server) = registry(&world) else {
        return;
    };
    for (kind, is_kept) in [
        ("type=image,push=true", true),
        ("type=image,push=true,store=false", false),
        ("type=registry", false),
        ("type=registry,store=true", true),
    ] {
        let n = kind.len();
        let name = format!("{}/app:{n}", server.address);
        let output = format!("{kind},name={name}");
        let told = metadata(&world, &["-o", &output]);
        assert_eq!(told["containerimage.digest"], digest_of(&name), "{kind}");
        let run = world.acetate(&["run", &name, "true"]);
        assert_eq!(run.code == 0, is_kept, "{kind}: {}", run.stderr);
    }
    // Not to the registry, for all that the type is called.
    let name = format!("{}/none:1", server.address);
    world
        .build(&[
            "-o",
            &format!("type=registry,push=false,store=true,name={name}"),
        ])
        .ok();
    let args = ["list-tags", "--tls-verify=false"];
    let missing = format!("docker://{}/none", server.address);
    let found = std::process::Command::new("skopeo")
        .args(args)
        .arg(missing)
        .output()
        .unwrap();
    assert!(!found.status.success());
}

#[test]
fn index_annotations_and_attestation_forms_reach_the_registry() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    for (attributes, is_artifact) in [("", true), (",oci-artifact=false", false)] {
        let output = format!("type=registry,name={name},annotation-index.k=v{attributes}");
        world.build(&["-o", &output, "--provenance=mode=min"]).ok();
        let index = raw(&name);
        assert_eq!(index["annotations"]["k"], "v");
        let entry = index["manifests"][1]["digest"].as_str().unwrap();
        let manifest = raw(&format!("{}/app@{entry}", server.address));
        assert_eq!(manifest.get("subject").is_some(), is_artifact);
    }
    // Provenance that is for pushed images only is left out on demand.
    let inline = "--provenance=mode=min,inline-only=true";
    for (attributes, key) in [("", "manifests"), (",attestation-inline=false", "layers")] {
        let output = format!("type=registry,name={name}{attributes}");
        world.build(&["-o", &output, inline]).ok();
        assert!(raw(&name).get(key).is_some(), "{attributes}");
    }
}
