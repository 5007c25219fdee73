//! No space left: one clear error, and the next build works.

use acetate_tests::{CacheServer, Layout, Mounted, Outcome, World, needs_root};

/// Builds where there is no room for it, then where there is.
#[track_caller]
fn check(world: &World, mib: u32, words: &[&str]) {
    let mounted = Mounted::tmpfs(&world.dir().join("small"), mib);
    let root = world.dir().join("small/root");
    let dest = world.fresh("dest");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    let build = || Outcome::of(world.command_in(&root, &[&output]));
    build().fails(words);
    assert!(!dest.join("index.json").exists(), "half an image");
    mounted.again("size=200m");
    build().ok();
    assert_eq!(Layout::read(&dest).file("last"), "ok\n");
}

#[test]
fn while_a_step_writes() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN head -c 20000000 /dev/zero > /big && echo ok > /last\n");
    check(&world, 12, &["exit code: 1", ">>> RUN head"]);
}

#[test]
fn while_files_are_copied() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nCOPY big /\nRUN echo ok > /last\n");
    world.write("big", &"x".repeat(20_000_000));
    check(&world, 12, &["o space left on", ">>> COPY big"]);
}

#[test]
fn while_a_layer_is_sealed() {
    if needs_root() {
        return;
    }
    // There is room for the layer, but not for its blob.
    let world =
        World::of("FROM base\nRUN head -c 12000000 /dev/urandom > /big && echo ok > /last\n");
    check(&world, 23, &["o space left on"]);
}

#[test]
fn while_the_base_is_unpacked() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN echo ok > /last\n");
    check(&world, 3, &["o space left on"]);
}

#[test]
fn a_prune_makes_room() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nARG N\nRUN head -c 9000000 /dev/urandom > /big\n");
    let _mounted = Mounted::tmpfs(&world.dir().join("small"), 24);
    let root = world.dir().join("small/root");
    let build = |n: &str| Outcome::of(world.command_in(&root, &[n]));
    build("--build-arg=N=1").ok();
    let second = build("--build-arg=N=2");
    let third = build("--build-arg=N=3");
    assert!(
        second.code == 1 || third.code == 1,
        "the disk is larger than thought"
    );
    let mut prune = acetate_tests::acetate();
    prune
        .arg("--root")
        .arg(&root)
        .args(["prune", "--all", "--force"]);
    Outcome::of(prune).ok();
    build("--build-arg=N=4").ok();
}

#[test]
fn where_the_output_goes() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN head -c 9000000 /dev/urandom > /big\n");
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 4);
    let small = |what: &str| {
        format!(
            "-otype={what},dest={}/{}",
            world.dir().join("small").display(),
            what.replace(',', "-")
        )
    };
    for what in ["oci", "oci,tar=false", "tar", "docker"] {
        world
            .build(&[&small(what)])
            .fails(&["o space left on", "small"]);
    }
    mounted.again("size=100m");
    world.build(&[&small("oci,tar=false")]).ok();
    Layout::read(&world.dir().join("small/oci-tar=false"));
}

#[test]
fn while_a_hit_of_a_shared_cache_comes() {
    if needs_root() {
        return;
    }
    let world =
        World::of("FROM base\nRUN head -c 20000000 /dev/urandom > /big && echo ok > /last\n");
    let server = CacheServer::open(&world.dir().join("server"));
    let to = format!("--cache-to=type=http,url={}", server.url("org"));
    let made = world.image(&[&to]);
    let from = format!("--cache-from={}", server.url("org"));
    // There is room for the base, and for a part of the layer only.
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 12);
    let root = world.dir().join("small/root");
    let dest = world.fresh("dest");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let build = || Outcome::of(world.command_in(&root, &[&output, &from]));
    build().fails(&["o space left on"]);
    assert!(!dest.join("index.json").exists(), "half an image");
    mounted.again("size=200m");
    let after = build().ok();
    assert_eq!(after.ran(), Vec::<String>::new(), "it is taken after all");
    assert_eq!(Layout::read(&dest).digest(), made.digest());
}
