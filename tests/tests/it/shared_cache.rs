//! A cache that machines share: what one made, another takes.

use acetate_tests::{CacheServer, Layout, Outcome, World, is_root, tool};
use std::path::{Path, PathBuf};

/// Two stages, of which the second takes one file of the first.
pub(crate) const TWO_STAGES: &str = "
    //- Dockerfile
    FROM base AS build
    COPY source /source
    RUN head -c 12000000 /dev/urandom > /large; cat /source > /made
    FROM base
    COPY --from=build /made /made
    COPY late /late
    RUN cat /made /late > /both; cat /proc/sys/kernel/random/uuid > /id
    //- source
    one
    //- late
    l
";

/// A build on a machine of its own, with the same flags for what it takes and gives.
pub(crate) fn build_on(world: &World, machine: &str, flags: &[&str]) -> (Layout, Outcome) {
    let dest = world.fresh("image");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let mut args = vec![output.as_str()];
    args.extend(flags);
    let mut command = world.command_in(&root(world, machine), &args);
    let outcome = Outcome::read(&command.output().expect("acetate starts")).ok();
    (Layout::read(&dest), outcome)
}

pub(crate) fn root(world: &World, machine: &str) -> PathBuf {
    world.dir().join(format!("machine-{machine}"))
}

/// The flags that take everything from a cache and give everything to it.
pub(crate) fn both(url: &str) -> [String; 2] {
    [
        format!("--cache-from={url}"),
        format!("--cache-to=type=http,url={url},mode=max"),
    ]
}

/// The lines that warn.
pub(crate) fn warnings(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.stderr.lines().filter(|line| line.contains("WARN"));
    lines
        .filter(|line| !line.contains("no output was asked for"))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

fn server(world: &World) -> CacheServer {
    CacheServer::open(&world.dir().join("server"))
}

/// How many bytes of blobs a machine holds.
fn blob_bytes(root: &Path) -> u64 {
    let files = acetate_tests::files_below(&root.join("blobs"));
    let sizes = files
        .iter()
        .filter_map(|file| std::fs::metadata(root.join("blobs").join(file)).ok());
    sizes.map(|metadata| metadata.len()).sum()
}

#[test]
fn a_fresh_machine_takes_all_and_fetches_only_the_image() {
    let world = World::new(TWO_STAGES);
    let server = server(&world);
    let flags = both(&server.url("org/repo"));
    let (first, made) = build_on(&world, "a", &words(&flags));
    assert_eq!(made.cached(), Vec::<String>::new());
    let (second, taken) = build_on(&world, "b", &words(&flags));
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(second.digest(), first.digest());
    assert_eq!(warnings(&taken), Vec::<String>::new());
    // The large file of the first stage stayed where it was.
    let bytes = blob_bytes(&root(&world, "b"));
    assert!(bytes < 6_000_000, "{bytes} bytes came");
}

#[test]
fn what_changed_late_runs_alone() {
    let world = World::new(TWO_STAGES);
    let server = server(&world);
    let flags = both(&server.url("org"));
    build_on(&world, "a", &words(&flags));
    world.write("late", "other\n");
    let (image, outcome) = build_on(&world, "b", &words(&flags));
    let ran = outcome.ran();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert_eq!(ran[0], "COPY late /late");
    assert!(ran[1].starts_with("RUN cat /made"), "{ran:?}");
    assert_eq!(image.file("both"), "one\nother\n");
}

#[test]
fn an_equal_result_of_a_step_that_ran_again_cuts_off_what_follows() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS build
        COPY source /source
        RUN wc -c < /source > /size
        FROM base
        COPY --from=build /size /size
        RUN cat /proc/sys/kernel/random/uuid > /id
        //- source
        one
    ",
    );
    let server = server(&world);
    let flags = both(&server.url("org"));
    let (first, _) = build_on(&world, "a", &words(&flags));
    world.write("source", "two\n");
    let (second, outcome) = build_on(&world, "b", &words(&flags));
    assert_eq!(
        outcome.ran(),
        ["COPY source /source", "RUN wc -c < /source > /size"]
    );
    assert_eq!(second.file("id"), first.file("id"));
    // What was found by content is known by its new definition from then on.
    let (third, outcome) = build_on(&world, "c", &words(&flags));
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(third.digest(), second.digest());
}

