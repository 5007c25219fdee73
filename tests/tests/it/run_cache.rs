//! Cache mounts: who shares them, who waits, what outlives a build and what goes.

use acetate_tests::{Running, World, files_below, processes_of};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// A step of `WHO` that notes when it begins and ends, and ends when `go-WHO` is there.
const TURNS: &str = "
    FROM base
    ARG WHO
    ARG MARKER
    RUN --mount=type=cache,id=x,target=/c,sharing=SHARING \
        echo start-$WHO >> /c/log; until test -e /c/go-$WHO; do sleep 0.02; done; \
        echo end-$WHO >> /c/log; cat /c/log
";

fn turns(sharing: &str) -> World {
    World::of(&TURNS.replace("SHARING", sharing))
}

const WAITING: &str = "waiting for cache mount \"x\" (used by another step)";

fn start(world: &World, who: &str) -> Running {
    Running::start(command(world, who))
}

fn command(world: &World, who: &str) -> Command {
    let who = format!("--build-arg=WHO={who}");
    let marker = format!("--build-arg=MARKER={}", world.marker());
    world.command(&[&who, &marker])
}

/// All files of this name in cache mounts.
fn cached(world: &World, name: &str) -> Vec<PathBuf> {
    let dir = world.root().join("cache-mounts");
    files_below(&dir)
        .into_iter()
        .filter(|path| path.ends_with(name))
        .map(|path| dir.join(path))
        .collect()
}

/// The words of the one log, or of the one in which `who` began.
fn log(world: &World, who: &str) -> String {
    let texts = cached(world, "log").into_iter();
    let texts = texts.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let found = texts.filter(|text| text.contains(&format!("start-{who}\n")));
    found.collect::<Vec<_>>().join("--\n").replace('\n', " ")
}

/// Lets `who` end, in whatever directory it runs.
fn go(world: &World, who: &str) {
    for path in cached(world, "log") {
        std::fs::write(path.with_file_name(format!("go-{who}")), "").expect("a file is written");
    }
}

/// Runs a whole build that shares nothing: by its end whoever could begin has begun.
fn meanwhile(world: &World) {
    let file = world.fresh("Dockerfile");
    let text = "FROM base\nRUN --mount=type=cache,target=/c date > /c/f; cat /proc/sys/kernel/random/uuid\n";
    std::fs::write(&file, text).expect("a file is written");
    let file = format!("--file={}", file.display());
    for _ in 0..3 {
        world.build(&[&file, "--no-cache"]).ok();
    }
}

#[test]
fn s68_a_locked_one_waits() {
    let world = turns("locked");
    let mut first = start(&world, "a");
    first.until("the first", || log(&world, "a") == "start-a ");
    go(&world, "b");
    let mut second = Running::start_logged(command(&world, "b"), world.fresh("log"));
    second.until_shown(&[WAITING]);
    meanwhile(&world);
    assert_eq!(log(&world, "a"), "start-a ");
    go(&world, "a");
    first.wait().ok();
    let log = second.wait().ok().log();
    assert_eq!(log, format!("{WAITING}\nstart-a\nend-a\nstart-b\nend-b\n"));
}

#[test]
fn s68_shared_ones_run_at_the_same_time_in_one_directory() {
    let world = turns("shared");
    let mut first = start(&world, "a");
    first.until("the first", || log(&world, "a") == "start-a ");
    let mut second = start(&world, "b");
    second.until("the second", || log(&world, "a") == "start-a start-b ");
    go(&world, "b");
    second.wait().ok();
    go(&world, "a");
    let log = first.wait().ok().log();
    assert_eq!(log, "start-a\nstart-b\nend-b\nend-a\n");
}

