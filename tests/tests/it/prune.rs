//! `acetate du` and `acetate prune`.

use acetate_tests::{Running, World, mounts_of};
use serde_json::Value;
use std::path::PathBuf;

const DOCKERFILE: &str = "FROM base AS a\nARG N=0\nRUN head -c 100000 /dev/urandom > /junk; echo $N > /n\nFROM base\nCOPY --from=a /n /\nRUN cat /n > /m\n";

#[test]
fn named_images_are_kept_and_the_rest_goes() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tkept"]).ok();
    world.build(&["--build-arg=N=1"]).ok();
    let before: Value =
        serde_json::from_str(&world.acetate(&["du", "--json"]).ok().stdout).unwrap();
    world.acetate(&["prune", "--force"]).ok();
    let after: Value = serde_json::from_str(&world.acetate(&["du", "--json"]).ok().stdout).unwrap();
    assert_ne!(before, after);
    assert_eq!(
        world.acetate(&["run", "kept", "cat", "/m"]).ok().stdout,
        "0\n"
    );
    let image = world.image(&[]);
    assert_eq!(image.file("m"), "0\n");
}

#[test]
fn everything_goes_and_a_build_works_afterwards() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tx"]).ok();
    world.image(&[]);
    let text = world.acetate(&["prune", "--all", "--force"]).ok().stdout;
    assert!(!text.is_empty());
    assert_eq!(world.stored(), Vec::<PathBuf>::new());
    assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
    world
        .acetate(&["run", "x", "true"])
        .fails(&["no image is named `x:latest`"]);
    let (image, outcome) = world.image_and_outcome(&["-tx"]);
    assert_eq!(outcome.ran().len(), 3);
    assert_eq!(image.file("m"), "0\n");
    world.acetate(&["run", "x", "true"]).ok();
}

#[test]
fn the_numbers_are_exact() {
    let world = World::of("FROM base\nRUN head -c 1000000 /dev/urandom > /big\n");
    let size = || -> u64 {
        let json: Value =
            serde_json::from_str(&world.acetate(&["du", "--json"]).ok().stdout).unwrap();
        json["total_bytes"]
            .as_u64()
            .or_else(|| json["total"].as_u64())
            .unwrap_or_else(|| panic!("no total in {json}"))
    };
    let empty = size();
    world.build(&["-otype=cacheonly"]).ok();
    let full = size();
    assert!(full >= empty + 1_000_000, "{empty} {full}");
    assert!(full < empty + 6_000_000, "{empty} {full}");
    world.acetate(&["prune", "-af"]).ok();
    // What is left is the empty index.
    assert!(size() < empty + 500_000, "{}", size());
    assert!(!world.acetate(&["du"]).ok().stdout.is_empty());
}

#[test]
fn nobody_is_asked_where_nobody_can_answer() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tx"]).ok();
    world.acetate(&["prune", "--all"]).fails(&["--force"]);
    world.acetate(&["run", "x", "true"]).ok();
}

#[test]
fn a_build_does_not_mind_a_prune_beside_it() {
    let world = World::of(
        "
        FROM base AS a
        RUN echo 1 > /1; sleep 0.2
        RUN echo 2 > /2; sleep 0.2
        FROM base
        COPY --from=a / /a
        RUN sleep 0.2; cat /a/1 /a/2 > /out
    ",
    );
    let dest = world.fresh("dest");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    for _ in 0..2 {
        let running = Running::start(world.command(&[&output, "--no-cache", "-tx"]));
        for _ in 0..6 {
            world.acetate(&["prune", "--all", "--force"]).ok();
        }
        running.wait().ok();
    }
    assert_eq!(acetate_tests::Layout::read(&dest).file("out"), "1\n2\n");
}

#[test]
fn builds_that_are_cached_do_not_mind_a_prune_beside_them() {
    let world = World::of(DOCKERFILE);
    world.build(&[]).ok();
    for _ in 0..4 {
        let builds: Vec<Running> = (0..2)
            .map(|n| {
                let dest = world.fresh(&format!("dest{n}"));
                Running::start(
                    world.command(&[&format!("-otype=oci,tar=false,dest={}", dest.display())]),
                )
            })
            .collect();
        world.acetate(&["prune", "--all", "--force"]).ok();
        for build in builds {
            build.wait().ok();
        }
    }
}

#[test]
fn an_empty_directory_has_nothing_to_remove() {
    let world = World::new("");
    world.acetate(&["prune", "--all", "--force"]).ok();
    world.acetate(&["du"]).ok();
}
