//! Bases out of a registry on loopback.

use acetate_tests::{Base, Server, World, have, tool, write_layout};

/// A registry that holds an image for two platforms as `multi`, and one for this machine as `one`.
fn registry(world: &World) -> Option<Server> {
    if !have("skopeo") || !have("docker-registry") {
        return None;
    }
    let server = Server::registry(world.dir());
    let copy = |layout: &std::path::Path, name: &str| {
        let (from, to) = (
            format!("oci:{}", layout.display()),
            format!("docker://{}/{name}", server.address),
        );
        tool(
            "skopeo",
            &["copy", "--all", "--dest-tls-verify=false", &from, &to],
        );
    };
    copy(world.base(), "one:1");
    Some(server)
}

#[test]
fn by_tag_and_by_digest() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    world.dockerfile(&format!(
        "FROM {}/one:1\nRUN cat /data/a > /out\n",
        server.address
    ));
    let (image, outcome) = world.image_and_outcome(&[]);
    assert_eq!(image.file("out"), "a\n");
    assert_eq!(outcome.ran().len(), 1);
    let raw = tool(
        "skopeo",
        &[
            "inspect",
            "--tls-verify=false",
            &format!("docker://{}/one:1", server.address),
        ],
    );
    let json: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let digest = json["Digest"].as_str().unwrap();
    world.dockerfile(&format!(
        "FROM {}/one@{digest}\nRUN cat /data/a > /out\n",
        server.address
    ));
    assert!(
        world.build(&[]).ok().ran().is_empty(),
        "the same image by another name"
    );
    let wrong = digest.replace(&digest[10..20], "0000000000");
    world.dockerfile(&format!("FROM {}/one@{wrong}\n", server.address));
    world.build(&[]).fails(&[&wrong[..20]]);
}

#[test]
fn what_nothing_runs_on_is_not_unpacked() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    world.dockerfile(&format!("FROM {}/one:1\nENV A=1\n", server.address));
    world.build(&["-otype=cacheonly"]).ok();
    let unpacked = acetate_tests::files_below(&world.root().join("layers"));
    assert!(unpacked.is_empty(), "{unpacked:?}");
    world.image(&[]);
    let unpacked = acetate_tests::files_below(&world.root().join("layers"));
    assert!(unpacked.is_empty(), "{unpacked:?}");
}

#[test]
fn as_a_named_context_and_as_a_source_of_copy() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    world.dockerfile(&format!(
        "FROM it\nCOPY --from={}/one:1 /data/b /\n",
        server.address
    ));
    let context = format!("--build-context=it=docker-image://{}/one:1", server.address);
    assert_eq!(world.image(&[&context]).file("b"), "b\n");
}

#[test]
fn of_several_platforms_the_right_one() {
    if !have("skopeo") || !have("docker-registry") {
        return;
    }
    let world = World::new("");
    let server = Server::registry(world.dir());
    let mut other = Base::busybox().on("linux/arm64");
    other.config.env.push("FOREIGN=1".into());
    let layout = write_layout(
        &world.dir().join("multi"),
        &[Base::busybox().on("linux/amd64"), other],
    );
    // An index in the index is what skopeo takes for one image of several platforms.
    let index = std::fs::read(layout.join("index.json")).unwrap();
    let digest = acetate_oci::Digest::of(&index);
    std::fs::write(layout.join("blobs/sha256").join(digest.hex()), &index).unwrap();
    let outer = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":{}}}]}}"#,
        index.len()
    );
    std::fs::write(layout.join("index.json"), outer).unwrap();
    let to = format!("docker://{}/multi:1", server.address);
    tool(
        "skopeo",
        &[
            "copy",
            "--all",
            "--dest-tls-verify=false",
            &format!("oci:{}", layout.display()),
            &to,
        ],
    );
    world.dockerfile(&format!(
        "FROM {}/multi:1\nCOPY Dockerfile /\n",
        server.address
    ));
    let amd = world.image(&["--platform=linux/amd64"]);
    let arm = world.image(&["--platform=linux/arm64"]);
    assert!(!amd.env().contains_key("FOREIGN") && arm.env()["FOREIGN"] == "1");
    assert_eq!(arm.config.platform().to_string(), "linux/arm64");
    world
        .build(&["--platform=linux/s390x"])
        .fails(&["linux/s390x"]);
}

#[test]
fn a_moved_tag_is_noticed() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    world.dockerfile(&format!(
        "FROM {}/one:1\nRUN cat /proc/sys/kernel/random/uuid > /marker\n",
        server.address
    ));
    world.build(&[]).ok();
    assert!(world.build(&[]).ok().ran().is_empty());
    let mut moved = Base::busybox();
    moved.config.env.push("MOVED=1".into());
    let layout = write_layout(&world.dir().join("moved"), &[moved]);
    let to = format!("docker://{}/one:1", server.address);
    tool(
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            &format!("oci:{}", layout.display()),
            &to,
        ],
    );
    let image = world.image(&[]);
    assert_eq!(image.env()["MOVED"], "1");
}

#[test]
fn what_is_not_there_is_one_clear_error() {
    let world = World::new("");
    let Some(server) = registry(&world) else {
        return;
    };
    for name in ["one:2", "two:1"] {
        world.dockerfile(&format!("FROM {}/{name}\n", server.address));
        world
            .build(&[])
            .fails(&["failed to find", &server.address, "hint: check the name"]);
    }
}