#[test]
fn s68_a_private_one_gets_another_directory_and_the_first_one_again() {
    let world = turns("private");
    let mut first = start(&world, "a");
    first.until("the first", || log(&world, "a") == "start-a ");
    let mut second = start(&world, "b");
    second.until("the second", || log(&world, "b") == "start-b ");
    go(&world, "b");
    assert_eq!(second.wait().ok().log(), "start-b\nend-b\n");
    go(&world, "a");
    assert_eq!(first.wait().ok().log(), "start-a\nend-a\n");
    go(&world, "c");
    let third = start(&world, "c").wait().ok().log();
    assert_eq!(third, "start-a\nend-a\nstart-c\nend-c\n");
}

#[test]
fn s68_steps_of_one_build_wait_for_each_other_too() {
    let world = World::of(
        "
        FROM base AS a
        RUN --mount=type=cache,target=/c,sharing=locked mkdir /c/busy && sleep 0.1 && rmdir /c/busy && touch /a
        FROM base AS b
        RUN --mount=type=cache,target=/c,sharing=locked mkdir /c/busy && sleep 0.1 && rmdir /c/busy && touch /b
        FROM base
        COPY --from=a /a /
        COPY --from=b /b /
    ",
    );
    let image = world.image(&[]);
    assert!(image.has("a") && image.has("b"));
}

/// Each needs both, named in another order: all or nothing, so nobody waits for ever.
#[test]
fn several_locks_are_taken_together() {
    let world = World::of(
        "
        FROM base
        ARG FIRST
        ARG SECOND
        ARG WHO
        RUN --mount=type=cache,id=$FIRST,target=/1,sharing=locked \
            --mount=type=cache,id=$SECOND,target=/2,sharing=locked \
            mkdir /1/busy /2/busy && sleep 0.05 && rmdir /1/busy /2/busy && echo $WHO
    ",
    );
    let start = |n: usize| {
        let (first, second) = if n.is_multiple_of(2) {
            ("x", "y")
        } else {
            ("y", "x")
        };
        Running::start(world.command(&[
            &format!("--build-arg=FIRST={first}"),
            &format!("--build-arg=SECOND={second}"),
            &format!("--build-arg=WHO={n}"),
        ]))
    };
    let running: Vec<Running> = (0..6).map(start).collect();
    for running in running {
        running.wait().ok();
    }
}

#[test]
fn whoever_waits_can_be_stopped() {
    let world = turns("locked");
    let mut first = start(&world, "a");
    first.until("the first", || log(&world, "a") == "start-a ");
    let second = start(&world, "b");
    meanwhile(&world);
    let asked = std::time::Instant::now();
    second.signal(Signal::INT);
    let outcome = second.wait();
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("cancel"), "{}", outcome.stderr);
    go(&world, "a");
    assert_eq!(first.wait().ok().log(), "start-a\nend-a\n");
}

