//! `acetate image` where disks are full, programs are killed, and many do the same at once.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use acetate_tests::{
    Fault, Mounted, Outcome, Proxy, Running, Server, World, acetate, files_below, have, needs_root,
    tool,
};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// An image with a layer of a size that takes a while, and one more.
const WORLD: &str = "
    //- Dockerfile
    FROM base
    COPY large /large
    COPY Dockerfile /one
";

/// A world whose image is in a registry, and its name there.
fn ground() -> Option<(World, Server, String)> {
    if !(have("skopeo") && have("docker-registry")) {
        return None;
    }
    let world = World::new(WORLD);
    // Bytes that no compression makes smaller.
    let mut seed = 1_u64;
    let mut byte = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        u8::try_from(seed >> 32 & 0xff).unwrap()
    };
    let bytes: Vec<u8> = (0..6_000_000).map(|_| byte()).collect();
    std::fs::write(world.context().join("large"), bytes).unwrap();
    let server = Server::registry(world.dir());
    let name = format!("{}/app:1", server.address);
    world.build(&["--push", &format!("-t{name}")]).ok();
    Some((world, server, name))
}

/// A command on a state directory of its own.
fn image(root: &Path, args: &[&str]) -> Command {
    let mut command = acetate();
    command.arg("--root").arg(root).arg("image").args(args);
    command
}

#[track_caller]
fn ok(root: &Path, args: &[&str]) -> String {
    Outcome::of(image(root, args)).ok().stdout
}

/// What writers leave behind that do not come to their end.
fn left(root: &Path) -> Vec<PathBuf> {
    let dirs = ["tmp", "trash", "live"].into_iter();
    dirs.flat_map(|dir| files_below(&root.join(dir))).collect()
}

#[track_caller]
fn prune(root: &Path) {
    let mut command = acetate();
    command.arg("--root").arg(root).args(["prune", "--force"]);
    Outcome::of(command).ok();
    assert_eq!(left(root), Vec::<PathBuf>::new());
}

#[test]
fn a_full_disk_while_images_come() {
    if needs_root() {
        return;
    }
    let Some((world, _server, name)) = ground() else {
        return;
    };
    let full = world.dir().join("full");
    ok(&full, &["pull", &name]);
    let archive = world.dir().join("archive.tar").display().to_string();
    ok(&full, &["save", &name, "-o", &archive]);
    tool("gzip", &["-k", "-1", &archive]);
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 4);
    let packed = format!("{archive}.gz");
    for (n, args) in [
        &["pull", &name][..],
        &["load", "-i", &archive],
        &["load", "-i", &packed],
        &["cp", &name, "local://copy"],
    ]
    .into_iter()
    .enumerate()
    {
        let root = world.dir().join(format!("small/root-{n}"));
        mounted.again("size=4m");
        let outcome = Outcome::of(image(&root, args));
        let words = ["no space left", "small/root", "hint: make room"];
        let outcome = outcome.fails(&words);
        assert_eq!(outcome.stderr.matches("ERROR").count(), 1, "{args:?}");
        mounted.again("size=100m");
        assert_eq!(ok(&root, &["ls", "-q"]), "", "{args:?}");
        prune(&root);
        ok(&root, args);
        assert_eq!(ok(&root, &["ls", "-q"]).lines().count(), 1, "{args:?}");
        std::fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn a_full_disk_where_an_archive_goes() {
    if needs_root() {
        return;
    }
    let Some((world, _server, name)) = ground() else {
        return;
    };
    let root = world.dir().join("full");
    ok(&root, &["pull", &name]);
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 4);
    let small = |what: &str| world.dir().join("small").join(what).display().to_string();
    let (tar, dir) = (small("out.tar"), small("dir"));
    let (oci, layout) = (format!("oci-archive:{tar}"), format!("oci-layout://{dir}"));
    let local = format!("local://{name}");
    for (args, dest, whole) in [
        (&["save", &name, "-o", &tar][..], &tar, &tar),
        (&["save", "--format=oci", &name, "-o", &tar], &tar, &tar),
        (&["cp", &local, &oci], &tar, &tar),
        (
            &["save", "--format=dir", &name, "-o", &dir],
            &dir,
            &small("dir/index.json"),
        ),
        (&["cp", &local, &layout], &dir, &small("dir/index.json")),
    ] {
        mounted.again("size=4m");
        Outcome::of(image(&root, args)).fails(&["o space left", dest]);
        assert!(!Path::new(whole).exists(), "half of {whole}");
        let partial = files_below(&world.dir().join("small")).into_iter();
        let partial: Vec<_> = partial
            .filter(|path| path.to_string_lossy().contains("partial"))
            .collect();
        assert_eq!(partial, Vec::<PathBuf>::new(), "{args:?}");
        mounted.again("size=100m");
        ok(&root, args);
        let again = world.dir().join("again");
        ok(&again, &["load", "-t", "again", "-i", dest]);
        std::fs::remove_dir_all(&again).unwrap();
        drop((std::fs::remove_file(&tar), std::fs::remove_dir_all(&dir)));
    }
}

/// Kills a command at many moments of its life.
fn killed(command: impl Fn() -> Command, mut check: impl FnMut()) {
    let began = Instant::now();
    Outcome::of(command()).ok();
    let whole = began.elapsed();
    for n in 0..12 {
        let running = Running::start(command());
        std::thread::sleep(whole * n / 11);
        running.signal(Signal::KILL);
        drop(running.wait());
        check();
    }
}

