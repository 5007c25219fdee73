//! What breaks mounts: secrets that are no files, and kills while everything is mounted.

use acetate_tests::{Running, World, files_below, have, mounts_of, processes_of, tool};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const TWICE: &str = "
    FROM base
    RUN --mount=type=secret,id=s cat /run/secrets/s > /one
    RUN --mount=type=secret,id=s,env=TOKEN printf %s \"$TOKEN\" > /two
";

fn with_pipe(dockerfile: &str) -> (World, PathBuf, String) {
    let world = World::of(dockerfile);
    let pipe = world.dir().join("pipe");
    tool("mkfifo", &[pipe.to_str().expect("UTF-8")]);
    let flag = format!("--secret=id=s,src={}", pipe.display());
    (world, pipe, flag)
}

#[test]
fn a_secret_that_comes_out_of_a_pipe_is_there_for_every_step() {
    let (world, pipe, flag) = with_pipe(TWICE);
    let writer = std::thread::spawn(move || std::fs::write(pipe, "of-a-pipe").unwrap());
    let image = world.image(&[&flag]);
    writer.join().unwrap();
    assert_eq!(image.file("one"), "of-a-pipe");
    assert_eq!(image.file("two"), "of-a-pipe");
}

#[test]
fn a_build_that_waits_for_a_pipe_can_be_stopped() {
    let (world, pipe, flag) = with_pipe(TWICE);
    let mut running = Running::start(world.command(&[&flag]));
    let mut writer = None;
    running.until("a reader of the pipe", || {
        // Fails as long as nobody reads, and then keeps the reader waiting.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        writer = rustix::fs::open(&pipe, flags, Mode::empty()).ok();
        writer.is_some()
    });
    running.signal(Signal::TERM);
    let began = Instant::now();
    let ended = |pid: &str| !PathBuf::from(format!("/proc/{pid}")).exists();
    let pids = processes_of(&world.marker());
    while !pids
        .iter()
        .all(|line| ended(line.split(' ').next().unwrap()))
    {
        if began.elapsed() > Duration::from_secs(5) {
            running.signal(Signal::KILL);
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    running.wait().fails(&["the build was cancelled"]);
}

const EVERYTHING: &str = "
    FROM base AS source
    RUN echo one > /file
    FROM base
    ARG N
    RUN --mount=type=cache,target=/new/cache --mount=type=cache,target=/locked,sharing=locked \
        --mount=type=cache,target=/own,sharing=private --mount=type=tmpfs,target=/memory \
        --mount=type=secret,id=s --mount=type=secret,id=s,target=/deep/er/secret \
        --mount=target=/context,rw --mount=from=source,source=/file,target=/new/file \
        --mount=type=ssh --mount=type=ssh,target=/deep/socket \
        test -S $SSH_AUTH_SOCK && test -S /deep/socket && touch /context/x /memory/x \
        && echo $N > /new/cache/n && head -c 1000000 /dev/zero > /own/x && sleep 0.05
";

#[test]
fn s65_killed_with_everything_mounted_leaves_nothing() {
    if !have("ssh-agent") || !have("ssh-keygen") {
        return;
    }
    let world = World::of(EVERYTHING);
    let key = world.dir().join("key").display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    let secret = world.dir().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let secret = format!("--secret=id=s,src={}", secret.display());
    let ssh = format!("--ssh=default={key}");
    let began = Instant::now();
    world.image(&[&secret, &ssh, "--build-arg=N=first"]);
    let whole = began.elapsed();
    for n in 0..8_u32 {
        let arg = format!("--build-arg=N={n}");
        let running = Running::start(world.command(&[&secret, &ssh, &arg]));
        std::thread::sleep(whole * n / 7);
        running.signal(Signal::KILL);
        drop(running.wait());
        let end = Instant::now() + Duration::from_secs(5);
        while !processes_of(&world.marker()).is_empty() {
            let left = processes_of(&world.marker());
            assert!(Instant::now() < end, "left running: {left:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
    }
    let image = world.image(&[&secret, &ssh, "--build-arg=N=last"]);
    // Neither what was mounted nor what it was mounted on is in the layer.
    assert_eq!(image.listing(image.n_layers() - 1), "");
    world.acetate(&["prune", "--force"]).ok();
    for name in ["tmp", "trash", "live"] {
        let left = files_below(&world.root().join(name));
        assert_eq!(left, Vec::<PathBuf>::new(), "{name}");
    }
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.stored(), Vec::<PathBuf>::new());
}
