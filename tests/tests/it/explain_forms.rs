//! The forms in which reasons are told: lines, JSON, metadata; and what is written meanwhile.

use acetate_tests::{World, have, tool};
use serde_json::Value;

fn changed() -> World {
    let world = World::of("FROM base\nARG A=1\nRUN echo $A\n");
    world.build(&[]).ok();
    world
}

const LINE: &str =
    "Dockerfile:3: [2/2] RUN echo $A: `ARG A`: was 1, is 2 (nearest record: local)\n";

#[test]
fn lines_for_people() {
    let world = changed();
    let asked = world.explain(&["--progress=quiet", "--build-arg=A=2"]).ok();
    assert_eq!(
        asked.stdout,
        format!("{LINE}1 steps would run, 0 are cached\n")
    );
    assert_eq!(asked.stderr, "");
    let built = world
        .build(&["--progress=plain", "--explain", "--build-arg=A=2"])
        .ok();
    assert!(
        built.stderr.contains(&format!("\n{LINE}")),
        "{}",
        built.stderr
    );
    let asked = world.explain(&["--progress=quiet", "--build-arg=A=2"]).ok();
    assert_eq!(asked.stdout, "nothing would run: 1 steps are cached\n");
    let built = world
        .build(&["--progress=plain", "--explain", "--build-arg=A=2"])
        .ok();
    assert!(
        built
            .stderr
            .contains("no step ran: all of them are cached\n"),
        "{}",
        built.stderr
    );
    // Nobody asked.
    let built = world.build(&["--progress=plain", "--build-arg=A=3"]).ok();
    assert!(!built.stderr.contains("was 2"), "{}", built.stderr);
    let built = world
        .build(&["--quiet", "--explain", "--build-arg=A=4"])
        .ok();
    assert_eq!(built.stderr, "");
}

#[test]
fn objects_for_programs() {
    let world = changed();
    let asked = world.explain(&["--json", "--build-arg=A=2"]).ok();
    let answer: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(answer["cached"], 0);
    let step = &answer["would_run"][0];
    assert_eq!(step["origin"]["first_line"], 3);
    assert_eq!(step["nearest_record"], "local");
    assert_eq!(step["reason"]["kind"], "differs");
    let difference = &step["reason"]["differences"][0]["variable"];
    assert_eq!(difference["name"], "A");
    assert_eq!(difference["change"]["then"]["plain"], "1");
    let file = world.fresh("metadata");
    let flag = format!("--metadata-file={}", file.display());
    let built = world.build(&["--explain", "--build-arg=A=2", &flag]).ok();
    assert_eq!(built.explained, ["3 RUN echo $A: `ARG A`: was 1, is 2"]);
    let metadata: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(&metadata["acetate.explanations"][0], step);
    world.build(&["--build-arg=A=3", &flag]).ok();
    let metadata: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(metadata.get("acetate.explanations").is_none());
}

fn facts(world: &World) -> u64 {
    let usage = world.acetate(&["du", "--json"]).ok().stdout;
    let usage: Value = serde_json::from_str(&usage).expect("JSON");
    usage["facts"].as_u64().expect("a number")
}

#[test]
fn only_a_build_that_runs_something_writes() {
    let world = changed();
    let before = facts(&world);
    assert!(before > 0);
    world.build(&["--explain"]).ok();
    world.explain(&["--build-arg=A=2"]).ok();
    assert_eq!(facts(&world), before);
    world.build(&["--build-arg=A=2"]).ok();
    assert!(facts(&world) > before);
}

#[test]
fn a_record_without_a_story_gets_one_when_something_else_runs() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS one
        COPY f /f
        RUN cat /f
        FROM base
        COPY --from=one /f /
        COPY g /
        //- f
        f
        //- g
        g
    ",
    );
    world.build(&[]).ok();
    if !have("sqlite3") {
        return;
    }
    // As if an older version had made the records.
    let index = world.root().join("index.sqlite");
    let sql = "DELETE FROM facts WHERE CAST(substr(key, 1, 5) AS TEXT) = 'story'";
    tool("sqlite3", &[&index.to_string_lossy(), sql]);
    world.write("f", "F\n");
    let new = world.explain(&[]).ok();
    assert!(new.explained[0].ends_with("no earlier record of such a step"));
    world.write("f", "f\n");
    world.write("g", "G\n");
    world.build(&[]).ok();
    world.write("f", "F\n");
    let told = world.explain(&[]).ok();
    assert_eq!(told.explained[0], "2 COPY f /f: content of `f` changed");
}

#[test]
fn what_is_wrong_is_said_as_by_a_build() {
    let world = World::of("FROM base\nRUM x\n");
    world.explain(&[]).fails(&["RUM"]);
    let world = World::of("FROM base\nCOPY missing /\n");
    world.explain(&[]).fails(&["missing"]);
    world
        .explain(&["--no-such-flag"])
        .refused(&["--no-such-flag"]);
}
