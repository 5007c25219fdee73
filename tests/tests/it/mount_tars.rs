//! Cache mounts as tars: out of one machine, into another.

use crate::shared_cache::root;
use acetate_tests::{Outcome, Running, World, acetate, files_below, needs_root};
use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TOLD: &str = r#"
    FROM base
    ARG SCRIPT
    RUN --mount=type=cache,id=deps,target=/deps eval "$SCRIPT"
"#;

struct Site(World);

impl Site {
    fn new() -> Self {
        Self(World::of(TOLD))
    }

    fn command(&self, machine: &str, script: &str) -> Command {
        let script = format!("--build-arg=SCRIPT={script}");
        self.0.command_in(&root(&self.0, machine), &[&script])
    }

    /// What a step says that has the mount.
    fn says(&self, machine: &str, script: &str) -> String {
        Outcome::of(self.command(machine, script)).ok().log()
    }

    fn cache(&self, machine: &str, args: &[&str]) -> Command {
        let mut command = acetate();
        command.arg("--root").arg(root(&self.0, machine));
        command.arg("cache").args(args);
        command
    }

    fn export(&self, machine: &str, args: &[&str]) -> Outcome {
        let all = [["export", "--mount"].as_slice(), args].concat();
        Outcome::of(self.cache(machine, &all))
    }

    fn import(&self, machine: &str, args: &[&str]) -> Outcome {
        let all = [["import", "--mount"].as_slice(), args].concat();
        Outcome::of(self.cache(machine, &all))
    }

    fn file(&self, name: &str) -> String {
        self.0.dir().join(name).display().to_string()
    }

    /// The directory of the one mount of a machine.
    fn dir(&self, machine: &str) -> PathBuf {
        let listed = Outcome::of(self.cache(machine, &["ls", "--mounts", "--json"])).ok();
        let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let dirs = listed["mounts"][0]["directories"]
            .as_array()
            .expect("directories");
        PathBuf::from(dirs.last().expect("one")["path"].as_str().expect("a path"))
    }

