//! Compressed layers that one machine makes and others take from a shared cache.

use crate::shared_cache::{both, root, warnings, words};
use crate::shared_signed::{PRIVATE, PUBLIC};
use acetate_oci::Digest;
use acetate_tests::{CacheServer, Fault, Layout, Outcome, Proxy, World};
use std::os::unix::fs::PermissionsExt;

/// Layers of several sizes, equal on every machine, and one that is in no image.
const STEPS: &str = "
    //- Dockerfile
    FROM base AS build
    RUN seq 1 500000 > /unused; seq 1 300000 > /numbers; touch -d @0 /numbers /unused
    FROM base
    COPY --from=build /numbers /numbers
    COPY file /file
    RUN cat /file /numbers > /both; touch -d @0 /both
    //- file
    one
";

/// What the program's log says where a layer is compressed.
const COMPRESSED: &str = "a layer is compressed";

const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=0";

/// A build on a machine of its own, with this output.
fn build(world: &World, machine: &str, output: &str, flags: &[&str]) -> (Layout, Outcome) {
    let dest = world.fresh("image");
    let output = format!("--output={output},tar=false,dest={}", dest.display());
    let mut args = vec![output.as_str()];
    args.extend(flags);
    let mut command = world.command_in(&root(world, machine), &args);
    command.env("ACETATE_LOG", "acetate_image=debug,warn");
    let outcome = Outcome::read(&command.output().expect("acetate starts")).ok();
    (Layout::read(&dest), outcome)
}

/// How many layers were compressed, but that of the base, which every machine has uncompressed.
fn n_compressed(outcome: &Outcome) -> usize {
    outcome.stderr.matches(COMPRESSED).count().saturating_sub(1)
}

/// How many layers of an image lie uncompressed on a machine, that of the base among them.
fn n_plain(world: &World, machine: &str, image: &Layout) -> usize {
    let blobs = root(world, machine).join("blobs/sha256");
    let diff_ids = image.config.rootfs.diff_ids.iter().map(Digest::hex);
    diff_ids
        .filter(|hex| blobs.join(&hex[..2]).join(hex).exists())
        .count()
}

struct Site {
    world: World,
    server: CacheServer,
}

impl Site {
    fn new() -> Self {
        let world = World::new(STEPS);
        let server = CacheServer::open(&world.dir().join("server"));
        Self { world, server }
    }

    fn from(&self) -> String {
        format!("--cache-from={}", self.server.url("org"))
    }

    fn to(&self, more: &str) -> String {
        let url = self.server.url("org");
        format!("--cache-to=type=http,url={url},mode=max{more}")
    }
}

#[test]
fn a_layer_is_compressed_on_one_machine_for_all() {
    for (output, arg) in [
        ("type=oci", "--build-arg=NONE=0"),
        ("type=oci,compression=zstd", "--build-arg=NONE=0"),
        // Then the image has other layers than the results.
        ("type=oci", EPOCH),
    ] {
        let site = Site::new();
        let mut flags = both(&site.server.url("org")).to_vec();
        flags.push(arg.to_owned());
        let (first, made) = build(&site.world, "a", output, &words(&flags));
        assert!(n_compressed(&made) >= 3, "{}", made.stderr);
        for (machine, flags) in [("b", vec![site.from(), arg.to_owned()]), ("c", flags)] {
            let (image, taken) = build(&site.world, machine, output, &words(&flags));
            assert_eq!(taken.ran(), Vec::<String>::new());
            assert_eq!(image.digest(), first.digest());
            assert_eq!(n_compressed(&taken), 0, "{}", taken.stderr);
            assert_eq!(warnings(&taken), Vec::<String>::new());
        }
        // And the machine knows them from then on, without anybody.
        let (image, taken) = build(&site.world, "b", output, &[arg]);
        assert_eq!(taken.ran(), Vec::<String>::new());
        assert_eq!(n_compressed(&taken), 0);
        assert_eq!(image.digest(), first.digest());
    }
}

#[test]
fn a_form_of_another_recipe_is_not_used_and_the_own_one_is_given() {
    let site = Site::new();
    let flags = both(&site.server.url("org"));
    let zstd = "type=oci,compression=zstd";
    build(&site.world, "a", "type=oci", &words(&flags));
    let (first, other) = build(&site.world, "b", zstd, &words(&flags));
    assert_eq!(other.ran(), Vec::<String>::new());
    assert!(n_compressed(&other) >= 3, "{}", other.stderr);
    // This machine ran nothing, and yet others have its work.
    let (second, taken) = build(&site.world, "c", zstd, &[&site.from()]);
    assert_eq!(n_compressed(&taken), 0, "{}", taken.stderr);
    assert_eq!(second.digest(), first.digest());
}

