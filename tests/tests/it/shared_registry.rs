//! A repository of a registry as a cache.

use crate::shared_cache::{TWO_STAGES, build_on, root, warnings};
use acetate_tests::{Outcome, Running, Server, World, files_below, have, tool};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn has_tools() -> bool {
    have("docker-registry") && have("skopeo")
}

fn flags(address: &str) -> [String; 2] {
    let name = format!("{address}/team/cache:main");
    [
        format!("--cache-from={name}"),
        format!("--cache-to=type=registry,ref={name},mode=max"),
    ]
}

fn raw(name: &str) -> Value {
    let name = format!("docker://{name}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    serde_json::from_str(&text).expect("a manifest")
}

fn tags(address: &str) -> Vec<String> {
    let name = format!("docker://{address}/team/cache");
    let text = tool("skopeo", &["list-tags", "--tls-verify=false", &name]);
    let list: Value = serde_json::from_str(&text).expect("a list");
    let tags = list["Tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some(tag.as_str()?.to_owned()))
        .collect()
}

/// Where the registry keeps a blob.
fn blob_file(dir: &Path, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    let blobs = dir.join("registry/docker/registry/v2/blobs/sha256");
    blobs.join(&hex[..2]).join(hex).join("data")
}

#[test]
fn a_registry_gives_all_that_was_put_into_it() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let [from, to] = flags(&registry.address);
    let (first, made) = build_on(&world, "a", &[&from, &to]);
    assert_eq!(warnings(&made), Vec::<String>::new());
    let (second, taken) = build_on(&world, "b", &[&from]);
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(warnings(&taken), Vec::<String>::new());
    assert_eq!(second.digest(), first.digest());
    // What nobody asks for does not travel.
    let large = |kept: &Path| {
        let sizes = files_below(kept).into_iter();
        sizes
            .filter(|path| {
                kept.join(path)
                    .metadata()
                    .is_ok_and(|data| data.len() > 11_000_000)
            })
            .count()
    };
    assert_eq!(large(&root(&world, "b")), 0);
    world.write("late", "other\n");
    let (image, outcome) = build_on(&world, "c", &[&from, &to]);
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
    assert_eq!(image.file("both"), "one\nother\n");
    // The earlier results are still there, also in a registry that was started anew.
    drop(registry);
    let registry = Server::registry(world.dir());
    let [from, _] = flags(&registry.address);
    world.write("late", "l\n");
    let (image, outcome) = build_on(&world, "d", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(image.digest(), first.digest());
}

#[test]
fn builds_that_write_one_tag_at_once_lose_nothing() {
    if !has_tools() {
        return;
    }
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG N
        RUN echo $N > /n; cat /proc/sys/kernel/random/uuid > /id
    ",
    );
    let registry = Server::registry(world.dir());
    let [from, to] = flags(&registry.address);
    let running: Vec<Running> = (0..6)
        .map(|n| {
            let arg = format!("--build-arg=N={n}");
            let machine = root(&world, &n.to_string());
            Running::start(world.command_in(&machine, &["--output=type=cacheonly", &arg, &to]))
        })
        .collect();
    for running in running {
        assert_eq!(warnings(&running.wait().ok()), Vec::<String>::new());
    }
    for n in 0..6 {
        let arg = format!("--build-arg=N={n}");
        let (image, outcome) = build_on(&world, &format!("reader-{n}"), &[&arg, &from]);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "build {n}");
        assert_eq!(image.file("n"), format!("{n}\n"));
    }
    // Machines that come and go leave a bounded number of tags.
    for n in 6..13 {
        let arg = format!("--build-arg=N={n}");
        build_on(&world, &n.to_string(), &[&arg, &to]);
    }
    let tags = tags(&registry.address);
    assert_eq!(tags.len(), 1 + 8, "{tags:?}");
    for n in [0, 5, 9, 12] {
        let arg = format!("--build-arg=N={n}");
        let (_, outcome) = build_on(&world, &format!("late-{n}"), &[&arg, &from]);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "build {n}");
    }
}

#[test]
fn others_copy_it_in_every_form() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let forms = [
        ("plain", ""),
        ("zstd", ",compression=zstd,compression-level=1"),
        ("index", ",image-manifest=false"),
        ("docker", ",image-manifest=false,oci-mediatypes=false"),
    ];
    for (tag, more) in forms {
        let name = format!("{}/team/cache:{tag}", registry.address);
        let to = format!("--cache-to=type=registry,ref={name},mode=max{more}");
        let (first, made) = build_on(&world, &format!("writer-{tag}"), &[&to]);
        assert_eq!(warnings(&made), Vec::<String>::new(), "{tag}");
        let root = raw(&name);
        let is_manifest = !more.contains("image-manifest");
        assert_eq!(root["config"].is_object(), is_manifest, "{tag}");
        let from = if is_manifest {
            let layers = root["layers"].as_array().unwrap();
            let kind = if tag == "zstd" {
                "tar+zstd"
            } else {
                "tar+gzip"
            };
            for layer in layers {
                let found = layer["mediaType"].as_str().unwrap();
                let is_listing = found == "application/vnd.acetate.cache.listing.v1.piece";
                assert!(is_listing || found.ends_with(kind), "{layer}");
            }
            let copied = world.fresh("copied");
            let (one, two) = (
                format!("docker://{name}"),
                format!("oci:{}:latest", copied.display()),
            );
            tool("skopeo", &["copy", "--src-tls-verify=false", &one, &two]);
            format!("--cache-from=type=local,src={}", copied.display())
        } else {
            format!("--cache-from={name}")
        };
        let (second, taken) = build_on(&world, &format!("reader-{tag}"), &[&from]);
        assert_eq!(taken.ran(), Vec::<String>::new(), "{tag}");
        // The image that is written out has the blobs of the cache.
        assert_eq!(second.config.rootfs, first.config.rootfs, "{tag}");
        assert_eq!(second.file("id"), first.file("id"), "{tag}");
    }
}

