//! `acetate image`: images kept on this machine, and what other tools make of what it writes.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use acetate_tests::{Server, World, have, needs_root, tool};
use serde_json::Value;
use std::path::Path;

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
    ENV A=1
    LABEL l=m
    CMD [\"cat\", \"/one\"]
";

fn registry(world: &World) -> Option<Server> {
    (have("skopeo") && have("docker-registry")).then(|| Server::registry(world.dir()))
}

fn out(world: &World, args: &[&str]) -> String {
    world.acetate(&[&["image"], args].concat()).ok().stdout
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&out(world, args)).unwrap()
}

fn path(world: &World, name: &str) -> String {
    world.dir().join(name).display().to_string()
}

/// Copies into a registry with skopeo, all platforms.
fn fill(from: &Path, to: &str) {
    let (from, to) = (format!("oci:{}", from.display()), format!("docker://{to}"));
    let args = ["copy", "--all", "--dest-tls-verify=false", &from, &to];
    tool("skopeo", &args);
}

fn raw(image: &str) -> Value {
    let name = format!("docker://{image}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn images_are_listed_named_and_removed() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tapp:1", "-tr.example/team/app:2"]).ok();
    let table = out(&world, &["ls"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..4], ["REPOSITORY", "TAG", "IMAGE", "ID"]);
    assert_eq!(lines[1][..2], ["app", "1"]);
    assert_eq!(lines[2][..2], ["r.example/team/app", "2"]);
    assert_eq!(lines[1][2], lines[2][2]);
    // The layers that two names share are counted once.
    let all = json(&world, &["ls", "--json"]);
    assert_eq!(all["images"][0]["bytes"], all["total_bytes"]);
    assert_eq!(
        world.acetate(&["images", "-q"]).ok().stdout.lines().count(),
        1
    );
    assert_eq!(
        json(&world, &["ls", "--json", "r.example/*"])["images"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // A name more, by the beginning of the id; a name less.
    let id = lines[1][2];
    out(&world, &["tag", id, "other"]);
    world
        .acetate(&["image", "rm", id])
        .fails(&["several names", "--force"]);
    assert_eq!(out(&world, &["rm", "app:1"]), "Untagged: app:1\n");
    world.acetate(&["image", "inspect", "app:1"]).fails(&[
        "no image is named `app:1`",
        "here is `r.example/team/app:2`",
    ]);
    let removed = out(&world, &["rm", "--force", id]);
    assert!(removed.contains("Untagged: other:latest\n"), "{removed}");
    assert!(
        removed.contains(&format!("Deleted: sha256:{id}")),
        "{removed}"
    );
    assert_eq!(out(&world, &["ls"]).lines().count(), 1);
    world.acetate(&["prune", "--force"]).ok();
}

#[test]
fn a_name_of_this_machine_is_a_base() {
    let world = World::of("FROM base\nRUN echo one > /one\nENV A=1\n");
    // Nobody listens there: what is built on it can only come from here.
    let name = "127.0.0.1:1/mine:1";
    world.build(&[&format!("-t{name}")]).ok();
    let text = format!("FROM {name}\nCOPY --from={name} /one /again\nRUN echo $A > /a\n");
    world.dockerfile(&text);
    let image = world.image(&[]);
    assert_eq!((&*image.file("a"), &*image.file("again")), ("1\n", "one\n"));
    // Its layers stay as long as the name.
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.image(&[]).config.rootfs, image.config.rootfs);
    world.build(&["--pull"]).fails(&["127.0.0.1:1"]);
    world
        .build(&["--platform=linux/s390x"])
        .fails(&["127.0.0.1:1"]);
    world.acetate(&["image", "rm", name]).ok();
    world.build(&[]).fails(&["127.0.0.1:1"]);
}

#[test]
fn what_was_pulled_stays_the_base_until_it_is_pulled_again() {
    let world = World::of("FROM base\nRUN echo one > /n\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/base:1", server.address);
    world.build(&["--push", &format!("-t{name}")]).ok();
    out(&world, &["pull", &name]);
    world.dockerfile("FROM base\nRUN echo two > /n\n");
    world.build(&["--push", &format!("-t{name}")]).ok();
    world.dockerfile(&format!("FROM {name}\nRUN cp /n /m\n"));
    assert_eq!(world.image(&[]).file("m"), "one\n");
    assert_eq!(world.image(&["--pull"]).file("m"), "two\n");
    out(&world, &["pull", &name]);
    assert_eq!(world.image(&[]).file("m"), "two\n");
}

