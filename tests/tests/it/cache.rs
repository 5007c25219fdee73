//! What is carried out again, and what is not.

use acetate_tests::{Outcome, World};

const WORLD: &str = "
    //- Dockerfile
    FROM base AS build
    COPY src /src
    RUN cat /src/* > /built; cat /proc/sys/kernel/random/uuid > /marker-build
    FROM base AS other
    COPY other /
    RUN cat /other; cat /proc/sys/kernel/random/uuid > /marker-other
    FROM base
    COPY --from=build /built /marker-build /
    COPY --from=other /marker-other /
    //- src/a
    a
    //- src/b
    b
    //- other
    o
    //- unrelated
    u
";

/// The steps that a change of the world makes run again, each by its first words.
#[track_caller]
fn runs(world: &World) -> String {
    brief(&world.build(&[]).ok())
}

fn brief(outcome: &Outcome) -> String {
    let brief = |name: &String| {
        name.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut all: Vec<String> = outcome.ran().iter().map(brief).collect();
    all.dedup();
    all.join(", ")
}

const BUILD_ONLY: &str = "COPY --from=build, COPY --from=other, COPY src, RUN cat";

#[test]
fn a_second_build_runs_nothing_and_is_the_same_image() {
    let world = World::new(WORLD);
    let (first, cold) = world.image_and_outcome(&[]);
    let (second, warm) = world.image_and_outcome(&[]);
    assert_eq!(cold.ran().len(), 6);
    assert_eq!(warm.ran(), Vec::<String>::new());
    assert_eq!(first.digest(), second.digest());
    // Without the steps of the stages, which nobody needs to look at, nothing is left to load.
    assert_eq!(warm.cached().len(), 6, "{:?}", warm.cached());
}

#[test]
fn touching_is_no_change_but_a_mode_is() {
    let world = World::new(WORLD);
    world.build(&[]).ok();
    let file = std::fs::File::options()
        .write(true)
        .open(world.context().join("src/a"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(runs(&world), "");
    world.chmod("src/a", 0o755);
    assert_eq!(runs(&world), BUILD_ONLY);
}

#[test]
fn an_edit_reruns_what_depends_on_it_and_nothing_else() {
    let world = World::new(WORLD);
    let before = world.image(&[]);
    world.write("src/a", "A\n");
    let (after, outcome) = world.image_and_outcome(&[]);
    assert_eq!(brief(&outcome), BUILD_ONLY);
    assert_ne!(before.file("marker-build"), after.file("marker-build"));
    assert_eq!(before.file("marker-other"), after.file("marker-other"));
    assert_eq!(after.file("built"), "A\nb\n");
}

#[test]
fn going_back_is_cached() {
    let world = World::new(WORLD);
    let before = world.image(&[]);
    world.write("src/a", "A\n");
    world.image(&[]);
    world.write("src/a", "a\n");
    let (again, outcome) = world.image_and_outcome(&[]);
    assert_eq!(brief(&outcome), "");
    assert_eq!(again.digest(), before.digest());
}

#[test]
fn a_change_of_the_same_size_and_time_is_noticed() {
    let world = World::new(WORLD);
    let path = world.context().join("src/a");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    world.build(&[]).ok();
    std::fs::write(&path, "c\n").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(runs(&world), BUILD_ONLY);
}

#[test]
fn a_renamed_file_is_a_change_and_an_unrelated_one_is_none() {
    let world = World::new(WORLD);
    world.build(&[]).ok();
    world.write("unrelated", "changed");
    world.write("new", "new");
    assert_eq!(runs(&world), "");
    let at = |name: &str| world.context().join(name);
    std::fs::rename(at("src/a"), at("src/z")).unwrap();
    assert_eq!(runs(&world), BUILD_ONLY);
}

#[test]
fn the_same_file_elsewhere_is_the_same_file() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG DIR=one
        COPY $DIR/f /
        //- one/f
        x
        //- two/f
        x
    ",
    );
    world.build(&[]).ok();
    assert!(world.build(&["--build-arg=DIR=two"]).ok().ran().is_empty());
}

#[test]
fn comments_names_and_positions_change_nothing() {
    let world = World::of("FROM base AS one\nRUN echo 1 > /1\nFROM base\nCOPY --from=one /1 /\n");
    world.build(&[]).ok();
    world.dockerfile("# a comment\n\nFROM base AS two\nrun echo 1 > /1\n\n# another\nFROM base\nCOPY --from=two /1 /\n");
    assert_eq!(runs(&world), "");
}

#[test]
fn metadata_does_not_touch_copies_but_env_touches_run() {
    let text = |meta: &str| format!("FROM base\n{meta}\nCOPY f /\nRUN cat /f\n");
    let world = World::of(&text(""));
    world.write("f", "f");
    world.build(&[]).ok();
    for meta in [
        "LABEL a=b",
        "CMD x",
        "EXPOSE 80",
        "VOLUME /v",
        "ENTRYPOINT [\"e\"]",
        "STOPSIGNAL 9",
    ] {
        world.dockerfile(&text(meta));
        assert_eq!(runs(&world), "", "{meta}");
    }
    world.dockerfile(&text("ENV A=1"));
    assert_eq!(runs(&world), "RUN cat");
}

#[test]
fn an_argument_costs_from_its_first_run() {
    let world = World::of(
        "FROM base\nRUN echo first > /1\nARG A=1\nCOPY Dockerfile /\nRUN echo second > /2\n",
    );
    world.build(&[]).ok();
    let outcome = world.build(&["--build-arg=A=2"]).ok();
    assert_eq!(outcome.ran(), ["RUN echo second > /2"]);
}

#[test]
fn addresses_and_proxies_are_no_part_of_a_step_and_host_names_are() {
    let world = World::of("FROM base\nRUN echo x > /x\n");
    world.build(&["--add-host=a:1.1.1.1"]).ok();
    let same = world
        .build(&["--add-host=a:2.2.2.2", "--build-arg=http_proxy=http://p"])
        .ok();
    assert!(same.ran().is_empty());
    assert_eq!(world.build(&["--add-host=b:1.1.1.1"]).ok().ran().len(), 1);
    assert_eq!(world.build(&["--network=none"]).ok().ran().len(), 1);
}

#[test]
fn a_step_with_an_equal_outcome_lets_what_follows_be_cached() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS build
        COPY src /src
        RUN head -1 /src > /first
        FROM base AS use
        COPY --from=build /first /
        RUN cat /first; cat /proc/sys/kernel/random/uuid > /marker
        //- src
        one
        two
    ",
    );
    let before = world.image(&[]);
    world.write("src", "one\nchanged\n");
    let (after, outcome) = world.image_and_outcome(&[]);
    assert_eq!(
        outcome.ran(),
        ["COPY src /src", "RUN head -1 /src > /first"]
    );
    assert_eq!(before.file("marker"), after.file("marker"));
}

#[test]
fn equal_instructions_of_two_stages_run_once() {
    let world = World::of(
        "
        FROM base AS a
        RUN cat /proc/sys/kernel/random/uuid > /u
        FROM base AS b
        RUN cat /proc/sys/kernel/random/uuid > /u
        FROM scratch
        COPY --from=a /u /a
        COPY --from=b /u /b
    ",
    );
    let (image, outcome) = world.image_and_outcome(&[]);
    assert_eq!(image.file("a"), image.file("b"));
    assert_eq!(
        outcome
            .ran()
            .iter()
            .filter(|name| name.starts_with("RUN"))
            .count(),
        1
    );
}

#[test]
fn a_failed_step_is_tried_again_and_what_was_done_is_kept() {
    let world = World::of("FROM base\nRUN echo 1 > /1\nCOPY f /\nRUN grep -q good /f\n");
    world.write("f", "bad");
    world.build(&[]).fails(&["exit code: 1"]);
    assert_eq!(
        world.build(&[]).fails(&["exit code: 1"]).ran(),
        Vec::<String>::new()
    );
    world.write("f", "good");
    assert_eq!(
        world.build(&[]).ok().ran(),
        ["COPY f /", "RUN grep -q good /f"]
    );
}

#[test]
fn another_base_is_another_build() {
    let world = World::of("FROM base\nRUN echo 1 > /1\n");
    let own = world.image(&[]);
    let context = format!("--build-context=base=oci-layout://{}", own.dir.display());
    assert_eq!(world.build(&[&context]).ok().ran().len(), 1);
}

#[test]
fn exporting_later_needs_no_step_again() {
    let world = World::new(WORLD);
    world.build(&["-otype=cacheonly"]).ok();
    let (_, outcome) = world.image_and_outcome(&[]);
    assert!(outcome.ran().is_empty());
}
