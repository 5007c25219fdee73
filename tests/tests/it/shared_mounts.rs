//! Directories of cache mounts that machines share.

use crate::shared_cache::{root, warnings};
use crate::shared_signed::{PRIVATE, PUBLIC};
use acetate_tests::{CacheServer, Fault, Outcome, Proxy, Running, World, files_below};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A step that does with two cache mounts what it is told.
const TOLD: &str = r#"
    FROM base
    ARG SCRIPT
    RUN --mount=type=cache,id=deps,target=/deps --mount=type=cache,id=other,target=/other \
        eval "$SCRIPT"
"#;

struct Site {
    world: World,
    server: CacheServer,
    url: String,
}

impl Site {
    fn new() -> Self {
        Self::of(TOLD)
    }

    fn of(dockerfile: &str) -> Self {
        let world = World::of(dockerfile);
        let server = CacheServer::open(&world.dir().join("server"));
        let url = server.url("org");
        Self { world, server, url }
    }

    /// What a machine is to run, with cache flags or without.
    fn command(&self, machine: &str, script: &str, flags: &[&str]) -> Command {
        let script = format!("--build-arg=SCRIPT={script}");
        let meta = self.metadata(machine);
        let meta = format!("--metadata-file={}", meta.display());
        let mut args = vec![script.as_str(), meta.as_str()];
        args.extend(flags);
        self.world.command_in(&root(&self.world, machine), &args)
    }

    fn build(&self, machine: &str, script: &str, flags: &[&str]) -> Outcome {
        Outcome::of(self.command(machine, script, flags))
    }

    /// A build that takes from the cache and gives it the mount `deps`.
    fn with(&self, machine: &str, script: &str) -> Outcome {
        let to = self.to("mounts=deps");
        self.build(machine, script, &[&self.from(), &to]).ok()
    }

    fn from(&self) -> String {
        format!("--cache-from={}", self.url)
    }

    fn to(&self, more: &str) -> String {
        format!("--cache-to=type=http,url={},{more}", self.url)
    }

    fn metadata(&self, machine: &str) -> PathBuf {
        self.world.dir().join(format!("metadata-{machine}.json"))
    }

    /// One of the counts of the last build on a machine.
    fn count(&self, machine: &str, name: &str) -> u64 {
        let text = std::fs::read(self.metadata(machine)).expect("metadata");
        let metadata: Value = serde_json::from_slice(&text).expect("JSON");
        metadata["acetate.caches"][0]["stats"][name]
            .as_u64()
            .expect("a count")
    }

    /// What a machine that only reads sees in `/deps`.
    fn seen(&self, machine: &str) -> String {
        said(&self.build(machine, "cd /deps; ls", &[&self.from()]).ok())
    }
}