#[test]
fn min_gives_the_image_and_max_gives_all() {
    let world = World::new(TWO_STAGES);
    let server = server(&world);
    let url = server.url("min");
    let to = format!("--cache-to=type=http,url={url},mode=min");
    let from = format!("--cache-from={url}");
    build_on(&world, "a", &[&to]);
    let kept = server
        .files("cas")
        .into_iter()
        .map(|file| std::fs::metadata(file).unwrap().len());
    assert!(
        kept.sum::<u64>() < 1_000_000,
        "the builder's layer is not in the image"
    );
    let (_, outcome) = build_on(&world, "b", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    world.write("late", "other\n");
    let (_, outcome) = build_on(&world, "c", &[&from]);
    let copies = |outcome: &Outcome| {
        outcome
            .ran()
            .iter()
            .filter(|s| s.contains("/made /made"))
            .count()
    };
    assert_eq!(copies(&outcome), 0, "{:?}", outcome.ran());
}

#[test]
fn what_a_machine_has_already_is_given_too() {
    let world = World::new(TWO_STAGES);
    let (first, _) = build_on(&world, "a", &[]);
    let server = server(&world);
    let flags = both(&server.url("org"));
    let (_, again) = build_on(&world, "a", &words(&flags));
    assert_eq!(again.ran(), Vec::<String>::new());
    let (second, outcome) = build_on(&world, "b", &words(&flags));
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(second.digest(), first.digest());
    // And what no step of that build needed.
    world.write("late", "other\n");
    let (_, outcome) = build_on(&world, "c", &words(&flags));
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
}

#[test]
fn the_first_cache_that_has_it_gives_it_and_the_next_build_asks_nobody() {
    let world = World::new(TWO_STAGES);
    let server = server(&world);
    let (one, two) = (server.url("one"), server.url("two"));
    let to = |url: &str| format!("--cache-to=type=http,url={url},mode=max");
    let (first, _) = build_on(&world, "a", &[&to(&one)]);
    let (second, _) = build_on(&world, "b", &[&to(&two)]);
    assert_ne!(first.file("id"), second.file("id"));
    let from = |url: &str| format!("--cache-from={url}");
    let (image, _) = build_on(&world, "c", &[&from(&two), &from(&one)]);
    assert_eq!(image.digest(), second.digest());
    let (image, _) = build_on(&world, "d", &[&from(&one), &from(&two)]);
    assert_eq!(image.digest(), first.digest());
    drop(server);
    let (again, outcome) = build_on(&world, "d", &[]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(again.digest(), first.digest());
}

#[test]
fn no_cache_replaces_what_is_shared() {
    let world = World::new(TWO_STAGES);
    let server = server(&world);
    let flags = both(&server.url("org"));
    let (old, _) = build_on(&world, "a", &words(&flags));
    let mut forced = words(&flags);
    forced.push("--no-cache");
    let (new, outcome) = build_on(&world, "a", &forced);
    assert_eq!(outcome.cached(), Vec::<String>::new());
    assert_ne!(new.file("id"), old.file("id"));
    for machine in ["a", "b"] {
        let (image, outcome) = build_on(&world, machine, &words(&flags));
        assert_eq!(outcome.ran(), Vec::<String>::new());
        assert_eq!(image.digest(), new.digest(), "machine {machine}");
    }
}

#[test]
fn a_forced_builder_stage_reaches_the_image() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS build
        RUN cat /proc/sys/kernel/random/uuid > /made
        FROM base
        COPY --from=build /made /made
        RUN cat /made > /copy
    ",
    );
    let server = server(&world);
    let flags = both(&server.url("org"));
    let (old, _) = build_on(&world, "a", &words(&flags));
    let mut forced = words(&flags);
    forced.push("--no-cache-filter=build");
    let (new, _) = build_on(&world, "b", &forced);
    assert_ne!(new.file("made"), old.file("made"));
    assert_eq!(new.file("copy"), new.file("made"));
    let (image, _) = build_on(&world, "c", &words(&flags));
    assert_eq!(image.digest(), new.digest());
}