#[test]
fn inspect_and_history_tell_what_an_image_is_made_of() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tapp"]).ok();
    let found = &json(&world, &["inspect", "app"])[0];
    let image = &found["platforms"][0];
    assert_eq!(found["name"], "docker.io/library/app:latest");
    assert_eq!(image["config"]["config"]["Labels"]["l"], "m");
    let layers = image["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert!(
        layers[1]["created_by"].as_str().unwrap().contains("COPY"),
        "{found}"
    );
    assert!(layers[1]["bytes"].as_u64().unwrap() > 0);
    let history = out(&world, &["history", "--no-trunc", "app"]);
    let lines: Vec<&str> = history.lines().collect();
    assert!(
        lines[1].contains("CMD [\"cat\" \"/one\"]") && lines[1].contains("0B"),
        "{history}"
    );
    assert!(lines[1].starts_with("sha256:") && lines[2].starts_with("<missing>"));
    let history = json(&world, &["history", "--json", "app"]);
    let bytes = |n: usize| history["history"][n]["bytes"].as_u64().unwrap();
    assert_eq!((bytes(0), bytes(3) > 0), (0, true), "{history}");
}

#[test]
fn what_is_pulled_runs_is_pushed_and_saved_byte_for_byte() {
    let world = World::of("FROM base\nCOPY Dockerfile /one\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let layout = world.fresh("layout");
    let dest = format!("-otype=oci,tar=false,dest={}", layout.display());
    world
        .build(&["--platform=linux/amd64,linux/arm64", &dest])
        .ok();
    let name = format!("{}/team/app:1", server.address);
    fill(&layout, &name);
    let index = raw(&name);
    let told = out(&world, &["pull", &name]);
    assert!(told.contains("2 layers for linux/amd64"), "{told}");
    if !needs_root() {
        world.acetate(&["run", &name, "cat", "/one"]).ok();
    }
    // One platform goes as it came; nothing is sent that is there.
    let again = format!("{}/team/app:again", server.address);
    out(&world, &["tag", &name, &again]);
    let told = out(&world, &["push", &again]);
    assert!(told.contains("0 of 3 blobs sent"), "{told}");
    let manifest = &index["manifests"][0]["digest"];
    assert!(told.contains(manifest.as_str().unwrap()), "{told} {index}");
    // All platforms are kept and go as one.
    let told = out(&world, &["pull", "--all-platforms", &name]);
    assert!(told.contains("linux/amd64, linux/arm64"), "{told}");
    let all = json(
        &world,
        &["ls", "--json", &format!("{}/team/app:1", server.address)],
    );
    assert_eq!(all["images"][0]["platforms"].as_array().unwrap().len(), 2);
    out(&world, &["tag", &name, &again]);
    out(&world, &["push", &again]);
    assert_eq!(raw(&again), index);
    // What has a name is left by a prune.
    world.acetate(&["prune", "--force"]).ok();
    let saved = path(&world, "saved.tar");
    out(&world, &["save", "--format=oci", "-o", &saved, &again]);
    let copy = format!("oci:{}", world.fresh("copy").display());
    tool(
        "skopeo",
        &["copy", "--all", &format!("oci-archive:{saved}"), &copy],
    );
    world
        .acetate(&["image", "pull", &format!("{}/team/none", server.address)])
        .fails(&["team/none"]);
}

#[test]
fn what_is_built_is_pushed_as_a_build_pushes_it() {
    let world = World::of(DOCKERFILE);
    let Some(server) = registry(&world) else {
        return;
    };
    let (one, two) = (
        format!("{}/app:1", server.address),
        format!("{}/app:2", server.address),
    );
    world.build(&["--push", &format!("-t{one}")]).ok();
    world.build(&[&format!("-t{two}")]).ok();
    let told = out(&world, &["push", &two]);
    assert!(told.contains("0 of "), "{told}");
    assert_eq!(raw(&one), raw(&two));
    let other = format!("{}/other:1", server.address);
    out(&world, &["tag", &two, &other]);
    out(&world, &["push", "--compression=zstd", &other]);
    let kind = raw(&other)["layers"][1]["mediaType"].clone();
    assert_eq!(kind, "application/vnd.oci.image.layer.v1.tar+zstd");
}

#[test]
fn others_read_what_save_writes_and_load_reads_what_others_write() {
    if !have("skopeo") {
        return;
    }
    let world = World::of(DOCKERFILE);
    world.build(&["-tapp:1", "-tother:2"]).ok();
    let (docker, oci, dir) = (
        path(&world, "d.tar"),
        path(&world, "o.tar"),
        path(&world, "dir"),
    );
    out(&world, &["save", "-o", &docker, "app:1", "other:2"]);
    out(
        &world,
        &[
            "save",
            "--format=oci",
            "--compression=gzip",
            "-o",
            &oci,
            "app:1",
        ],
    );
    out(&world, &["save", "--format=dir", "-o", &dir, "app:1"]);
    for source in [
        format!("docker-archive:{docker}:app:1"),
        format!("docker-archive:{docker}:other:2"),
        format!("oci-archive:{oci}:1"),
        format!("oci:{dir}:1"),
    ] {
        let found: Value = serde_json::from_str(&tool("skopeo", &["inspect", &source])).unwrap();
        assert_eq!(found["Labels"]["l"], "m", "{source}");
        let copy = format!("dir:{}", world.fresh("copy").display());
        tool("skopeo", &["copy", "--dest-decompress", &source, &copy]);
    }
    // Loaded elsewhere they are the same images.
    let id = |world: &World| json(world, &["inspect", "app:1"])[0]["platforms"][0]["id"].clone();
    let theirs = path(&world, "theirs.tar");
    let to = format!("docker-archive:{theirs}:app:1");
    tool("skopeo", &["copy", &format!("oci:{dir}:1"), &to]);
    for input in [&docker, &oci, &dir, &theirs] {
        let fresh = World::new("");
        let told = out(&fresh, &["load", "-i", input]);
        assert!(told.contains("Loaded image: app:1\n"), "{input}: {told}");
        assert_eq!(id(&fresh), id(&world), "{input}");
        fresh.acetate(&["prune", "--force"]).ok();
        out(&fresh, &["save", "-o", &path(&fresh, "again.tar"), "app:1"]);
    }
}

#[test]
fn an_archive_that_lies_is_refused() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tapp:1"]).ok();
    let dir = world.dir().join("dir");
    out(
        &world,
        &["save", "--format=dir", "-o", dir.to_str().unwrap(), "app:1"],
    );
    let layer = json(&world, &["inspect", "app:1"])[0]["platforms"][0]["layers"][1]["blob"].clone();
    let hex = layer
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap()
        .to_owned();
    let blob = dir.join("blobs/sha256").join(&hex);
    let good = std::fs::read(&blob).unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    std::fs::write(&blob, &bad).unwrap();
    let fresh = World::new("");
    let load = |args: &[&str]| fresh.acetate(&[&["image", "load", "-i"], args].concat());
    load(&[dir.to_str().unwrap()]).fails(&["failed to trust", &hex]);
    std::fs::remove_file(&blob).unwrap();
    load(&[dir.to_str().unwrap()]).fails(&[&hex]);
    assert_eq!(out(&fresh, &["ls"]).lines().count(), 1);
    let junk = fresh.fresh("junk");
    std::fs::write(&junk, "no archive").unwrap();
    load(&[junk.to_str().unwrap()]).fails(&["junk"]);
    load(&["/no/such"]).fails(&["/no/such"]);
}