#[test]
fn a_layer_that_is_gone_costs_a_line_and_comes_back() {
    if !has_tools() {
        return;
    }
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        RUN head -c 100000 /dev/zero > /a
        RUN echo b > /b
    ",
    );
    let registry = Server::registry(world.dir());
    let [from, to] = flags(&registry.address);
    let epoch = "--build-arg=SOURCE_DATE_EPOCH=1700000000";
    let (first, _) = build_on(&world, "a", &[epoch, &from, &to]);
    let manifest = raw(&format!("{}/team/cache:main", registry.address));
    for layer in manifest["layers"].as_array().unwrap() {
        let file = blob_file(world.dir(), layer["digest"].as_str().unwrap());
        std::fs::remove_file(file).unwrap();
    }
    let (second, outcome) = build_on(&world, "b", &[epoch, &from, &to]);
    assert_eq!(outcome.ran().len(), 2);
    let lines = warnings(&outcome);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("its step runs again"), "{lines:?}");
    assert_eq!(second.digest(), first.digest());
    let (third, outcome) = build_on(&world, "c", &[epoch, &from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    assert_eq!(third.digest(), first.digest());
}

#[test]
fn a_registry_lets_in_who_is_in_the_config_of_docker() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::guarded_registry(world.dir());
    let [from, to] = flags(&registry.address);
    let config = world.dir().join("docker");
    std::fs::create_dir(&config).unwrap();
    // `user:secret`
    let auths = format!(
        r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#,
        registry.address
    );
    std::fs::write(config.join("config.json"), auths).unwrap();
    let build = |machine: &str, flags: &[&str]| {
        let flags = [&["--output=type=cacheonly"], flags].concat();
        let mut command = world.command_in(&root(&world, machine), &flags);
        command.env("DOCKER_CONFIG", &config);
        Outcome::of(command).ok()
    };
    assert_eq!(warnings(&build("a", &[&to])), Vec::<String>::new());
    let taken = build("b", &[&from]);
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(warnings(&taken), Vec::<String>::new());
    // Whoever is not let in builds.
    let (_, outcome) = build_on(&world, "c", &[&from, &to]);
    assert_ne!(outcome.ran(), Vec::<String>::new());
    let lines = warnings(&outcome);
    assert!(!lines.is_empty() && lines.len() <= 2, "{lines:?}");
}

#[test]
fn s88_a_registry_that_cannot_be_written_is_a_warning_or_an_error() {
    if !have("docker-registry") {
        return;
    }
    let world = World::new(TWO_STAGES);
    let nobody = "127.0.0.1:9";
    let [from, to] = flags(nobody);
    let (_, outcome) = build_on(&world, "a", &[&from, &to]);
    let lines = warnings(&outcome);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(nobody), "{lines:?}");
    let strict = format!("{to},ignore-error=false");
    let machine = root(&world, "b");
    let command = world.command_in(&machine, &["--output=type=cacheonly", &strict]);
    Outcome::of(command).fails(&["was not given to registry:127.0.0.1:9/team/cache:main"]);
}

#[test]
fn the_tag_of_an_image_is_not_written_over() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let name = format!("{}/team/cache:main", registry.address);
    let base = format!("oci:{}", world.base().display());
    let to = format!("docker://{name}");
    tool("skopeo", &["copy", "--dest-tls-verify=false", &base, &to]);
    let before = raw(&name);
    let [from, to] = flags(&registry.address);
    let (_, outcome) = build_on(&world, "a", &[&from, &to]);
    let lines = warnings(&outcome);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("name another tag"), "{lines:?}");
    assert_eq!(raw(&name), before);
}

#[test]
fn what_is_pushed_with_its_records_is_a_cache() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let name = format!("{}/team/app:1", registry.address);
    let tag = format!("-t{name}");
    let machine = root(&world, "a");
    let command = world.command_in(&machine, &["--push", &tag, "--cache-to=type=inline"]);
    Outcome::of(command).ok();
    let from = format!("--cache-from=type=registry,ref={name}");
    let (_, outcome) = build_on(&world, "b", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(warnings(&outcome), Vec::<String>::new());
}

#[test]
fn records_are_moved_by_hand_too() {
    if !has_tools() {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let name = format!("{}/team/cache:hand", registry.address);
    let (first, _) = build_on(&world, "a", &[]);
    let cache = |machine: &str, args: &[&str]| {
        let machine = root(&world, machine);
        let mut command = acetate_tests::acetate();
        command
            .args(["--root", machine.to_str().unwrap(), "cache"])
            .args(args);
        Outcome::of(command)
    };
    let place = format!("type=registry,ref={name}");
    cache("a", &["export", "--all", "--to", &place]).ok();
    let from = format!("--cache-from={name}");
    let (second, outcome) = build_on(&world, "b", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(second.digest(), first.digest());
    let listed = cache("a", &["ls", "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let records = listed["records"].as_array().unwrap().iter();
    let keys = records.filter_map(|record| record["key"].as_str());
    // The image that they are built on has to be there.
    build_on(&world, "c", &["--target=build"]);
    let mut args = vec!["import", "--from", &place];
    args.extend(keys);
    let moved = cache("c", &args).ok();
    assert!(moved.stdout.contains(" 0 not moved"), "{}", moved.stdout);
    let (_, outcome) = build_on(&world, "c", &[]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    for words in [["ls", "--remote"], ["verify", "--remote"]] {
        cache("a", &[words[0], words[1], &place]).fails(&["cannot be asked"]);
    }
}
