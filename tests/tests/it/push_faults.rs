//! Pushes of several platforms while the state directory, a cache or the registry loses what is sent.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use acetate_tests::{CacheServer, Fault, Proxy, Server, World, files_below, have, tool};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const WORLD: &str = "
    //- Dockerfile
    FROM scratch
    ARG TARGETARCH
    COPY shared /shared
    COPY Dockerfile /$TARGETARCH
    //- shared
    the same for all
";

const PLATFORMS: &str = "--platform=linux/amd64,linux/arm64";

fn registry(world: &World) -> Option<Server> {
    (have("skopeo") && have("docker-registry")).then(|| Server::registry(world.dir()))
}

/// The files in a directory of the state directory.
fn stored(root: &Path, kind: &str) -> Vec<PathBuf> {
    let dir = root.join(kind);
    let files = files_below(&dir).into_iter();
    files.map(|file| dir.join(file)).collect()
}

/// All layers of an index, fetched by another tool, which checks them.
fn check(world: &World, image: &str) -> Vec<String> {
    let dir = world.fresh("fetched");
    let (from, to) = (
        format!("docker://{image}"),
        format!("dir:{}", dir.display()),
    );
    tool(
        "skopeo",
        &["copy", "--all", "--src-tls-verify=false", &from, &to],
    );
    let index = std::fs::read(dir.join("manifest.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let digests = entries.map(|entry| entry["digest"].as_str().unwrap().to_owned());
    digests.collect()
}

/// Pushes by way of a proxy that calls `harm` once, when the first blob is about to be sent.
#[track_caller]
fn pushes_although(harm: impl Fn(&Path) + Send + Sync + 'static) {
    pushes(&World::new(WORLD), harm);
}

#[track_caller]
fn pushes(world: &World, harm: impl Fn(&Path) + Send + Sync + 'static) {
    let Some(server) = registry(world) else {
        return;
    };
    let (root, is_done) = (world.root(), AtomicBool::new(false));
    let proxy = Proxy::to(&server.address, move |asked| {
        if asked.method == "POST" && !is_done.swap(true, Ordering::SeqCst) {
            harm(&root);
        }
        Fault::Pass
    });
    let name = proxy.url("app:1").replace("http://", "");
    world
        .build(&["--push", PLATFORMS, &format!("-t{name}")])
        .ok();
    let through = check(world, &name);
    assert_eq!(through.len(), 2);
    // Another push of the same is the same, and sends nothing.
    let outcome = world
        .build(&["--push", PLATFORMS, &format!("-t{name}")])
        .ok();
    assert!(outcome.log().contains("0 of "), "{}", outcome.log());
    assert_eq!(check(world, &name), through);
}

#[test]
fn blobs_that_vanish_are_made_again() {
    pushes_although(|root| {
        for file in stored(root, "blobs") {
            std::fs::remove_file(file).unwrap();
        }
    });
}

#[test]
fn layers_that_vanish_with_their_blobs_are_built_again() {
    let world = World::of("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    pushes(&world, |root| {
        for file in stored(root, "blobs") {
            std::fs::remove_file(file).unwrap();
        }
        for layer in std::fs::read_dir(root.join("layers")).unwrap() {
            std::fs::remove_dir_all(layer.unwrap().path()).unwrap();
        }
    });
}

#[test]
fn blobs_that_rot_are_made_again() {
    pushes_although(|root| {
        for file in stored(root, "blobs") {
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, bytes).unwrap();
        }
    });
}

#[test]
fn layers_that_a_cache_does_not_give_are_built_again() {
    let world = World::new(WORLD);
    let lines: String = (0..300_000).map(|n| format!("line {n}\n")).collect();
    world.write("shared", &lines);
    let Some(server) = registry(&world) else {
        return;
    };
    let caches = CacheServer::open(&world.dir().join("server"));
    let flags = |url: String| {
        [
            format!("--cache-from=type=http,url={url}"),
            format!("--cache-to=type=http,url={url},mode=max"),
        ]
    };
    let epoch = "--build-arg=SOURCE_DATE_EPOCH=0";
    let name = format!("{}/app:1", server.address);
    let tag = format!("-t{name}");
    let [from, to] = flags(caches.url("org"));
    world
        .build(&["--push", PLATFORMS, &tag, epoch, &from, &to])
        .ok();
    let before = check(&world, &name);
    for share in [35, 100] {
        let proxy = Proxy::to(caches.address(), move |asked| {
            let is_lost = asked.is_content() && asked.method != "PUT" && asked.lot(1) % 100 < share;
            if is_lost {
                Fault::Status(404)
            } else {
                Fault::Pass
            }
        });
        let [from, _] = flags(proxy.url("org"));
        // The registry has nothing of it, so that every layer is wanted.
        let dir = world.fresh("registry");
        std::fs::create_dir(&dir).unwrap();
        let fresh = Server::registry(&dir);
        let name = format!("{}/app:1", fresh.address);
        let (root, tag) = (world.fresh("machine"), format!("-t{name}"));
        let args = ["--push", PLATFORMS, &tag, epoch, &from];
        let outcome = acetate_tests::Outcome::of(world.command_in(&root, &args)).ok();
        assert!(outcome.ran().len() > 1, "{:?}", outcome.ran());
        assert_eq!(check(&world, &name), before, "{share}");
        let mut seen = proxy.seen().into_iter();
        assert!(
            seen.any(|asked| asked.is_content()),
            "nothing was asked for"
        );
    }
}