#[test]
fn copies_are_equal_in_every_place() {
    let world = World::of("FROM base\nCOPY Dockerfile /one\n");
    let Some(server) = registry(&world) else {
        return;
    };
    let layout = world.fresh("layout");
    let dest = format!("-otype=oci,tar=false,dest={}", layout.display());
    world
        .build(&["--platform=linux/amd64,linux/arm64", &dest])
        .ok();
    let at = |name: &str| format!("{}/{name}", server.address);
    let source = format!("oci-layout://{}", layout.display());
    let fresh = World::new("");
    let cp = |from: &str, to: &str| out(&fresh, &["cp", from, to]);
    let told = cp(&source, &at("a:1"));
    assert!(
        told.contains("5 of 5 blobs sent") || told.contains("4 of 4 blobs sent"),
        "{told}"
    );
    let told = cp(&at("a:1"), &at("b:1"));
    assert!(told.contains(": 0 of "), "{told}");
    assert_eq!(raw(&at("a:1")), raw(&at("b:1")));
    let copy = fresh.fresh("copy");
    cp(&at("b:1"), &format!("oci-layout://{}:x", copy.display()));
    cp(&format!("oci-layout://{}:x", copy.display()), &at("c:1"));
    assert_eq!(raw(&at("a:1")), raw(&at("c:1")));
    cp(&at("c:1"), "local://kept:1");
    cp("local://kept:1", &at("d:1"));
    assert_eq!(raw(&at("a:1")), raw(&at("d:1")));
    let archive = path(&fresh, "docker.tar");
    cp(&at("a:1"), &format!("docker-archive:{archive}"));
    cp(&format!("docker-archive:{archive}"), &at("e:1"));
    assert_eq!(raw(&at("e:1"))["layers"].as_array().unwrap().len(), 2);
    // Another registry gets everything once.
    let dir = fresh.fresh("second");
    std::fs::create_dir(&dir).unwrap();
    let second = Server::registry(&dir);
    let told = out(&fresh, &["mirror", &at("a:1"), &at("b:1"), &second.address]);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert_eq!(raw(&format!("{}/a:1", second.address)), raw(&at("a:1")));
    let told = out(&fresh, &["mirror", &at("a:1"), &second.address]);
    assert!(told.ends_with("/a:1: is there\n"), "{told}");
    fresh
        .acetate(&["image", "cp", &at("a:1"), "s3://x"])
        .fails(&["unknown scheme", "local://NAME"]);
    fresh
        .acetate(&["image", "mirror", &at("a:1"), "mirror"])
        .fails(&["is no registry"]);
}

