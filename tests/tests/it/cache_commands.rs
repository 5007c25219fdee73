//! `acetate cache`: what people see of caches and do to them.

use crate::shared_cache::{TWO_STAGES, build_on, root};
use acetate_tests::{CacheServer, Outcome, Running, World, acetate, files_below};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

/// Runs `acetate cache` on the state directory of a machine.
fn cache(world: &World, machine: &str, args: &[&str]) -> Outcome {
    let mut command = acetate();
    command.arg("--root").arg(root(world, machine)).arg("cache");
    command.args(args);
    Outcome::of(command)
}

fn json(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.ok().stdout).expect("JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The keys of all records of a machine.
fn keys(world: &World, machine: &str) -> Vec<String> {
    let listed = json(cache(world, machine, &["ls", "--json"]));
    let records = array(&listed["records"]).iter();
    records
        .map(|record| record["key"].as_str().expect("a key").to_owned())
        .collect()
}

#[test]
fn records_are_listed_looked_at_and_removed() {
    let world = World::new(TWO_STAGES);
    let nothing = cache(&world, "a", &["ls"]).ok().stdout;
    assert_eq!(nothing, "nothing is cached here\n");
    build_on(&world, "a", &[]);
    let listed = json(cache(&world, "a", &["ls", "--json"]));
    let records = array(&listed["records"]);
    assert_eq!(records.len(), 5);
    let text = cache(&world, "a", &["ls"]).ok().stdout;
    assert_eq!(text.lines().count(), 6, "{text}");
    assert_eq!(cache(&world, "a", &["ls"]).ok().stdout, text);
    // The step that makes the largest file, by the beginning of its key.
    let large = |record: &&Value| record["bytes"].as_u64() > Some(12_000_000);
    let found: Vec<&Value> = records.iter().filter(large).collect();
    for record in &found {
        let key = record["key"].as_str().unwrap();
        let seen = json(cache(&world, "a", &["inspect", &key[..20], "--json"]));
        let layers = array(&seen["layers"]);
        assert_eq!(seen["layer_count"], layers.len());
        assert_eq!(layers[0]["origin"], "base");
        assert_eq!(layers[layers.len() - 1]["origin"], "made");
        assert_eq!(
            (&seen["usable"], &seen["imported_from"]),
            (&true.into(), &Value::Null)
        );
    }
    let last = cache(
        &world,
        "a",
        &["inspect", records[0]["key"].as_str().unwrap()],
    );
    assert!(last.ok().stdout.contains("origin:            here\n"));
    cache(&world, "a", &["inspect", "zz"]).fails(&[
        "no record or cache mount is called `zz`",
        "acetate cache ls",
    ]);
    cache(&world, "a", &["rm", "zz"]).fails(&["no record is called `zz`"]);
    // Without its records every step runs again.
    let all = keys(&world, "a");
    let mut args = vec!["rm"];
    args.extend(all.iter().map(String::as_str));
    let removed = cache(&world, "a", &args).ok();
    assert_eq!(removed.stdout.lines().count(), 5);
    assert_eq!(keys(&world, "a"), Vec::<String>::new());
    let (_, outcome) = build_on(&world, "a", &[]);
    assert_eq!(outcome.cached(), Vec::<String>::new());
}

#[test]
fn a_beginning_that_fits_several_names_them() {
    // So many records that two keys begin alike.
    let steps: String = (0..20).map(|n| format!("COPY f /f{n}\n")).collect();
    let world = World::new(&format!("//- Dockerfile\nFROM base\n{steps}//- f\nx\n"));
    build_on(&world, "a", &[]);
    let all = keys(&world, "a");
    let mut begins = BTreeSet::new();
    let twice = all.iter().find(|key| !begins.insert(key[..1].to_owned()));
    let first = &twice.expect("twenty keys begin with sixteen digits")[..1];
    let fitting = all.iter().filter(|key| key.starts_with(first)).take(5);
    let mut words = vec!["of them", "give more of the key"];
    words.extend(fitting.map(String::as_str).take(2));
    cache(&world, "a", &["inspect", first]).fails(&words);
    assert_eq!(keys(&world, "a"), all);
}

#[test]
fn cache_mounts_have_names_and_go_one_by_one() {
    let world = World::of(
        "
        FROM base
        RUN --mount=type=cache,id=one,target=/c mkdir /c/d; echo x > /c/d/a; echo y > /c/b
        RUN --mount=type=cache,id=two,target=/c,mode=0700,uid=3 touch /c/only
        ",
    );
    build_on(&world, "a", &[]);
    let listed = json(cache(&world, "a", &["ls", "--mounts", "--json"]));
    assert_eq!(listed["records"], Value::Null);
    let mounts = array(&listed["mounts"]);
    let seen: Vec<_> = (mounts.iter())
        .map(|mount| {
            (
                mount["id"].as_str(),
                mount["files"].as_u64(),
                mount["in_use"].as_bool(),
            )
        })
        .collect();
    let no = Some(false);
    assert_eq!(
        seen,
        [(Some("one"), Some(2), no), (Some("two"), Some(1), no)]
    );
    let two = cache(&world, "a", &["inspect", "two"]).ok().stdout;
    assert!(
        two.contains("begins:  empty, mode 0700, owner 3:0\n"),
        "{two}"
    );
    // A directory that was made before names were kept is known by its key.
    let key = mounts[1]["key"].as_str().unwrap();
    let dir = root(&world, "a").join("cache-mounts").join(key);
    std::fs::remove_file(dir.join("0.0/about")).unwrap();
    let text = cache(&world, "a", &["ls", "--mounts"]).ok().stdout;
    assert!(
        text.lines()
            .any(|line| line.starts_with(&format!("-      {}", &key[..12]))),
        "{text}"
    );
    cache(&world, "a", &["rm", "--mount", "two"]).fails(&["no cache mount is called `two`"]);
    cache(&world, "a", &["rm", "--mount", &key[..16]]).ok();
    assert!(!dir.exists());
    let rest = json(cache(&world, "a", &["ls", "--mounts", "--json"]));
    assert_eq!(array(&rest["mounts"]).len(), 1);
}

#[test]
fn a_cache_mount_in_use_stays() {
    let world = World::of(
        "
        FROM base
        RUN --mount=type=cache,id=x,target=/c touch /c/begun; until test -e /c/go; do sleep 0.02; done
        ",
    );
    let mut build = Running::start(world.command_in(&root(&world, "a"), &[]));
    let mounts = root(&world, "a").join("cache-mounts");
    let begun = || {
        let found = files_below(&mounts).into_iter();
        found
            .map(|path| mounts.join(path))
            .find(|path| path.ends_with("begun"))
    };
    build.until("the step", || begun().is_some());
    let listed = json(cache(&world, "a", &["ls", "--mounts", "--json"]));
    assert_eq!(array(&listed["mounts"])[0]["in_use"], true);
    cache(&world, "a", &["rm", "--mount", "x"])
        .fails(&["the cache mount x is in use", "try again"]);
    std::fs::write(begun().expect("it stays").with_file_name("go"), "").unwrap();
    build.wait().ok();
    let removed = cache(&world, "a", &["rm", "--mount", "x"]).ok().stdout;
    assert!(removed.starts_with("removed cache mount x: "), "{removed}");
    assert_eq!(begun(), None);
}

#[test]
fn records_go_to_a_server_and_from_there_to_another_machine() {
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let url = server.url("org/repo");
    let (made, _) = build_on(&world, "a", &[]);
    let given = cache(&world, "a", &["export", "--all", "--to", &url])
        .ok()
        .stdout;
    assert!(given.starts_with("5 records given to "), "{given}");
    let again = json(cache(
        &world,
        "a",
        &["export", "--all", "--to", &url, "--json"],
    ));
    let kept = array(&again["records"]).iter();
    assert_eq!(kept.filter(|record| record["outcome"] == "kept").count(), 5);
    // A build takes them as if a build had left them.
    let (taken, outcome) = build_on(&world, "b", &[&format!("--cache-from={url}")]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(taken.digest(), made.digest());
    // By hand, where the base image is here, but nothing else.
    take_base(&world, "c");
    let all = keys(&world, "a");
    let mut args = vec!["import", "--from", &url];
    args.extend(all.iter().map(String::as_str));
    let got = cache(&world, "c", &args).ok().stdout;
    assert!(got.starts_with("5 records taken from "), "{got}");
    server_is_not_needed(&world, server, made.digest());
}

/// Lets a machine have the base image.
fn take_base(world: &World, machine: &str) {
    let file = world.fresh("Dockerfile");
    std::fs::write(&file, "FROM base\nRUN true\n").expect("a file is written");
    build_on(world, machine, &[&format!("--file={}", file.display())]);
}

/// A machine has all that it took.
fn server_is_not_needed(world: &World, server: CacheServer, digest: acetate_oci::Digest) {
    drop(server);
    let (image, outcome) = build_on(world, "c", &[]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(image.digest(), digest);
    let stats = json(cache(world, "c", &["stats", "--json"]));
    let imported = stats["records"]["imported"].as_object().expect("an object");
    assert_eq!(imported.values().filter_map(Value::as_u64).sum::<u64>(), 5);
    assert!(
        stats["layers"]["shared_bytes"].as_u64() > Some(0),
        "{stats}"
    );
}

#[test]
fn what_cannot_be_moved_is_told_and_fails() {
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let url = server.url("org");
    build_on(&world, "a", &[]);
    let key = keys(&world, "a").remove(0);
    let absent = cache(&world, "b", &["import", "--from", &url, &key]);
    assert_eq!(absent.code, 1);
    assert!(
        absent.stdout.contains("has no record of it"),
        "{}",
        absent.stdout
    );
    cache(&world, "b", &["import", "--from", &url, &key[..10]])
        .fails(&["is no whole key", "ls --json"]);
    cache(&world, "a", &["export", "--all", "--to", &url]).ok();
    // Nobody there has the base image.
    let bare = cache(&world, "b", &["import", "--from", &url, &key]);
    assert_eq!(bare.code, 1);
    assert!(
        bare.stdout.contains("build on that image first"),
        "{}",
        bare.stdout
    );
    drop(server);
    let gone = cache(&world, "a", &["export", &key[..12], "--to", &url]);
    assert_eq!(gone.code, 1);
    assert!(
        gone.stdout.contains("0 records given to"),
        "{}",
        gone.stdout
    );
}

#[test]
fn a_directory_takes_and_gives_records_too() {
    let world = World::new(TWO_STAGES);
    let dir = world.fresh("layout");
    let (to, from) = (
        format!("type=local,dest={}", dir.display()),
        format!("type=local,src={}", dir.display()),
    );
    let (made, _) = build_on(&world, "a", &[]);
    cache(&world, "a", &["export", "--all", "--to", &to]).ok();
    let (taken, outcome) = build_on(&world, "b", &[&format!("--cache-from={from}")]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(taken.digest(), made.digest());
    cache(&world, "a", &["ls", "--remote", &from])
        .fails(&["only servers and buckets", "https://HOST"]);
    let all = keys(&world, "a");
    let mut args = vec!["import", "--from", &from];
    args.extend(all.iter().map(String::as_str));
    take_base(&world, "c");
    let got = cache(&world, "c", &args);
    assert_eq!(got.code, 0, "{}", got.stdout);
    let (image, outcome) = build_on(&world, "c", &[]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(image.digest(), made.digest());
}

#[test]
fn a_server_is_listed_counted_and_cleaned() {
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let (url, above) = (server.url("org/repo"), server.url("org"));
    build_on(&world, "a", &[]);
    cache(&world, "a", &["export", "--all", "--to", &url]).ok();
    let listed = json(cache(&world, "a", &["ls", "--remote", &above, "--json"]));
    let records = array(&listed["records"]);
    assert_eq!(records.len(), 5);
    assert!(
        records
            .iter()
            .all(|record| record["namespace"] == "org/repo")
    );
    let stats = json(cache(&world, "a", &["stats", "--remote", &above, "--json"]));
    assert_eq!(stats["records"], 5);
    // By the key of the server, from above, and by that of a build.
    let key = records[0]["key"].as_str().unwrap();
    let own = keys(&world, "a");
    let by_server = cache(&world, "a", &["inspect", &key[..20], "--remote", &above]).ok();
    assert!(
        by_server.stdout.contains("signed:     nobody signed it"),
        "{}",
        by_server.stdout
    );
    let by_build = json(cache(
        &world,
        "a",
        &["inspect", &own[0], "--remote", &url, "--json"],
    ));
    assert_eq!(array(&by_build["layers"])[0]["origin"], "base");
    // All is well, seen from here and from there.
    let verified = json(cache(
        &world,
        "a",
        &["verify", "--remote", &above, "--bytes", "--json"],
    ));
    assert_eq!(
        (&verified["records"], &verified["unsigned"]),
        (&5.into(), &5.into())
    );
    assert_eq!(verified["sound"], true);
    assert!(verified["hashed_layers"].as_u64() > Some(0));
    let root = server.url("");
    cache(&world, "a", &["verify", "--remote", &root, "--server"]).ok();
    cache(&world, "a", &["prune", "--remote", &url]).ok();
    let removed = cache(&world, "a", &["rm", key, "--remote", &above])
        .ok()
        .stdout;
    assert_eq!(removed, format!("removed record {key}\n"));
    cache(&world, "a", &["rm", key, "--remote", &above]).fails(&["no record of", "ls --remote"]);
    // What is damaged is found: seen from here it is another chunk, or none.
    for content in server.files("cas") {
        std::fs::write(content, "x").unwrap();
    }
    let wrong = cache(&world, "a", &["verify", "--remote", &above, "--bytes"]);
    assert_eq!(wrong.code, 1, "{}", wrong.stdout);
    assert!(wrong.stdout.contains("wrong: "), "{}", wrong.stdout);
}

#[test]
fn signatures_are_told_apart() {
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let (url, key, list) = (server.url("org"), world.fresh("key"), world.fresh("list"));
    let made = cache(
        &world,
        "a",
        &["keygen", "--name", "ci", "-o", &key.display().to_string()],
    )
    .ok();
    assert!(made.stdout.ends_with(" ci\n"), "{}", made.stdout);
    assert_eq!(made.stdout.lines().count(), 1);
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let private = std::fs::read_to_string(&key).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    cache(&world, "a", &["keygen", "-o", &key.display().to_string()])
        .fails(&["is not overwritten"]);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), private);
    let shown = cache(&world, "a", &["keygen", "-o", "-"]).ok();
    assert!(shown.stdout.starts_with("-----BEGIN"), "{}", shown.stdout);
    std::fs::write(&list, made.stdout).unwrap();
    let to = format!(
        "--cache-to=type=http,url={url},mode=max,sign={}",
        key.display()
    );
    build_on(&world, "a", &[&to]);
    let keys = list.display().to_string();
    let verified = json(cache(
        &world,
        "b",
        &["verify", "--remote", &url, "--keys", &keys, "--json"],
    ));
    let signed = verified["signed"].as_object().expect("an object");
    assert_eq!(
        signed.values().map(|n| n.as_u64().unwrap()).sum::<u64>(),
        verified["records"].as_u64().unwrap()
    );
    assert_eq!(
        (&verified["unsigned"], &verified["unknown_keys"]),
        (&0.into(), &0.into())
    );
    // Records that nobody signed are wrong where a signature is required.
    let other = server.url("other");
    build_on(
        &world,
        "c",
        &[&format!("--cache-to=type=http,url={other},mode=max")],
    );
    cache(
        &world,
        "b",
        &["verify", "--remote", &other, "--keys", &keys],
    )
    .ok();
    let required = format!("{other},trust={keys}");
    let wrong = cache(&world, "b", &["verify", "--remote", &required]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stdout.contains("nobody signed it"),
        "{}",
        wrong.stdout
    );
}

#[test]
fn damage_in_the_store_is_found_and_removed() {
    let world = World::new(TWO_STAGES);
    build_on(&world, "a", &[]);
    let sound = json(cache(&world, "a", &["verify", "--json"]));
    assert_eq!(
        (&sound["sound"], &sound["records"]),
        (&true.into(), &5.into())
    );
    let blobs = root(&world, "a").join("blobs/sha256");
    let blob = files_below(&blobs).into_iter().map(|path| blobs.join(path));
    let blob = blob
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    std::fs::set_permissions(&blob, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    let found = cache(&world, "a", &["verify"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    let name = blob.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        found
            .stdout
            .contains(&format!("removed the damaged blob sha256:{name}\n")),
        "{}",
        found.stdout
    );
    assert!(!blob.exists());
    cache(&world, "a", &["verify"]).ok();
    // A layer that was here and is lost takes its records with it.
    let layers = root(&world, "a").join("layers");
    let lost = std::fs::read_dir(&layers)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    for path in lost.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('n')) {
        std::fs::remove_dir_all(path).unwrap();
    }
    for shard in std::fs::read_dir(&blobs).unwrap().flatten() {
        std::fs::remove_dir_all(shard.path()).unwrap();
    }
    let found = cache(&world, "a", &["verify"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(
        found.stdout.contains("its step runs again"),
        "{}",
        found.stdout
    );
    cache(&world, "a", &["verify"]).ok();
    build_on(&world, "a", &[]);
}

#[test]
fn prune_frees_results_and_no_image() {
    let world = World::of(
        "FROM base\nRUN --mount=type=cache,id=m,target=/c head -c 100000 /dev/urandom > /junk; touch /c/x\n",
    );
    build_on(&world, "a", &["-tkept"]);
    cache(&world, "a", &["prune"]).fails(&["say --force"]);
    cache(&world, "a", &["prune", "-f", "--unused-for", "soon"])
        .fails(&["expected a duration such as 12h"]);
    cache(&world, "a", &["prune", "-f", "--unused-for", "2h"]).ok();
    assert_eq!(keys(&world, "a").len(), 1, "it was used just now");
    cache(&world, "a", &["prune", "-f"]).ok();
    assert_eq!(keys(&world, "a"), Vec::<String>::new());
    let mounts = |world: &World| array(&json(cache(world, "a", &["ls", "--json"]))["mounts"]).len();
    assert_eq!(mounts(&world), 1);
    cache(&world, "a", &["prune", "-f", "--mounts"]).ok();
    assert_eq!(mounts(&world), 0);
    let mut run = acetate();
    run.arg("--root")
        .arg(root(&world, "a"))
        .args(["run", "kept", "test", "-s", "/junk"]);
    Outcome::of(run).ok();
}

#[test]
fn flags_that_make_no_sense_are_refused_by_name() {
    let world = World::of("FROM base\n");
    let refused = |args: &[&str], words: &[&str]| {
        cache(&world, "a", args).fails(words);
    };
    refused(
        &[
            "export",
            "--all",
            "--to",
            "type=http,url=https://h.test,sign=k",
        ],
        &["--to", "`sign` goes with builds only"],
    );
    refused(
        &["export", "--all", "--to", "type=inline"],
        &["type=inline goes with builds only"],
    );
    refused(
        &["ls", "--remote", "https://h.test,lease=on"],
        &["--remote", "`lease` goes with builds only"],
    );
    refused(
        &["import", "--from", "type=nothing", "0"],
        &["--from", "unknown type `nothing`"],
    );
    cache(&world, "a", &["rm"]).refused(&["<KEY>"]);
    cache(&world, "a", &["export", "--to", "https://h.test"]).refused(&["<KEY>"]);
    cache(&world, "a", &["verify", "--bytes"]).refused(&["--remote"]);
}
