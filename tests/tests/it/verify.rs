//! `acetate verify`: what is reproducible passes, and what is not is named by path.

use acetate_tests::{World, needs_root};
use serde_json::Value;

#[test]
fn with_a_time_two_builds_are_equal() {
    if needs_root() {
        return;
    }
    let world = World::of(
        "
        FROM base
        RUN mkdir -p /made/deep && date > /dev/null && echo text > /made/deep/file
        COPY Dockerfile /copied
        WORKDIR /work
        ENV A=1
        ",
    );
    let arg = "--build-arg=SOURCE_DATE_EPOCH=1700000000";
    let outcome = world.verify(&[arg]).ok();
    assert!(
        outcome.stdout.contains("reproducible, "),
        "{}",
        outcome.stdout
    );
    // The second build did not take the results of the first.
    assert!(outcome.ran().len() >= 2, "{:?}", outcome.steps);
}

#[test]
fn what_differs_is_told_by_path() {
    if needs_root() {
        return;
    }
    let world = World::of(
        "
        FROM base
        RUN head -c 100 /dev/urandom > /random && echo same > /same
        RUN touch /mine && if [ -e /dev/shm ]; then cat /proc/sys/kernel/random/uuid > /id; fi
        ",
    );
    let arg = "--build-arg=SOURCE_DATE_EPOCH=1700000000";
    let outcome = world.verify(&[arg, "--json"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["reproducible"], false);
    let layers = told["platforms"][0]["layers"].as_array().unwrap();
    let paths: Vec<(&str, &str)> = layers
        .iter()
        .flat_map(|layer| layer["differences"].as_array().unwrap())
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap();
            (text("path"), text("difference"))
        })
        .collect();
    assert_eq!(
        paths,
        [
            ("random", "other content, 100 bytes"),
            ("id", "other content, 37 bytes")
        ]
    );
}

#[test]
fn without_a_time_the_hint_says_how_to_give_one() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN echo text > /file\n");
    let outcome = world.verify(&[]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("file: other time"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.contains("SOURCE_DATE_EPOCH=0"),
        "{}",
        outcome.stdout
    );
}