    /// Nothing is left over of what was not finished.
    #[track_caller]
    fn is_tidy(&self, machine: &str) {
        let left = files_below(&root(&self.0, machine).join("tmp"));
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

const FILL: &str = "cd /deps; mkdir -p sub/deep; echo 1 > one; ln one sub/two; ln -s ../one sub/link; \
    ln -s /etc/passwd out; mkfifo fifo; chmod 4750 one; chmod 1711 .; chown 7:8 sub; \
    truncate -s 40M sparse; head -c 3000000 /dev/urandom > large; touch -d @1000000000 one; \
    touch -h -d @1000000001 sub/link; touch -d @1000000003 .";

#[test]
fn a_mount_is_the_same_on_another_machine() {
    if needs_root() {
        return;
    }
    let site = Site::new();
    site.says("a", FILL);
    let made = site.dir("a").join("large");
    setxattr(&made, "user.note", b"a\nb=\0", XattrFlags::empty()).unwrap();
    let (first, second) = (site.file("deps.tar"), site.file("again.tar"));
    let told = site.export("a", &["deps", "-o", &first]).ok().stdout;
    assert!(
        told.starts_with("exported cache mount deps: tar of 44.9"),
        "{told}"
    );
    site.import("b", &["deps", &first]).ok();
    site.export("b", &["deps", "-o", &second]).ok();
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
    let tell = "cd /deps; for f in . one sub sub/two sub/link fifo; do \
                stat -c '%n %F %a %u %g %Y %h' $f; done; cat one; readlink out";
    let seen = site.says("b", tell);
    assert_eq!(seen, site.says("a", tell));
    assert!(
        seen.starts_with(". directory 1711 0 0 1000000003"),
        "{seen}"
    );
    assert!(
        seen.contains("sub/two regular file 4750 0 0 1000000000 2\n"),
        "{seen}"
    );
    let dir = site.dir("b");
    let mut note = [0; 16];
    let n = getxattr(dir.join("large"), "user.note", &mut note).unwrap();
    assert_eq!(&note[..n], b"a\nb=\0");
    assert_eq!(dir.join("sparse").metadata().unwrap().size(), 40 << 20);
    // Other programs read it, too.
    let mut tar = Command::new("tar");
    tar.args(["-tf", &first]);
    assert!(Outcome::of(tar).ok().stdout.contains("sub/two"));
}

#[test]
fn tars_are_packed_as_their_name_or_the_flag_says_and_go_through_pipes() {
    let site = Site::new();
    site.says("a", "echo 1 > /deps/one; truncate -s 5M /deps/zeros");
    let (packed, plain) = (site.file("deps.tar.zst"), site.file("plain.zst"));
    site.export("a", &["deps", "-o", &packed]).ok();
    assert!(Path::new(&packed).metadata().unwrap().size() < 50_000);
    site.export("a", &["deps", "-o", &plain, "--compression=none"])
        .ok();
    assert!(Path::new(&plain).metadata().unwrap().size() > 5_000_000);
    site.import("b", &["deps", &packed]).ok();
    assert_eq!(site.says("b", "ls /deps"), "one\nzeros\n");
    // Through a pipe from one to the other.
    let mut from = site.cache(
        "a",
        &["export", "--mount", "deps", "-o", "-", "--compression=zstd"],
    );
    let mut from = from
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut to = site.cache("c", &["import", "--mount", "deps", "-"]);
    to.stdin(from.stdout.take().unwrap());
    Outcome::of(to).ok();
    assert!(from.wait().unwrap().success());
    assert_eq!(site.says("c", "ls /deps"), "one\nzeros\n");
    // What GNU tar makes of a directory, without an entry for its top, and from a file at stdin.
    let gz = site.file("gnu.tgz");
    let mut tar = Command::new("tar");
    let dir = site.dir("a");
    Outcome::of({
        tar.args(["-czf", &gz, "-C"])
            .arg(dir)
            .args(["one", "zeros"]);
        tar
    })
    .ok();
    let mut to = site.cache("d", &["import", "--mount", "deps", "-"]);
    to.stdin(File::open(&gz).unwrap());
    Outcome::of(to).ok();
    let tell = "ls /deps; stat -c %a /deps; stat -c %s /deps/zeros";
    assert_eq!(site.says("d", tell), "one\nzeros\n755\n5242880\n");
}

/// The beginning of a tar of one entry.
fn bad_tar(path: &str, link: Option<&str>) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let name = path.as_bytes();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_size(0);
    if let Some(link) = link {
        header.set_entry_type(tar::EntryType::Link);
        header.set_link_name_literal(link).expect("a link");
    }
    header.set_cksum();
    [header.as_bytes().as_slice(), &[0; 1024]].concat()
}

#[test]
fn a_bad_file_changes_nothing() {
    let site = Site::new();
    site.says(
        "a",
        "echo precious > /deps/one; head -c 100000 /dev/urandom > /deps/two",
    );
    let (good, bad) = (site.file("good.tar.zst"), site.file("bad"));
    site.export("a", &["deps", "-o", &good]).ok();
    let whole = std::fs::read(&good).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    for (name, bytes) in [
        ("short", whole[..whole.len() / 2].to_vec()),
        ("flipped", flip(whole.len() / 2)),
        ("nothing", Vec::new()),
        ("text", b"not a tar at all\n".repeat(100)),
        ("up", bad_tar("../../evil", None)),
        ("absolute", bad_tar("a/../../evil", None)),
        ("link", bad_tar("evil", Some("../../one"))),
    ] {
        std::fs::write(&bad, bytes).unwrap();
        let outcome = site.import("a", &["deps", &bad]);
        assert_eq!(
            outcome.code, 1,
            "{name}: {} {}",
            outcome.stdout, outcome.stderr
        );
        assert!(
            outcome.stderr.contains("the tar is refused"),
            "{name}: {}",
            outcome.stderr
        );
        site.is_tidy("a");
    }
    site.import("a", &["deps", &site.file("absent")])
        .fails(&["failed to open"]);
    assert_eq!(
        site.says("a", "cat /deps/one; ls /deps"),
        "precious\none\ntwo\n"
    );
    // Nor does an export that cannot be written.
    let full = site.export("a", &["deps", "-o", "/dev/full"]);
    full.fails(&["failed to write", "No space left"]);
    site.export("a", &["other", "-o", &good])
        .fails(&["no cache mount is called `other`"]);
    assert_eq!(std::fs::read(&good).unwrap(), whole);
}

#[test]
fn what_a_step_uses_is_not_replaced_and_what_it_has_alone_is_not_read() {
    let site = Site::new();
    site.says("a", "echo 1 > /deps/one");
    let tar = site.file("deps.tar");
    site.export("a", &["deps", "-o", &tar]).ok();
    let dir = site.dir("a");
    let wait = |name: &str| {
        format!("touch /deps/{name}; until test -e /deps/go-{name}; do sleep 0.02; done")
    };
    let mut step = Running::start(site.command("a", &wait("mine")));
    step.until("the step", || dir.join("mine").exists());
    site.import("a", &["deps", &tar]).fails(&[
        "the cache mount \"deps\" is in use",
        "try again when the step has ended",
    ]);
    // Who shares it shares it with who reads it.
    site.export("a", &["deps", "-o", &tar]).ok();
    std::fs::write(dir.join("go-mine"), "").unwrap();
    step.wait().ok();
    assert_eq!(site.says("a", "ls /deps"), "go-mine\nmine\none\n");
    site.0
        .dockerfile(&TOLD.replace("target=/deps", "target=/deps,sharing=locked"));
    let mut step = Running::start(site.command("a", &wait("alone")));
    step.until("the step", || dir.join("alone").exists());
    site.export("a", &["deps", "-o", &tar]).fails(&["in use"]);
    std::fs::write(dir.join("go-alone"), "").unwrap();
    step.wait().ok();
    site.import("a", &["deps", &tar]).ok();
    assert_eq!(site.says("a", "ls /deps; true"), "mine\none\n");
    site.is_tidy("a");
}

#[test]
fn mounts_of_one_id_are_told_apart_by_their_attributes() {
    let site = Site::new();
    site.says("a", "echo root > /deps/who");
    let owned = TOLD.replace("target=/deps", "target=/deps,uid=7,mode=0700");
    site.0.dockerfile(&owned);
    site.says("a", "echo seven > /deps/who");
    let tar = site.file("deps.tar");
    site.export("a", &["deps", "-o", &tar])
        .fails(&["`deps` fits 2 of them"]);
    site.export("a", &["deps,uid=7", "-o", &tar])
        .fails(&["no cache mount is called `deps`"]);
    site.export("a", &["deps,uid=7,mode=0700", "-o", &tar]).ok();
    // A mount that is not there yet is the one that such a step makes.
    site.import("b", &["deps,uid=7,mode=0700", &tar]).ok();
    assert_eq!(site.says("b", "cat /deps/who"), "seven\n");
    site.import("c", &["deps", &tar]).ok();
    assert_eq!(
        site.says("c", "cat /deps/who 2>&1 || true"),
        "cat: can't open '/deps/who': No such file or directory\n"
    );
}

#[test]
fn only_what_somebody_vouches_for_enters_steps_that_want_signatures() {
    let site = Site::new();
    site.says("a", "echo 1 > /deps/one");
    let tar = site.file("deps.tar");
    site.export("a", &["deps", "-o", &tar]).ok();
    let list = site.0.dir().join("list");
    std::fs::write(&list, format!("{} main\n", crate::shared_signed::PUBLIC)).unwrap();
    let strict = format!(
        "--cache-from=type=http,url=http://127.0.0.1:9/org,trust={}",
        list.display()
    );
    for (machine, flags, seen) in [("b", [].as_slice(), ""), ("c", &["--vouch"], "one\n")] {
        site.import(machine, &[["deps", &tar].as_slice(), flags].concat())
            .ok();
        let mut build = site.command(machine, "ls /deps");
        build.arg(&strict);
        assert_eq!(Outcome::of(build).ok().log(), seen, "{machine}");
    }
}
