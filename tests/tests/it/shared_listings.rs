//! What places files needs to know what is in the layers below, and not to have them.

use crate::shared_cache::{build_on, root, warnings};
use acetate_oci::Digest;
use acetate_tests::{
    Asked, CacheServer, Fault, Outcome, Proxy, Server, World, files_below, have, tool,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A copy on a large layer that has the user it names, and a link where it goes.
const WORLD: &str = "
    //- Dockerfile
    FROM base
    RUN head -c 8000000 /dev/urandom > /large; mkdir -p /etc /real; ln -s real /dest; echo joe:x:77:78::/:/bin/sh >> /etc/passwd; echo joe:x:78: >> /etc/group
    COPY --chown=joe:joe late /dest/
    //- late
    one
";

const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=0";

/// Builds for nothing but the results.
fn run_on(world: &World, machine: &str, flags: &[&str]) -> Outcome {
    let args = [&["--output=type=cacheonly", EPOCH], flags].concat();
    let mut command = world.command_in(&root(world, machine), &args);
    Outcome::read(&command.output().expect("acetate starts")).ok()
}

struct Ground {
    world: World,
    server: CacheServer,
}

/// A server with all of an earlier version; the file has changed since.
fn ground(fixture: &str) -> Ground {
    let world = World::new(fixture);
    let server = CacheServer::open(&world.dir().join("server"));
    let to = format!("--cache-to=type=http,url={},mode=max", server.url("org"));
    run_on(&world, "first", &[&to]);
    world.write("late", "two\n");
    Ground { world, server }
}

impl Ground {
    /// How many bytes of content were asked for, as the server holds them.
    fn bytes(&self, seen: &[Asked]) -> u64 {
        let got: BTreeSet<&str> = contents(seen).collect();
        let files = self.server.files("cas");
        let sizes = files.iter().filter_map(|file| {
            let name = file.file_name()?.to_str()?;
            let is_it = got.iter().any(|hex| name.starts_with(hex));
            is_it.then(|| {
                std::fs::metadata(file)
                    .expect("a file that is listed")
                    .len()
            })
        });
        sizes.sum()
    }

    fn proxy(&self, script: impl Fn(&Asked) -> Fault + Send + Sync + 'static) -> (Proxy, String) {
        let proxy = Proxy::to(self.server.address(), script);
        let from = format!("--cache-from={}", proxy.url("org"));
        (proxy, from)
    }
}

/// The digests of the contents that were fetched.
fn contents(seen: &[Asked]) -> impl Iterator<Item = &str> {
    let got = seen
        .iter()
        .filter(|it| it.is_content() && it.method == "GET");
    got.filter_map(|asked| asked.path.rsplit('/').next())
}

/// What the first machine makes of the change, which nobody else is told.
fn made_there(world: &World) -> acetate_tests::Layout {
    build_on(world, "first", &[EPOCH]).0
}

#[test]
fn a_late_copy_fetches_what_is_listed_and_no_layer() {
    let ground = ground(WORLD);
    let (proxy, from) = ground.proxy(|_| Fault::Pass);
    let outcome = run_on(&ground.world, "second", &[&from]);
    assert_eq!(outcome.ran(), ["COPY --chown=joe:joe late /dest/"]);
    let bytes = ground.bytes(&proxy.seen());
    assert!((1..60_000).contains(&bytes), "{bytes} bytes came");
    // Where the image is wanted it is the one that the first machine makes.
    let there = made_there(&ground.world);
    let (here, _) = build_on(&ground.world, "third", &[EPOCH, &from]);
    assert_eq!(here.digest(), there.digest());
    let item = here.item("real/late");
    assert_eq!((item.uid, item.gid), (77, 78));
    // What was compared with the layers is recorded, and found the next time.
    let (again, outcome) = build_on(&ground.world, "third", &[EPOCH]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(again.digest(), there.digest());
}

#[test]
fn a_process_on_a_late_copy_sees_the_layers() {
    let ground = ground(
        "
        //- Dockerfile
        FROM base
        RUN head -c 3000000 /dev/urandom > /large; mkdir /dest; touch -d @0 /dest
        RUN rm -rf /dest; mkdir /other; ln -s other /dest
        COPY late /dest/
        RUN wc -c < /large > /size; cat /other/late > /copy; touch -d @0 /size /copy
        //- late
        one
    ",
    );
    let (_proxy, from) = ground.proxy(|_| Fault::Pass);
    let there = made_there(&ground.world);
    let (here, outcome) = build_on(&ground.world, "second", &[EPOCH, &from]);
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
    assert_eq!(here.file("copy"), "two\n");
    assert_eq!(here.file("size"), "3000000\n");
    assert_eq!(here.digest(), there.digest());
}

#[test]
fn of_a_stage_that_is_copied_from_only_the_layer_comes_that_holds_the_file() {
    let ground = ground(
        "
        //- Dockerfile
        FROM base AS build
        RUN head -c 8000000 /dev/urandom > /large
        RUN echo small > /small; touch -d @0 /small
        FROM base
        COPY late /late
        COPY --from=build /small /small
        //- late
        one
    ",
    );
    let (proxy, from) = ground.proxy(|_| Fault::Pass);
    let outcome = run_on(&ground.world, "second", &[&from]);
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
    let bytes = ground.bytes(&proxy.seen());
    assert!((1..60_000).contains(&bytes), "{bytes} bytes came");
    let there = made_there(&ground.world);
    let (here, _) = build_on(&ground.world, "third", &[EPOCH, &from]);
    assert_eq!(here.file("small"), "small\n");
    assert_eq!(here.digest(), there.digest());
}

#[test]
fn listings_that_are_lost_or_changed_cost_the_layers() {
    let ground = ground(WORLD);
    let (proxy, from) = ground.proxy(|_| Fault::Pass);
    run_on(&ground.world, "looking", &[&from]);
    let seen = proxy.seen();
    let listings: BTreeSet<String> = contents(&seen).map(str::to_owned).collect();
    let there = made_there(&ground.world);
    for (name, fault) in [
        ("lost", Fault::Status(404)),
        ("flipped", Fault::Flip(30)),
        ("cut", Fault::Truncate(10)),
    ] {
        let listings = listings.clone();
        let (_proxy, from) = ground.proxy(move |asked| {
            let name = asked.path.rsplit('/').next().unwrap_or_default();
            let is_listing = asked.is_content() && listings.contains(name);
            if is_listing { fault } else { Fault::Pass }
        });
        let (here, outcome) = build_on(&ground.world, name, &[EPOCH, &from]);
        assert_eq!(here.digest(), there.digest(), "{name}");
        assert_eq!(outcome.ran().len(), 1, "{name}: {:?}", outcome.ran());
        assert!(warnings(&outcome).len() <= 1, "{name}: {}", outcome.stderr);
    }
}

/// The chains in the config of a layout, and all that names it, changed.
#[expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]
fn edit(dir: &Path, change: impl FnOnce(&mut Value)) {
    let blob = |name: &str| dir.join("blobs/sha256").join(&name["sha256:".len()..]);
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let put = |value: &Value| -> (Value, Value) {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(&bytes).to_string();
        std::fs::write(blob(&digest), &bytes).unwrap();
        (digest.into(), bytes.len().into())
    };
    let mut index = read(&dir.join("index.json"));
    let entry = &mut index["manifests"][0];
    let mut manifest = read(&blob(entry["digest"].as_str().unwrap()));
    let mut config = read(&blob(manifest["config"]["digest"].as_str().unwrap()));
    change(&mut config);
    let (digest, size) = put(&config);
    manifest["config"]["digest"] = digest;
    manifest["config"]["size"] = size;
    let (digest, size) = put(&manifest);
    entry["digest"] = digest;
    entry["size"] = size;
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn a_directory_lists_its_layers_too() {
    let world = World::new(WORLD);
    let dir = world.dir().join("cache");
    let to = format!("--cache-to=type=local,dest={},mode=max", dir.display());
    let from = format!("--cache-from=type=local,src={}", dir.display());
    run_on(&world, "first", &[&to]);
    world.write("late", "two\n");
    let outcome = run_on(&world, "second", &[&from]);
    assert_eq!(outcome.ran(), ["COPY --chown=joe:joe late /dest/"]);
    let bytes = stored(&world, "second");
    assert!(bytes < 100_000, "{bytes} bytes came");
    let there = made_there(&world);
    let (here, _) = build_on(&world, "third", &[EPOCH, &from]);
    assert_eq!(here.digest(), there.digest());
    // What is reset keeps the listings of what stays.
    let reset = format!("{to},reset=true");
    run_on(&world, "first", &[&reset]);
    edit(&dir, |config| {
        for link in config["chains"].as_array().unwrap() {
            let piece = link["listing"][0]["digest"].as_str().unwrap();
            let path = dir.join("blobs/sha256").join(&piece["sha256:".len()..]);
            assert!(path.exists(), "{piece}");
        }
    });
}

/// Where a registry keeps the pieces of listings that a cache in it names.
fn listings_in(dir: &Path, name: &str) -> Vec<PathBuf> {
    let name = format!("docker://{name}");
    let text = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &name]);
    let manifest: Value = serde_json::from_str(&text).expect("a manifest");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let listings = layers.filter(|layer| {
        layer["mediaType"].as_str() == Some("application/vnd.acetate.cache.listing.v1.piece")
    });
    let file = |layer: &Value| {
        let digest = layer["digest"].as_str().expect("a digest");
        let hex = digest.trim_start_matches("sha256:");
        let blobs = dir.join("registry/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    };
    listings.map(file).collect()
}

/// How many bytes of blobs a machine has.
fn stored(world: &World, machine: &str) -> u64 {
    let blobs = root(world, machine).join("blobs");
    let sizes = files_below(&blobs).into_iter().map(|file| {
        let data = std::fs::metadata(blobs.join(file));
        data.expect("a file that is listed").len()
    });
    sizes.sum()
}

#[test]
fn a_registry_lists_its_layers_too() {
    if !have("docker-registry") || !have("skopeo") {
        return;
    }
    let world = World::new(WORLD);
    let registry = Server::registry(world.dir());
    let name = format!("{}/team/cache:main", registry.address);
    let to = format!("--cache-to=type=registry,ref={name},mode=max");
    let from = format!("--cache-from={name}");
    run_on(&world, "first", &[&to]);
    world.write("late", "two\n");
    let outcome = run_on(&world, "second", &[&from]);
    assert_eq!(outcome.ran(), ["COPY --chown=joe:joe late /dest/"]);
    let bytes = stored(&world, "second");
    assert!(bytes < 100_000, "{bytes} bytes came");
    let there = made_there(&world);
    let (here, _) = build_on(&world, "third", &[EPOCH, &from]);
    assert_eq!(here.digest(), there.digest());
    // What is copied by others keeps them.
    let copied = world.fresh("copied");
    let (one, two) = (
        format!("docker://{name}"),
        format!("oci:{}:latest", copied.display()),
    );
    tool("skopeo", &["copy", "--src-tls-verify=false", &one, &two]);
    let local = format!("--cache-from=type=local,src={}", copied.display());
    run_on(&world, "fourth", &[&local]);
    let bytes = stored(&world, "fourth");
    assert!(bytes < 100_000, "{bytes} bytes came");
    // Where they are damaged or gone the layers come instead.
    let listings = listings_in(world.dir(), &name);
    assert_eq!(listings.len(), 3);
    for (machine, is_gone) in [("fifth", false), ("sixth", true)] {
        for listing in &listings {
            if is_gone {
                std::fs::remove_file(listing).expect("a file");
            } else {
                std::fs::write(listing, "something else").expect("a file");
            }
        }
        let (here, outcome) = build_on(&world, machine, &[EPOCH, &from]);
        assert_eq!(here.digest(), there.digest(), "{machine}");
        assert_eq!(outcome.ran().len(), 1, "{machine}: {:?}", outcome.ran());
        assert_eq!(warnings(&outcome), Vec::<String>::new(), "{machine}");
    }
    // Who writes next brings back those that it knows, and leaves out what nobody has.
    world.write("late", "three\n");
    let outcome = run_on(&world, "seventh", &[&from, &to]);
    assert_eq!(outcome.ran(), ["COPY --chown=joe:joe late /dest/"]);
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    assert_eq!(listings_in(world.dir(), &name).len(), 3);
    world.write("late", "four\n");
    run_on(&world, "eighth", &[&from]);
    let bytes = stored(&world, "eighth");
    assert!(bytes < 100_000, "{bytes} bytes came");
}

/// A cache whose record names the listing of another layer, as one that nobody signed can.
#[test]
fn a_listing_that_is_not_true_makes_no_other_image() {
    let world = World::new(WORLD);
    let dir = world.dir().join("cache");
    let to = |dir: &Path| format!("--cache-to=type=local,dest={},mode=max", dir.display());
    let from = format!("--cache-from=type=local,src={}", dir.display());
    run_on(&world, "first", &[&to(&dir)]);
    // The same but for where the link leads, and who has which number.
    let other = World::new(
        &WORLD
            .replace("ln -s real /dest", "mkdir /dest")
            .replace("77:78", "7:8"),
    );
    let lies = other.dir().join("cache");
    run_on(&other, "liar", &[&to(&lies)]);
    for blob in files_below(&lies.join("blobs")) {
        let to = dir.join("blobs").join(&blob);
        if !to.exists() {
            std::fs::copy(lies.join("blobs").join(&blob), to).unwrap();
        }
    }
    let mut listings = Vec::new();
    edit(&lies, |config| listings.push(config["chains"].clone()));
    let made_by_run = |chains: &Value| -> usize {
        // The base, the step, and the copy.
        let chains = chains.as_array().unwrap();
        assert_eq!(chains.len(), 3);
        let is_second = |link: &Value| {
            let below = link["below"].as_u64();
            below.is_some_and(|n| chains[usize::try_from(n).unwrap()]["below"].is_null())
        };
        chains.iter().position(is_second).unwrap()
    };
    let lie = listings[0][made_by_run(&listings[0])]["listing"].clone();
    edit(&dir, |config| {
        let n = made_by_run(&config["chains"]);
        config["chains"][n]["listing"] = lie;
    });
    world.write("late", "two\n");
    let there = made_there(&world);
    let (here, outcome) = build_on(&world, "second", &[EPOCH, &from]);
    assert_eq!(here.digest(), there.digest());
    assert_eq!(here.item("real/late").uid, 77);
    assert_eq!(warnings(&outcome).len(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("lists 1 layers otherwise"),
        "{}",
        outcome.stderr
    );
    // Without an output nothing is compared, so nothing is kept that might be wrong.
    run_on(&world, "third", &[&from]);
    let (here, _) = build_on(&world, "third", &[EPOCH, &from]);
    assert_eq!(here.digest(), there.digest());
}