/// Writes a layout with an artifact that speaks about an image.
fn signature(dir: &Path, subject: &Value) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = acetate_oci::Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let (config, config_size) = put(b"{}");
    let (layer, layer_size) = put(b"signed");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/x.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "text/x.signature", "digest": layer, "size": layer_size}],
        "subject": subject,
    });
    let (digest, size) = put(manifest.to_string().as_bytes());
    let entry = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
    });
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn a_mirror_brings_what_speaks_about_an_image() {
    let world = World::of(DOCKERFILE);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    world.build(&["--push", &format!("-t{name}")]).ok();
    let text = tool(
        "skopeo",
        &[
            "inspect",
            "--raw",
            "--tls-verify=false",
            &format!("docker://{name}"),
        ],
    );
    let subject = acetate_oci::Digest::of(text.as_bytes());
    let dir = world.fresh("signature");
    let entry = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": subject, "size": text.len(),
    });
    signature(&dir, &entry);
    let source = format!("oci-layout://{}", dir.display());
    out(
        &world,
        &["cp", &source, &format!("{}/app:signature", server.address)],
    );
    world
        .acetate(&["image", "cp", &source, "local://x"])
        .fails(&["holds no image"]);
    let dir = world.fresh("second");
    std::fs::create_dir(&dir).unwrap();
    let second = Server::registry(&dir);
    let told = out(&world, &["mirror", &name, &second.address]);
    assert!(told.contains("1 referrers"), "{told}");
    // A registry without the interface has them under a tag.
    let tag = subject.to_string().replace(':', "-");
    let list = raw(&format!("{}/app:{tag}", second.address));
    assert_eq!(
        list["manifests"][0]["artifactType"],
        "application/x.signature"
    );
    let told = out(&world, &["mirror", &name, &second.address]);
    assert!(told.ends_with(": is there\n"), "{told}");
}