#[test]
fn what_is_given_is_what_the_flag_says() {
    for (more, n_less) in [
        (",forms=none", 0),
        (",forms=names", 0),
        (",forms=blobs", 3),
        // Layers of results that are not shared stay here, compressed or not.
        (",stages=build", 0),
    ] {
        let site = Site::new();
        let (first, made) = build(&site.world, "a", "type=oci", &[&site.to(more), EPOCH]);
        let (second, taken) = build(&site.world, "b", "type=oci", &[&site.from(), EPOCH]);
        assert_eq!(second.digest(), first.digest());
        let n = n_compressed(&made) - n_compressed(&taken);
        assert_eq!(n, n_less, "{more}");
    }
}

#[test]
fn a_form_that_is_lost_or_changed_is_made_here() {
    let site = Site::new();
    let flags = both(&site.server.url("org"));
    let (first, _) = build(&site.world, "a", "type=oci", &words(&flags));
    let top = first.manifest.layers.last().unwrap().digest.hex();
    for (name, fault) in [
        ("lost", Fault::Status(404)),
        ("flipped", Fault::Flip(40)),
        ("short", Fault::Truncate(50)),
        ("refused", Fault::Status(500)),
    ] {
        let top = top.clone();
        let proxy = Proxy::to(site.server.address(), move |asked| {
            // It is small enough to be one object under its own digest.
            let is_it = asked.method == "GET" && asked.path.ends_with(&top);
            if is_it { fault } else { Fault::Pass }
        });
        let from = format!("--cache-from={}", proxy.url("org"));
        let (image, taken) = build(&site.world, name, "type=oci", &[&from]);
        assert_eq!(taken.ran(), Vec::<String>::new(), "{name}");
        assert_eq!(image.digest(), first.digest(), "{name}");
        assert_eq!(n_compressed(&taken), 1, "{name}: {}", taken.stderr);
        assert!(warnings(&taken).len() <= 1, "{name}: {}", taken.stderr);
    }
}

#[test]
fn what_a_trusted_key_signed_is_used_unread_and_nothing_else_is() {
    let site = Site::new();
    let (key, list) = (site.world.dir().join("key"), site.world.dir().join("list"));
    std::fs::write(&key, PRIVATE).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&list, format!("{PUBLIC} main\n")).unwrap();
    let to = site.to(&format!(",sign={}", key.display()));
    let (first, _) = build(&site.world, "a", "type=oci", &[&to]);
    let trusting = format!("{},trust={}", site.from(), list.display());
    let n_layers = first.n_layers();
    for (machine, from, n_here) in [("careful", &trusting, 1), ("open", &site.from(), n_layers)] {
        let (image, taken) = build(&site.world, machine, "type=oci", &[from]);
        assert_eq!(taken.ran(), Vec::<String>::new(), "{machine}");
        assert_eq!(image.digest(), first.digest(), "{machine}");
        assert_eq!(n_compressed(&taken), 0, "{machine}: {}", taken.stderr);
        assert_eq!(n_plain(&site.world, machine, &image), n_here, "{machine}");
    }
    // What was not read can be had when it is wanted after all.
    let (again, taken) = build(&site.world, "careful", "type=oci", &[&trusting]);
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(again.digest(), first.digest());
    site.world.write("file", "two\n");
    let (late, _) = build(&site.world, "careful", "type=oci", &[&trusting]);
    assert!(late.file("both").starts_with("two\n1\n2\n"));
    // A name keeps its image: the layers are there, whoever signed them.
    site.world.write("file", "one\n");
    let (named, _) = build(&site.world, "named", "type=oci", &[&trusting, "-t=x"]);
    assert_eq!(n_plain(&site.world, "named", &named), n_layers);
}

#[test]
fn who_requires_signatures_reads_or_makes_what_nobody_signed() {
    let site = Site::new();
    let list = site.world.dir().join("list");
    std::fs::write(&list, format!("{PUBLIC} main\n")).unwrap();
    let (first, _) = build(&site.world, "a", "type=oci", &[&site.to(""), EPOCH]);
    let trusting = format!("{},trust={}", site.from(), list.display());
    let (image, made) = build(&site.world, "careful", "type=oci", &[&trusting, EPOCH]);
    assert_eq!(made.cached(), Vec::<String>::new());
    assert!(n_compressed(&made) >= 3, "{}", made.stderr);
    assert_eq!(image.digest(), first.digest());
}

#[test]
fn what_is_compressed_for_a_registry_is_given_too() {
    if !acetate_tests::have("docker-registry") {
        return;
    }
    let site = Site::new();
    let registry = acetate_tests::Server::registry(site.world.dir());
    let output = format!("-otype=registry,name={}/app:1", registry.address);
    let root = crate::shared_cache::root(&site.world, "a");
    let command = site.world.command_in(&root, &[&output, &site.to("")]);
    acetate_tests::Outcome::of(command).ok();
    let (_, taken) = build(&site.world, "b", "type=oci", &[&site.from()]);
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(n_compressed(&taken), 0, "{}", taken.stderr);
}