#[test]
fn what_a_killed_step_wrote_can_be_used_at_once() {
    let world = turns("locked");
    let mut first = start(&world, "a");
    first.until("the first", || log(&world, "a") == "start-a ");
    first.signal(Signal::KILL);
    drop(first.wait());
    go(&world, "b");
    let log = start(&world, "b").wait().ok().log();
    assert_eq!(log, "start-a\nstart-b\nend-b\n");
    let left = processes_of(&world.marker());
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn s67_a_cache_outlives_builds_and_is_in_no_layer() {
    let world = World::of(
        "FROM base\nARG N\nRUN --mount=type=cache,target=/c echo $N >> /c/log; cp /c/log /out\n",
    );
    for (n, text) in [("1", "1\n"), ("2", "1\n2\n"), ("3", "1\n2\n3\n")] {
        let image = world.image(&[&format!("--build-arg=N={n}")]);
        assert_eq!(image.file("out"), text);
        assert!(!image.has("c"), "{}", image.listings());
    }
    // What is cached does not write into it again.
    world.image(&["--build-arg=N=2"]);
    let all = cached(&world, "log");
    assert_eq!(std::fs::read_to_string(&all[0]).unwrap(), "1\n2\n3\n");
    assert_eq!(all.len(), 1);
}

#[test]
fn s69_without_caches_a_step_begins_anew_and_others_go_on_from_there() {
    let world = World::of(
        "
        FROM base AS other
        ARG N
        RUN --mount=type=cache,id=y,target=/c echo $N >> /c/log; cp /c/log /other
        FROM base
        ARG N
        RUN --mount=type=cache,id=x,target=/c echo $N >> /c/log; cp /c/log /out
        RUN --mount=type=cache,id=x,target=/d echo again >> /d/log; cp /d/log /again
        COPY --from=other /other /
    ",
    );
    let build = |n: &str, args: &[&str]| {
        let n = format!("--build-arg=N={n}");
        let mut all = vec![n.as_str()];
        all.extend(args);
        let image = world.image(&all);
        [image.file("out"), image.file("again"), image.file("other")]
    };
    let texts = |out: &str, again: &str, other: &str| [out, again, other].map(str::to_owned);
    assert_eq!(build("1", &[]), texts("1\n", "1\nagain\n", "1\n"));
    assert_eq!(
        build("2", &["--no-cache"]),
        texts("2\n", "2\nagain\n", "2\n"),
        "the two steps share what is new"
    );
    assert_eq!(
        build("3", &["--no-cache-filter=other"]),
        texts("2\nagain\n3\n", "2\nagain\n3\nagain\n", "3\n"),
        "only the cache of the stage that was named is new"
    );
    assert_eq!(cached(&world, "log").len(), 2, "what was replaced is gone");
}

#[test]
fn s67_a_base_that_is_made_again_the_same_is_the_same_cache() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS made
        COPY seed /seed
        RUN mkdir /d && cut -c1 /seed > /d/log
        FROM scratch AS seed
        COPY --from=made /d /
        FROM base
        ARG N
        RUN --mount=type=cache,from=seed,target=/c echo $N >> /c/log; cp /c/log /out
        //- seed
        one
    ",
    );
    assert_eq!(world.image(&["--build-arg=N=1"]).file("out"), "o\n1\n");
    world.write("seed", "other\n");
    assert_eq!(world.image(&["--build-arg=N=2"]).file("out"), "o\n1\n2\n");
    world.write("seed", "two\n");
    assert_eq!(world.image(&["--build-arg=N=3"]).file("out"), "t\n3\n");
    assert_eq!(cached(&world, "log").len(), 2);
}

fn du(world: &World) -> (u64, u64) {
    let text = world.acetate(&["du", "--json"]).ok().stdout;
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let caches = &json["cache_mounts"];
    (
        caches["count"].as_u64().expect("a number"),
        caches["bytes"].as_u64().expect("a number"),
    )
}

#[test]
fn caches_are_counted_and_stay_until_everything_goes() {
    let world = World::of(
        "FROM base\nRUN --mount=type=cache,target=/c head -c 1000000 /dev/urandom > /c/log\n",
    );
    assert_eq!(du(&world), (0, 0));
    world.build(&[]).ok();
    let (n, bytes) = du(&world);
    assert_eq!(n, 1);
    assert!((1_000_000..1_100_000).contains(&bytes), "{bytes}");
    let table = world.acetate(&["du"]).ok().stdout;
    assert!(table.contains("\ncache mounts        1 "), "{table}");
    world.acetate(&["prune", "--force"]).ok();
    assert_eq!(du(&world), (n, bytes));
    let text = world.acetate(&["prune", "--all", "--force"]).ok().stdout;
    assert!(text.contains(" 1 cache mounts,"), "{text}");
    assert_eq!(du(&world), (0, 0));
    assert_eq!(cached(&world, "log"), Vec::<PathBuf>::new());
}

#[test]
fn a_cache_in_use_is_never_removed() {
    let world = turns("shared");
    let mut running = start(&world, "a");
    running.until("the step", || log(&world, "a") == "start-a ");
    let text = world.acetate(&["prune", "--all", "--force"]).ok().stdout;
    assert!(text.contains("kept 1 cache mounts"), "{text}");
    go(&world, "a");
    assert_eq!(running.wait().ok().log(), "start-a\nend-a\n");
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(du(&world), (0, 0));
}
