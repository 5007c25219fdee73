//! `acetate build --explain` and `acetate explain`: why a step ran, or would run.

use acetate_tests::World;

const WORLD: &str = "
    //- Dockerfile
    FROM base AS build
    COPY src/ /src/
    ARG VERSION=1.2
    RUN cat /src/* > /built; echo $VERSION >> /built
    RUN head -1 /built > /first
    FROM base
    COPY --from=build /first /
    //- src/a.sh
    a
    //- src/b
    b
";

/// What a build says of the steps that ran, and that `explain` names the same reasons before it.
#[track_caller]
fn check(world: &World, args: &[&str], expected: &[&str]) {
    let asked = world.explain(args).ok();
    assert_eq!(asked.ran(), Vec::<String>::new(), "explain runs nothing");
    let mut all = vec!["--explain"];
    all.extend(args);
    let built = world.build(&all).ok();
    assert_eq!(built.explained, expected);
    // Steps that are cached in the end, since what they use came out the same, are in one alone.
    let own = |line: &&String| !line.contains(": because ");
    for line in built.explained.iter().filter(own) {
        assert!(
            asked.explained.contains(line),
            "{line}: {:#?}",
            asked.explained
        );
    }
    assert!(
        asked.explained.len() >= built.explained.len(),
        "{:#?}",
        asked.explained
    );
}

fn built(fixture: &str) -> World {
    let world = World::new(fixture);
    world.build(&[]).ok();
    world
}

#[test]
fn the_first_time_there_is_no_record() {
    let world = World::new(WORLD);
    let new = "no earlier record of such a step";
    check(
        &world,
        &[],
        &[
            &format!("2 COPY src/ /src/: {new}"),
            &format!("4 RUN cat /src/* > /built; echo $VERSION >> /built: {new}"),
            &format!("5 RUN head -1 /built > /first: {new}"),
            &format!("7 COPY --from=build /first /: {new}"),
        ],
    );
    // And the second time there is nothing to explain.
    check(&world, &[], &[]);
}

#[test]
fn the_mode_of_a_file() {
    let world = built(WORLD);
    world.chmod("src/a.sh", 0o664);
    let why = "mode of `a.sh` was 0644, is 0664";
    check(
        &world,
        &[],
        &[
            &format!("2 COPY src/ /src/: {why}"),
            &format!(
                "4 RUN cat /src/* > /built; echo $VERSION >> /built: because [build 2/4] COPY src/ \
                 /src/ ran again and its result differs: {why}"
            ),
            &format!(
                "5 RUN head -1 /built > /first: because [build 3/4] RUN cat /src/* > /built; echo \
                 $VERSION >> /built ran again and its result differs; it began with Dockerfile:2: \
                 [build 2/4] COPY src/ /src/: {why}"
            ),
            // The last stage takes one file, which is the same: it is cached.
        ],
    );
}

#[test]
fn an_argument() {
    let world = built(WORLD);
    let why = "`ARG VERSION`: was 1.2, is 1.3";
    check(
        &world,
        &["--build-arg=VERSION=1.3"],
        &[
            &format!("4 RUN cat /src/* > /built; echo $VERSION >> /built: {why}"),
            &format!("5 RUN head -1 /built > /first: {why}"),
        ],
    );
}

#[test]
fn a_base_that_moved() {
    let world = built(
        "
        //- Dockerfile
        FROM base
        RUN true
        //- f
    ",
    );
    let elsewhere = World::of("FROM base\nRUN echo other > /other\n");
    let other = elsewhere.image(&[]);
    let context = format!("--build-context=base=oci-layout://{}", other.dir.display());
    let outcome = world.build(&[&context, "--explain"]).ok();
    let [line] = outcome.explained.as_slice() else {
        panic!("{:#?}", outcome.explained);
    };
    let words = "2 RUN true: base `base` moved from sha256:";
    assert!(
        line.starts_with(words) && line.contains(" to sha256:"),
        "{line}"
    );
    // It has moved back, but both records are there.
    check(&world, &[], &[]);
}

#[test]
fn an_argument_that_names_the_base() {
    let world = World::of("ARG KIND=base\nFROM $KIND AS one\nRUN true\n");
    world.build(&[]).ok();
    let elsewhere = World::of("FROM base\nRUN echo other > /other\n");
    let other = elsewhere.image(&[]);
    let context = format!(
        "--build-context=second=oci-layout://{}",
        other.dir.display()
    );
    check(
        &world,
        &[&context, "--build-arg=KIND=second"],
        &["3 RUN true: `ARG KIND`: was base, is second"],
    );
}

#[test]
fn files_of_every_kind_of_change() {
    let world = built(WORLD);
    let one = |expected: &str| {
        let outcome = world.build(&["--explain"]).ok();
        let line = outcome.explained.first().cloned().unwrap_or_default();
        assert_eq!(line, format!("2 COPY src/ /src/: {expected}"));
    };
    world.write("src/a.sh", "A\n");
    one("content of `a.sh` changed");
    world.write("src/sub/c", "c\n");
    one("`sub` was added and 1 more");
    std::fs::remove_file(world.context().join("src/b")).unwrap();
    one("`b` was removed");
    std::os::unix::fs::symlink("a.sh", world.context().join("src/b")).unwrap();
    one("`b` was added");
    std::fs::remove_file(world.context().join("src/b")).unwrap();
    std::os::unix::fs::symlink("sub/c", world.context().join("src/b")).unwrap();
    one("link `b` pointed to `a.sh`, points to `sub/c`");
    std::fs::remove_file(world.context().join("src/b")).unwrap();
    std::fs::create_dir(world.context().join("src/b")).unwrap();
    one("`b` was a link, is a directory");
}

#[test]
fn a_line_that_was_inserted() {
    let world = World::of("FROM base\nRUN echo 1 > /1\nRUN echo 2 > /2\n");
    world.build(&[]).ok();
    world.dockerfile("FROM base\nRUN echo 1 > /1\nRUN touch /new\nRUN echo 2 > /2\n");
    check(
        &world,
        &[],
        &[
            "3 RUN touch /new: no earlier record of such a step",
            "4 RUN echo 2 > /2: because [3/4] RUN touch /new ran for the first time: no earlier \
             record of such a step",
        ],
    );
}

#[test]
fn an_instruction_that_was_edited() {
    let world = World::of("FROM base\nRUN echo 1 > /1\nRUN echo 2 > /2\n");
    world.build(&[]).ok();
    world.dockerfile("FROM base\nRUN echo 1 > /one\nRUN echo 2 > /2\n");
    let why = "instruction was `RUN echo 1 > /1`, is `RUN echo 1 > /one`";
    check(
        &world,
        &[],
        &[
            &format!("2 RUN echo 1 > /one: {why}"),
            &format!(
                "3 RUN echo 2 > /2: because [2/3] RUN echo 1 > /one ran again and its result \
                 differs: {why}"
            ),
        ],
    );
}

#[test]
fn a_stage_that_was_renamed_is_no_reason_and_hides_none() {
    let text = |name: &str, arg: &str| {
        format!(
            "FROM base AS {name}\nARG A={arg}\nRUN echo $A > /a\nFROM base\nCOPY --from={name} /a /\n"
        )
    };
    let world = World::of(&text("one", "1"));
    world.build(&[]).ok();
    world.dockerfile(&text("two", "1"));
    check(&world, &[], &[]);
    world.dockerfile(&text("three", "2"));
    check(
        &world,
        &[],
        &[
            "3 RUN echo $A > /a: `ARG A`: was 1, is 2",
            "5 COPY --from=three /a /: instruction was `COPY --from=one /a /`, is `COPY \
             --from=three /a /`",
        ],
    );
}

#[test]
fn no_cache_and_its_filter() {
    let world = built(WORLD);
    let outcome = world.build(&["--explain", "--no-cache"]).ok();
    assert_eq!(outcome.explained.len(), 4);
    for line in &outcome.explained {
        assert!(line.ends_with(": forced by --no-cache"), "{line}");
    }
    let world = World::of(
        "FROM base AS dep\nRUN cat /proc/sys/kernel/random/uuid > /u\nFROM base\nCOPY --from=dep /u /\n",
    );
    world.build(&[]).ok();
    check(
        &world,
        &["--no-cache-filter=DEP"],
        &[
            "2 RUN cat /proc/sys/kernel/random/uuid > /u: forced by --no-cache-filter=dep",
            "4 COPY --from=dep /u /: because [dep 2/2] RUN cat /proc/sys/kernel/random/uuid > /u \
             ran again and its result differs: forced by --no-cache-filter=dep",
        ],
    );
}

#[test]
fn what_a_prune_took_away() {
    let world = World::of("FROM base\nRUN echo 1 > /1\nRUN echo 2 > /2\n");
    world.build(&[]).ok();
    world.acetate(&["prune", "--force"]).ok();
    let why =
        "nothing differs: the record is there, but its layers were removed by prune or eviction";
    check(
        &world,
        &[],
        &[
            &format!("2 RUN echo 1 > /1: {why}"),
            &format!("3 RUN echo 2 > /2: {why}"),
        ],
    );
    // With --all nothing is left that could be compared.
    world.acetate(&["prune", "--all", "--force"]).ok();
    let why = "no earlier record of such a step";
    check(
        &world,
        &[],
        &[
            &format!("2 RUN echo 1 > /1: {why}"),
            &format!("3 RUN echo 2 > /2: {why}"),
        ],
    );
}

#[test]
fn two_changes_at_once_are_counted() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG A=1
        COPY f$A /f
        RUN --mount=type=bind,source=g,target=/g cat /g /f > /all
        //- f1
        f
        //- f2
        F
        //- g
        g
    ",
    );
    world.build(&[]).ok();
    world.write("g", "G\n");
    let outcome = world.build(&["--explain", "--build-arg=A=2"]).ok();
    assert_eq!(
        outcome.explained,
        [
            "3 COPY f$A /f: `ARG A`: was 1, is 2 (and 1 more difference)",
            "4 RUN --mount=type=bind,source=g,target=/g cat /g /f > /all: `ARG A`: was 1, is 2 (and 1 \
             more difference)",
        ]
    );
}

#[test]
fn settings_of_the_step_and_its_mounts() {
    let world = World::of("FROM base\nRUN --mount=type=tmpfs,target=/t true\n");
    world.build(&[]).ok();
    check(
        &world,
        &["--network=none"],
        &["2 RUN --mount=type=tmpfs,target=/t true: network: was default, is none"],
    );
    world.dockerfile("FROM base\nUSER app\nRUN --mount=type=tmpfs,target=/t true\n");
    check(
        &world,
        &[],
        &["3 RUN --mount=type=tmpfs,target=/t true: user is new: app"],
    );
    let text = |dir: &str| format!("FROM base\nWORKDIR /{dir}\nRUN pwd\n");
    world.dockerfile(&text("one"));
    world.build(&[]).ok();
    world.dockerfile(&text("two"));
    check(
        &world,
        &[],
        &[
            "2 WORKDIR /two: instruction was `WORKDIR /one`, is `WORKDIR /two`",
            "3 RUN pwd: working directory: was /one, is /two",
        ],
    );
}

#[test]
fn a_linked_copy_and_a_script_are_told_like_others() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        COPY --link f /f
        RUN <<EOF
        #!/bin/sh
        cat /f
        EOF
        //- f
        f
    ",
    );
    world.build(&[]).ok();
    world.write("f", "F\n");
    let outcome = world.build(&["--explain"]).ok();
    let why = "content of `f` changed";
    assert_eq!(outcome.explained.len(), 3, "{:#?}", outcome.explained);
    assert_eq!(outcome.explained[0], format!("2 COPY --link f /f: {why}"));
    assert!(outcome.explained[1].starts_with("2 LINK COPY --link f /f: because "));
    assert!(
        outcome.explained[2].ends_with(why),
        "{:#?}",
        outcome.explained
    );
    world.write("f", "f\n");
    world.dockerfile("FROM base\nCOPY --link f /f\nRUN <<EOF\n#!/bin/sh\ncat /f /f\nEOF\n");
    check(
        &world,
        &[],
        &[
            "3 RUN <<EOF: instruction was `RUN <<EOF #!/bin/sh cat /f EOF`, is `RUN <<EOF #!/bin/sh cat /f \
           /f EOF`",
        ],
    );
}

#[test]
fn a_step_that_fails_is_explained_too() {
    let world = World::of("FROM base\nARG A=1\nRUN test $A = 1\n");
    world.build(&[]).ok();
    let failed = world
        .build(&["--explain", "--build-arg=A=2"])
        .fails(&["exit code: 1"]);
    let why = ["3 RUN test $A = 1: `ARG A`: was 1, is 2"];
    assert_eq!(failed.explained, why);
    // What failed is no record: the reason stays the same.
    let again = world
        .build(&["--explain", "--build-arg=A=2"])
        .fails(&["exit code: 1"]);
    assert_eq!(again.explained, why);
}

#[test]
fn the_answer_is_always_the_same() {
    let world = built(WORLD);
    world.write("src/a.sh", "A\n");
    world.write("src/c", "c\n");
    let args = ["--build-arg=VERSION=2"];
    let first = world.explain(&args).ok().explained;
    assert_eq!(first.len(), 4);
    for _ in 0..3 {
        assert_eq!(world.explain(&args).ok().explained, first);
    }
}

#[test]
fn secrets_and_proxies_are_neither_shown_nor_kept() {
    let world = World::of(
        "FROM base\nARG API_TOKEN\nARG http_proxy\nARG PLAIN\nRUN --mount=type=secret,id=s true\n",
    );
    world.write("secret", "hush-secret");
    let secret = format!("--secret=id=s,src={}/secret", world.context().display());
    let build = |n: &str| {
        let args = [
            format!("--build-arg=API_TOKEN=hush-token{n}"),
            format!("--build-arg=http_proxy=http://hush-proxy{n}"),
            format!("--build-arg=PLAIN=seen{n}"),
        ];
        let all: Vec<&str> = args
            .iter()
            .map(String::as_str)
            .chain(["--explain", &secret])
            .collect();
        world.build(&all).ok()
    };
    build("1");
    let outcome = build("2");
    assert_eq!(
        outcome.explained,
        [
            "5 RUN --mount=type=secret,id=s true: `ARG API_TOKEN` differs (its value is not kept) (and 2 \
          more differences)"
        ]
    );
    let mut index = std::fs::read(world.root().join("index.sqlite")).unwrap();
    index.extend(std::fs::read(world.root().join("index.sqlite-wal")).unwrap_or_default());
    let holds = |word: &str| {
        index
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    assert!(holds("seen2"), "the story of the step is kept");
    assert!(!holds("hush"), "what is secret is not");
}