#[test]
fn killed_while_images_come() {
    let Some((world, _server, name)) = ground() else {
        return;
    };
    let full = world.dir().join("full");
    ok(&full, &["pull", &name]);
    let archive = world.dir().join("archive.tar").display().to_string();
    ok(&full, &["save", &name, "-o", &archive]);
    for args in [&["pull", &name][..], &["load", "-i", &archive]] {
        let root = world.fresh("killed");
        // What is listed is whole; then it is taken away for the next time.
        let check = || {
            if ok(&root, &["ls", "-q"]).is_empty() {
                return;
            }
            let copy = world.dir().join("copy.tar");
            ok(&root, &["save", &name, "-o", &copy.display().to_string()]);
            ok(&root, &["rm", &name]);
            prune(&root);
        };
        killed(|| image(&root, args), check);
        ok(&root, args);
        prune(&root);
        ok(&root, &["rm", &name]);
        let mut all = acetate();
        all.arg("--root")
            .arg(&root)
            .args(["prune", "--all", "--force"]);
        Outcome::of(all).ok();
        assert_eq!(files_below(&root.join("blobs")), Vec::<PathBuf>::new());
    }
}

#[test]
fn killed_while_images_go() {
    let Some((world, server, name)) = ground() else {
        return;
    };
    let root = world.dir().join("full");
    ok(&root, &["pull", &name]);
    let out = world.fresh("out");
    std::fs::create_dir(&out).unwrap();
    let archive = out.join("out.tar");
    let path = archive.display().to_string();
    ok(&root, &["save", &name, "-o", &path]);
    let whole = std::fs::read(&archive).unwrap();
    let save = || {
        drop(std::fs::remove_file(&archive));
        image(&root, &["save", &name, "-o", &path])
    };
    killed(save, || {
        // Under its name it is whole, or it is not there.
        if archive.exists() {
            assert!(std::fs::read(&archive).unwrap() == whole, "half an archive");
        }
    });
    ok(&root, &["save", &name, "-o", &path]);
    assert_eq!(files_below(&out), [PathBuf::from("out.tar")]);
    let n = std::cell::Cell::new(0);
    let target = |n: i32| format!("{}/again-{n}:1", server.address);
    let push = || {
        n.set(n.get() + 1);
        ok(&root, &["tag", &name, &target(n.get())]);
        image(&root, &["push", &target(n.get())])
    };
    killed(push, || {
        ok(&root, &["push", &target(n.get())]);
    });
    let digests = (1..=n.get()).map(|n| {
        let from = format!("docker://{}", target(n));
        tool(
            "skopeo",
            &[
                "inspect",
                "--tls-verify=false",
                "--format={{.Digest}}",
                &from,
            ],
        )
    });
    let mut digests: Vec<String> = digests.collect();
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

/// How often blobs were read and sent.
fn moved(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut moved = BTreeMap::new();
    for asked in proxy.seen() {
        let is_read = asked.method == "GET" && asked.path.contains("/blobs/sha256");
        if is_read {
            *moved.entry(asked.path).or_default() += 1;
        } else if asked.method == "PUT" && asked.path.contains("/blobs/uploads/") {
            *moved.entry("PUT".to_owned()).or_default() += 1;
        }
    }
    moved
}

#[track_caller]
fn ten_times(command: impl Fn() -> Command) {
    let running: Vec<Running> = (0..10).map(|_| Running::start(command())).collect();
    for one in running {
        one.wait().ok();
    }
}

#[test]
fn ten_that_pull_or_push_the_same_at_once() {
    let Some((world, server, name)) = ground() else {
        return;
    };
    let proxy = Proxy::to(&server.address, |asked| {
        // Long enough that all of them want it.
        if asked.method == "GET" && asked.path.contains("/blobs/") {
            Fault::Delay(Duration::from_millis(50))
        } else {
            Fault::Pass
        }
    });
    let root = world.dir().join("ten");
    let pulled = proxy.url("app:1").replace("http://", "");
    ten_times(|| image(&root, &["pull", &pulled]));
    let read = moved(&proxy);
    // One of them fetches a layer for all; a configuration is small, and each may read it.
    let once = read.values().filter(|n| **n == 1).count();
    let most = read.values().max().copied();
    assert!(once >= 3 && most <= Some(10), "{read:#?}");
    prune(&root);
    let dir = world.dir().join("other");
    std::fs::create_dir(&dir).unwrap();
    let other = Server::registry(&dir);
    let proxy = Proxy::to(&other.address, |_| Fault::Pass);
    let pushed = proxy.url("app:1").replace("http://", "");
    ok(&root, &["tag", &pulled, &pushed]);
    ten_times(|| image(&root, &["push", &pushed]));
    // Processes do not know of each other; each sends a blob once at most.
    let sent = moved(&proxy)["PUT"];
    assert!((4..=40).contains(&sent), "{sent}");
    let digest = |image: &str| {
        let from = format!("docker://{image}");
        tool(
            "skopeo",
            &[
                "inspect",
                "--tls-verify=false",
                "--format={{.Digest}}",
                &from,
            ],
        )
    };
    assert_eq!(digest(&pushed), digest(&name));
}
