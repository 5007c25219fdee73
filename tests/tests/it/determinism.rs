//! The same inputs and an epoch make the same digest, whoever builds, wherever.

use acetate_tests::{Layout, Outcome, World};
use std::path::Path;

const WORLD: &str = "
    //- Dockerfile
    FROM base AS build
    COPY src /src
    RUN mkdir -p /out/b /out/a && cat /src/one /src/deep/er/three > /out/a/x && ln /out/a/x /out/b/y && touch -d @5 /out/a/x /out/a /out/b /out
    FROM base
    WORKDIR /app/data
    COPY --from=build /out /out
    COPY --chown=1:2 src dest/
    ADD --chmod=600 <<EOF /text
    hello
    EOF
    LABEL a=b
    //- src/one
    1
    //- src/two mode=755
    2
    //- src/deep/er/three
    3
";

const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=1700000000";

/// Builds as somebody else would.
#[track_caller]
fn elsewhere(world: &World, name: &str, umask: &str, threads: &str, cwd: &Path) -> Layout {
    let dest = world.fresh("elsewhere");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let inner = world.command_in(&world.dir().join(name), &[&output, EPOCH]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "umask $0; exec \"$@\"", umask])
        .arg(inner.get_program())
        .args(inner.get_args());
    command
        .env("RAYON_NUM_THREADS", threads)
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "C")
        .current_dir(cwd);
    let output = command.output().expect("the test's own files");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Layout::read(&dest)
}

#[test]
fn nothing_of_the_builder_is_in_the_digest() {
    let world = World::new(WORLD);
    let one = elsewhere(&world, "one", "022", "1", Path::new("/"));
    let two = elsewhere(&world, "two", "077", "4", world.dir());
    for n in 0..one.n_layers() {
        assert_eq!(one.listing(n), two.listing(n), "layer {n}");
        assert!(
            one.items(n).iter().all(|item| item.mtime <= 1_700_000_000),
            "layer {n}"
        );
    }
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn layers_do_not_depend_on_when_the_epoch_is_given() {
    let world = World::new(WORLD);
    world.build(&[]).ok();
    let after = world.image(&[EPOCH]);
    let fresh = elsewhere(&world, "fresh", "022", "2", Path::new("/tmp"));
    assert_eq!(after.config.history, fresh.config.history);
}

#[test]
fn compression_is_deterministic() {
    let world = World::new(WORLD);
    for compression in ["gzip", "zstd"] {
        let archive = |threads: &str, name: &str| {
            let dest = world.fresh(name);
            let output = format!(
                "--output=type=oci,dest={},compression={compression}",
                dest.display()
            );
            let mut command = world.command(&[&output, EPOCH]);
            command.env("RAYON_NUM_THREADS", threads);
            Outcome::of(command).ok();
            std::fs::read(dest).unwrap()
        };
        assert!(archive("1", "one") == archive("4", "four"), "{compression}");
    }
}

#[test]
fn both_ways_to_run_steps_agree() {
    let world = World::new(WORLD);
    let native = world.image_in(&world.dir().join("native"), &[EPOCH]);
    let oci = world.image_in(&world.dir().join("oci"), &[EPOCH, "--isolation=oci"]);
    for n in 0..native.n_layers() {
        assert_eq!(native.listing(n), oci.listing(n), "layer {n}");
    }
    assert_eq!(native.digest(), oci.digest());
}

#[test]
fn an_epoch_that_is_none_is_refused() {
    let world = World::new(WORLD);
    world
        .build(&["--build-arg=SOURCE_DATE_EPOCH=soon"])
        .fails(&["invalid SOURCE_DATE_EPOCH: soon"]);
    let mut command = world.command(&[]);
    command.env("SOURCE_DATE_EPOCH", "-1");
    Outcome::of(command).fails(&["invalid SOURCE_DATE_EPOCH: -1"]);
}