/// What the steps wrote, without what is said of them when fetching takes a while.
fn said(outcome: &Outcome) -> String {
    let log = outcome.log();
    let lines = log
        .lines()
        .filter(|line| !line.starts_with("fetching cache mount "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_one_machine_leaves_another_begins_with() {
    let site = Site::new();
    let tell =
        "cd /deps; for f in . one sub sub/two link; do stat -c '%n %a %u %g %Y' $f; done; cat one";
    let made = site.with(
        "a",
        "cd /deps; mkdir sub; echo 1 > one; ln one sub/two; ln -s one link; chmod 4750 one; \
         chmod 711 .; chown 7:8 sub; touch -d @1000000000 one; touch -h -d @1000000001 link; \
         touch -d @1000000002 sub; touch -d @1000000003 .; echo other > /other/file",
    );
    assert_eq!(warnings(&made), Vec::<String>::new());
    let taken = site.with("b", tell);
    assert_eq!(
        said(&taken),
        ". 711 0 0 1000000003\none 4750 0 0 1000000000\nsub 755 7 8 1000000002\n\
         sub/two 4750 0 0 1000000000\nlink 777 0 0 1000000001\n1\n"
    );
    assert_eq!(warnings(&taken), Vec::<String>::new());
    let both = site.with(
        "b",
        "cd /deps; test one -ef sub/two; ls /other; echo 2 > three",
    );
    assert_eq!(said(&both), "", "the other one is not named");
    assert_eq!(site.seen("c"), "link\none\nsub\nthree\n");
    // Who has a directory goes on with it.
    assert_eq!(site.seen("a"), "link\none\nsub\n");
}

#[test]
fn nothing_is_shared_that_was_not_asked_for_or_did_not_go_well() {
    let site = Site::new();
    let (from, plain) = (site.from(), site.to("mode=max"));
    site.build("a", "touch /deps/file", &[&from, &plain]).ok();
    assert_eq!(site.seen("b"), "");
    let to = site.to("mounts=deps");
    let failed = site.build("c", "touch /deps/file; exit 3", &[&from, &to]);
    assert_eq!(failed.code, 1);
    assert_eq!(site.seen("d"), "");
    // What the failed step left is there, and goes with the next one that is well.
    site.with("c", "true");
    assert_eq!(site.seen("e"), "file\n");
}

#[test]
fn an_id_that_no_step_has_is_told_of_once() {
    let site = Site::new();
    let to = site.to("mounts=dep;deps");
    for _ in 0..2 {
        let outcome = site.build("a", "touch /deps/file", &[&to]).ok();
        let warnings = warnings(&outcome);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let expected =
            r#"no step has a cache mount with the id "dep", but there is "deps", "other""#;
        assert!(warnings[0].contains(expected), "{warnings:?}");
    }
    assert_eq!(site.seen("b"), "file\n");
}

#[test]
fn what_is_too_large_stays_and_says_so() {
    let site = Site::new();
    let grow = "truncate -s 3G /deps/large";
    let to = site.to("mounts=deps");
    let outcome = site.build("a", grow, &[&to]).ok();
    let told = warnings(&outcome);
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = r#"the cache mount "deps" is not shared: its tar would have 3221"#;
    assert!(
        told[0].contains(expected) && told[0].contains("2147483648"),
        "{told:?}"
    );
    assert_eq!(site.seen("b"), "");
    let to = site.to("mounts=deps,mounts-max=1m");
    let outcome = site.build("c", "truncate -s 900k /deps/small", &[&to]).ok();
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    assert_eq!(site.seen("d"), "small\n");
}

#[test]
fn no_cache_begins_with_nothing() {
    let site = Site::new();
    site.with("a", "touch /deps/file");
    let outcome = site.build("b", "ls /deps", &[&site.from(), "--no-cache"]);
    assert_eq!(said(&outcome.ok()), "");
}

#[test]
fn a_small_change_moves_little_and_none_moves_nothing() {
    let site = Site::new();
    let fill = "head -c 20000000 /dev/urandom > /deps/a; head -c 200000 /dev/urandom > /deps/b";
    site.with("a", fill);
    let whole = site.count("a", "bytes_up");
    assert!(whole > 20_000_000, "{whole}");
    site.with("a", "head -c 200000 /dev/urandom > /deps/b");
    let changed = site.count("a", "bytes_up");
    assert!((200_000..4_000_000).contains(&changed), "{changed}");
    // Neither where it was made nor where it was taken does it go again.
    for machine in ["a", "b"] {
        site.with(machine, &format!("cat /deps/* > /dev/null; echo {machine}"));
        let none = site.count(machine, "bytes_up");
        assert!(none < 100_000, "{machine}: {none}");
    }
    // But it does when the cache has lost it.
    for file in site.server.files("ac") {
        std::fs::remove_file(file).unwrap();
    }
    site.with("b", "echo again");
    assert_eq!(site.seen("c"), "a\nb\n");
}

#[test]
fn the_last_one_that_goes_well_counts_and_an_old_one_does_not_come_back() {
    let site = Site::new();
    site.with("a", "touch /deps/one");
    site.with("b", "touch /deps/two");
    let mut prune = acetate_tests::acetate();
    prune.arg("--root").arg(root(&site.world, "a"));
    prune.args(["prune", "--force"]);
    Outcome::of(prune).ok();
    site.with("a", "ls /deps > /dev/null");
    assert_eq!(site.seen("c"), "one\ntwo\n");
    site.with("a", "touch /deps/three");
    assert_eq!(site.seen("d"), "one\nthree\n");
}

#[test]
fn garbage_is_as_good_as_nothing() {
    let site = Site::new();
    let fill = "head -c 5000000 /dev/urandom > /deps/file";
    site.with("a", fill);
    // What is done to content, and to everything else.
    for (name, content, other) in [
        ("gone", Fault::Status(404), Fault::Pass),
        ("flipped", Fault::Flip(1000), Fault::Pass),
        ("short", Fault::Truncate(1000), Fault::Pass),
        ("record", Fault::Pass, Fault::Flip(200)),
        ("broken", Fault::Status(500), Fault::Status(500)),
    ] {
        let proxy = Proxy::to(site.server.address(), move |asked| {
            if asked.is_content() { content } else { other }
        });
        let from = format!("--cache-from={}", proxy.url("org"));
        let outcome = site.build(name, "ls /deps", &[&from]).ok();
        assert_eq!(said(&outcome), "", "{name}");
        let warnings = warnings(&outcome);
        assert!(warnings.len() <= 2, "{name}: {warnings:?}");
    }
    assert_eq!(site.seen("b"), "file\n");
}

/// A step with the mount, and one after it that can be made to wait.
const TWO_STEPS: &str = r#"
    FROM base
    ARG SCRIPT
    RUN --mount=type=cache,id=deps,target=/deps,sharing=locked eval "$SCRIPT"
    ARG AFTER=true
    RUN --mount=type=cache,id=control,target=/control eval "$AFTER"
"#;

#[test]
fn what_another_build_has_alone_is_left_out() {
    let site = Site::of(TWO_STEPS);
    site.with("a", "touch /deps/first");
    let dir = root(&site.world, "a").join("cache-mounts");
    let find = |name: &str| {
        let all = files_below(&dir);
        all.into_iter()
            .find(|path| path.ends_with(name))
            .map(|path| dir.join(path))
    };
    let let_go = |of: &str| {
        let beside = find(of).expect("it began");
        std::fs::write(beside.with_file_name("go"), "").unwrap();
    };
    let until_go = |dir: &str, name: &str| {
        format!("touch {dir}/{name}; until test -e {dir}/go; do sleep 0.02; done")
    };
    let (to, after) = (site.to("mounts=deps"), until_go("/control", "mine"));
    let after = format!("--build-arg=AFTER={after}");
    let mut mine = Running::start(site.command("a", "touch /deps/second", &[&to, &after]));
    mine.until("the last step", || find("mine").is_some());
    let mut other = Running::start(site.command("a", &until_go("/deps", "other"), &[]));
    other.until("the other build", || find("other").is_some());
    let_go("mine");
    assert_eq!(warnings(&mine.wait().ok()), Vec::<String>::new());
    assert_eq!(site.seen("b"), "first\n");
    let_go("other");
    other.wait().ok();
    site.with("a", "rm /deps/go");
    assert_eq!(site.seen("c"), "first\nother\nsecond\n");
}

#[test]
fn many_steps_that_want_it_fetch_it_once() {
    let steps = (0..6).map(|n| {
        format!(
            "FROM base AS s{n}\nARG SCRIPT\n\
             RUN --mount=type=cache,id=deps,target=/deps eval \"$SCRIPT\"; ls /deps > /{n}\n"
        )
    });
    let copies = (0..6).map(|n| format!("COPY --from=s{n} /{n} /\n"));
    let text = steps.chain(["FROM base\n".to_owned()]).chain(copies);
    let site = Site::of(&text.collect::<String>());
    site.with("a", "head -c 3000000 /dev/urandom > /deps/file");
    let proxy = Proxy::to(site.server.address(), |_| Fault::Pass);
    let from = format!("--cache-from={}", proxy.url("org"));
    let image = site
        .world
        .image_in(&root(&site.world, "b"), &[&from, "--build-arg=SCRIPT=true"]);
    for n in 0..6 {
        assert_eq!(image.file(&n.to_string()), "file\n", "step {n}");
    }
    let seen = proxy.seen();
    let mut fetched: Vec<&str> = seen
        .iter()
        .filter(|asked| asked.is_content() && asked.method == "GET")
        .map(|asked| asked.path.as_str())
        .collect();
    let n = fetched.len();
    fetched.sort_unstable();
    fetched.dedup();
    assert!(n > 1 && fetched.len() == n, "{seen:?}");
}

#[test]
fn who_wants_signatures_uses_nothing_unsigned() {
    let site = Site::new();
    let keys = Keys::new(&site.world);
    let strict = format!("{},trust={}", site.from(), keys.list);
    site.with("a", "touch /deps/unsigned");
    let outcome = site.build("b", "ls /deps", &[&strict]).ok();
    assert_eq!(said(&outcome), "");
    // Neither where it came to the machine in a build that took everything.
    assert_eq!(site.seen("c"), "unsigned\n");
    let outcome = site.build("c", "ls /deps; true", &[&strict]).ok();
    assert_eq!(said(&outcome), "");
    let signed = site.to(&format!("mounts=deps,sign={}", keys.private));
    site.build("d", "touch /deps/signed", &[&strict, &signed])
        .ok();
    let outcome = site.build("e", "ls /deps; true", &[&strict]).ok();
    assert_eq!(said(&outcome), "signed\n");
    assert_eq!(site.seen("f"), "signed\n");
    // What began with something signed is kept by those who want that.
    let outcome = site.build("e", "ls /deps; echo again", &[&strict]).ok();
    assert_eq!(said(&outcome), "signed\nagain\n");
}

struct Keys {
    private: String,
    list: String,
}

impl Keys {
    fn new(world: &World) -> Self {
        let (private, list) = (world.dir().join("key"), world.dir().join("list"));
        std::fs::write(&private, PRIVATE).expect("a key");
        let mode = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&private, mode).expect("a mode");
        std::fs::write(&list, format!("{PUBLIC} main\n")).expect("a list");
        Self {
            private: private.display().to_string(),
            list: list.display().to_string(),
        }
    }
}