#[test]
fn what_failed_later_leaves_what_went_well() {
    let world = World::of(
        "
        FROM base
        RUN cat /proc/sys/kernel/random/uuid > /made
        RUN test -e /absent
    ",
    );
    let server = server(&world);
    let flags = both(&server.url("org"));
    let mut command = world.command_in(&root(&world, "a"), &words(&flags));
    let failed = Outcome::read(&command.output().unwrap());
    assert_eq!(failed.code, 1);
    let mut command = world.command_in(&root(&world, "b"), &words(&flags));
    let failed = Outcome::read(&command.output().unwrap());
    assert_eq!(failed.cached().len(), 1, "{:?}", failed.steps);
}

#[test]
fn only_the_stages_and_the_costs_that_are_named_are_given() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS deps
        RUN sleep 0.4; echo deps > /deps
        FROM base AS build
        RUN sleep 0.4; echo build > /build
        RUN echo quick > /quick
        FROM base
        COPY --from=deps /deps /
        COPY --from=build /build /quick /
    ",
    );
    let server = server(&world);
    let taken = |name: &str, more: &str| {
        let url = server.url(name);
        let to = format!("--cache-to=type=http,url={url},mode=max,{more}");
        build_on(&world, &format!("giver-{name}"), &[&to]);
        let from = format!("--cache-from={url}");
        build_on(&world, &format!("taker-{name}"), &[&from])
            .1
            .cached()
    };
    assert_eq!(
        taken("stages", "stages=DEPS"),
        ["RUN sleep 0.4; echo deps > /deps"]
    );
    assert_eq!(
        taken("costs", "min-cost=300ms"),
        [
            "RUN sleep 0.4; echo build > /build",
            "RUN sleep 0.4; echo deps > /deps"
        ]
    );
}

#[test]
fn checkouts_of_two_users_are_one_context() {
    let fixture = "
        //- Dockerfile
        FROM base
        COPY src/ /src/
        RUN ls -lR /src > /list; cat /proc/sys/kernel/random/uuid > /id
        //- src/a.sh mode=755
        echo a
        //- src/deep/b.txt
        b
    ";
    let first = World::new(fixture);
    let server = server(&first);
    let flags = both(&server.url("org"));
    let (made, _) = build_on(&first, "a", &words(&flags));
    // Another directory, other times, another order of making, another owner.
    let second = World::new(fixture);
    tool(
        "touch",
        &[
            "-d",
            "@1000000000",
            &second.context().join("src/a.sh").display().to_string(),
        ],
    );
    if is_root() {
        tool(
            "chown",
            &["-R", "12:34", &second.context().display().to_string()],
        );
    }
    let (taken, outcome) = build_on(&second, "b", &words(&flags));
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(taken.digest(), made.digest());
    // Another umask makes other modes, which count unless git's are asked for.
    let git = [&words(&flags)[..], &["--context-modes=git"]].concat();
    let (made, _) = build_on(&first, "c", &git);
    second.chmod("src/a.sh", 0o775);
    second.chmod("src/deep/b.txt", 0o664);
    second.chmod("src/deep", 0o775);
    let (taken, outcome) = build_on(&second, "d", &git);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(taken.digest(), made.digest());
    let (_, outcome) = build_on(&second, "e", &words(&flags));
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
}
