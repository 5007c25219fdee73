//! `--no-cache` and `--no-cache-filter`: what is forced runs, and nothing above it is stale.

use acetate_tests::{Layout, World};

const WORLD: &str = "
    //- Dockerfile
    FROM base AS deps
    RUN cat /proc/sys/kernel/random/uuid > /deps
    FROM base AS build
    COPY --from=deps /deps /
    RUN cat /deps > /build; cat /proc/sys/kernel/random/uuid >> /build
    FROM base AS other
    RUN cat /proc/sys/kernel/random/uuid > /other
    FROM base
    COPY --from=build /build /
    COPY --from=deps /deps /
    COPY --from=other /other /
    RUN cat /build > /last
";

/// The image is made of results of one and the same build.
#[track_caller]
fn consistent(image: &Layout) {
    let deps = image.file("deps");
    assert!(
        image.file("build").starts_with(&deps),
        "an old build beside new deps"
    );
    assert_eq!(image.file("last"), image.file("build"));
}

#[test]
fn without_a_cache_everything_runs() {
    let world = World::new(WORLD);
    let (first, cold) = world.image_and_outcome(&[]);
    let (second, forced) = world.image_and_outcome(&["--no-cache"]);
    assert_eq!(cold.ran(), forced.ran());
    for name in ["deps", "build", "other"] {
        assert_ne!(first.file(name), second.file(name), "{name}");
    }
    consistent(&second);
    // What was forced is the newest result, and is used from now on.
    let (third, warm) = world.image_and_outcome(&[]);
    assert!(warm.ran().is_empty(), "{:?}", warm.ran());
    consistent(&third);
    assert_eq!(third.digest(), second.digest());
}

#[test]
fn a_filter_forces_its_stage_and_what_is_above() {
    let world = World::new(WORLD);
    let first = world.image(&[]);
    let (second, outcome) = world.image_and_outcome(&["--no-cache-filter=DEPS"]);
    consistent(&second);
    assert_ne!(first.file("deps"), second.file("deps"));
    assert_ne!(first.file("build"), second.file("build"));
    assert_eq!(first.file("other"), second.file("other"));
    assert!(
        !outcome.ran().iter().any(|name| name.ends_with("> /other")),
        "{:?}",
        outcome.ran()
    );
    let (third, warm) = world.image_and_outcome(&[]);
    consistent(&third);
    assert!(warm.ran().is_empty(), "{:?}", warm.ran());
}

#[test]
fn a_filter_that_changes_nothing_stops_where_content_is_equal() {
    let world = World::of(
        "
        FROM base AS deps
        RUN echo same > /deps
        FROM base
        COPY --from=deps /deps /
        RUN cat /proc/sys/kernel/random/uuid > /marker
    ",
    );
    let first = world.image(&[]);
    let (second, outcome) = world.image_and_outcome(&["--no-cache-filter", "deps"]);
    assert_eq!(outcome.ran(), ["RUN echo same > /deps"]);
    assert_eq!(first.file("marker"), second.file("marker"));
}

#[test]
fn filters_are_a_list() {
    let world = World::new(WORLD);
    let first = world.image(&[]);
    let second = world.image(&["--no-cache-filter=deps,other"]);
    assert_ne!(first.file("deps"), second.file("deps"));
    assert_ne!(first.file("other"), second.file("other"));
    consistent(&second);
}

#[test]
fn a_forced_stage_far_below_is_never_mixed_with_old_results() {
    let mut text = "FROM base AS s0\nRUN cat /proc/sys/kernel/random/uuid > /id\n".to_owned();
    for n in 1..6 {
        text += &format!(
            "FROM base AS s{n}\nCOPY --from=s{} /id /\nRUN cat /id > /seen{n}\n",
            n - 1
        );
    }
    text += "FROM scratch\nCOPY --from=s0 /id /id\nCOPY --from=s5 /id /seen5 /top/\n";
    let world = World::of(&text);
    for args in [
        &[][..],
        &["--no-cache-filter=s0"],
        &[],
        &["--no-cache-filter=s3"],
        &["--no-cache"],
    ] {
        let image = world.image(args);
        assert_eq!(image.file("id"), image.file("top/id"), "{args:?}");
        assert_eq!(image.file("id"), image.file("top/seen5"), "{args:?}");
    }
}
