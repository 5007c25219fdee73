//! What a step finds where it asked for a mount.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use acetate_exec::{MountKind, Security};
use acetate_snapshot::RootMount;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::Test;
use crate::fixture::{Fixture, Step, names};
use crate::layers::{AGED, age, mtime};
use crate::sources::{
    check_files, directory, files, mount, overlay, read_only, secret, snapshot, tmpfs, within,
};

pub(crate) const TESTS: &[Test] = &[
    ("nested_mounts_in_any_order", nested_mounts_in_any_order),
    ("nested_mounts_behind_links", nested_mounts_behind_links),
    ("links_in_a_mount_count", links_in_a_mount_count),
    ("the_later_covers_the_earlier", the_later_covers_the_earlier),
    ("s80_one_snapshot_twice", one_snapshot_twice),
    ("links_of_a_snapshot_stay_inside", links_of_a_snapshot_stay),
    ("s71_no_link_leads_out_of_a_directory", no_link_leads_out),
    ("parts_of_a_directory", parts_of_a_directory),
    ("sources_that_do_not_exist", sources_that_do_not_exist),
    ("writes_to_a_snapshot_are_its_own", writes_to_a_snapshot),
    ("s66_tmpfs_has_its_size", tmpfs_has_its_size),
    ("tmpfs_has_the_covered_mode", tmpfs_has_the_covered_mode),
    ("places_that_cannot_be_mounted", places_that_cannot_be),
    ("kinds_that_do_not_fit", kinds_that_do_not_fit),
    ("the_working_directory_in_a_mount", working_directory),
    ("the_program_in_a_mount", the_program_in_a_mount),
    ("devices_in_mounts_cannot_be_opened", devices_in_mounts),
    ("generated_files_can_be_covered", generated_files_covered),
    ("memory_in_dev", memory_in_dev),
    ("an_insecure_step_has_mounts", an_insecure_step_has_mounts),
    ("a_step_cannot_undo_read_only", cannot_undo_read_only),
    ("eighty_mounts", eighty_mounts),
    ("no_path_of_the_host_is_seen", no_path_of_the_host_is_seen),
];

fn nested_mounts_in_any_order(f: &Fixture) {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let script = "echo 0 > /foo/0; echo 1 > /foo/bar/1; echo 2 > /foo/bar/baz/2; \
                      find /foo -type f | sort | xargs";
        let mut step = f.sh(script);
        age(&step.upper);
        let dirs = ["zero", "one", "two"].map(|name| files(&step, name));
        let targets = ["/foo", "/foo/bar", "/foo/bar/baz"];
        let one = |number: usize| mount(targets[number], directory(&dirs[number]));
        step.request.mounts = order.map(one).to_vec();
        let out = f.run(&step).stdout;
        assert_eq!(
            out,
            "/foo/0 /foo/a.txt /foo/bar/1 /foo/bar/a.txt /foo/bar/baz/2 /foo/bar/baz/a.txt \
             /foo/bar/baz/sub/b.txt /foo/bar/sub/b.txt /foo/sub/b.txt\n",
            "{order:?}"
        );
        for (number, dir) in dirs.iter().enumerate() {
            let expected = [
                number.to_string(),
                "a.txt".into(),
                "absolute".into(),
                "link".into(),
                "out".into(),
                "sub".into(),
                "sub/b.txt".into(),
                "sub/deep".into(),
            ];
            assert_eq!(names(dir), expected, "{order:?}");
        }
        assert_eq!(names(&step.upper), [""; 0]);
        assert_eq!(mtime(&step.upper), AGED);
    }
}

/// The deeper target by its words is the upper one in truth.
fn nested_mounts_behind_links(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    fs::create_dir_all(layer.path().join("a/b")).unwrap();
    symlink("/x", layer.path().join("a/b/c")).unwrap();
    let mut step = f.step_on(&[layer.path()], &["sh", "-c", "cat /x/a.txt /x/y/z"]);
    age(&step.upper);
    let below = step.dir.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("z"), "zeta\n").unwrap();
    step.request.mounts = vec![
        read_only("/x/y", directory(&below)),
        read_only("/a/b/c", snapshot(&overlay(&step, "snap"), "")),
    ];
    assert_eq!(f.run(&step).stdout, "alpha\nzeta\n");
    assert_eq!(names(&step.upper), [""; 0]);
    assert_eq!(mtime(&step.upper), AGED);
}

/// A target may lead through a link that only a mount brings.
fn links_in_a_mount_count(f: &Fixture) {
    let mut step = f.sh("cat /m/sub/s; ls /m/sub");
    let dir = files(&step, "cache");
    step.request.mounts = vec![
        read_only("/m/link/s", secret("hidden\n")),
        mount("/m", directory(&dir)),
    ];
    assert_eq!(f.run(&step).stdout, "hidden\nb.txt\ndeep\ns\n");
    check_files(&dir, false);
    // One that leads out of the root ends in it.
    let mut step = f.sh("cat /m/out/s; cat /sub/s");
    step.request.mounts = vec![
        read_only("/m/out/s", secret("hidden\n")),
        mount("/m", directory(&files(&step, "cache"))),
    ];
    assert_eq!(f.run(&step).stdout, "hidden\nhidden\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn the_later_covers_the_earlier(f: &Fixture) {
    let mut step = f.sh("cat /m; grep -c ' /m ' /proc/mounts");
    step.request.mounts = ["first\n", "second\n"]
        .map(|text| read_only("/m", secret(text)))
        .to_vec();
    assert_eq!(f.run(&step).stdout, "second\n2\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn one_snapshot_twice(f: &Fixture) {
    let mut step = f.sh("cat /whole/sub/b.txt /one; echo x > /whole/sub/b.txt; cat /one; ls /part");
    let snap = overlay(&step, "snap");
    step.request.mounts = vec![
        mount("/whole", snapshot(&snap, "/")),
        read_only("/one", snapshot(&snap, "sub/b.txt")),
        read_only("/part", snapshot(&snap, "sub")),
    ];
    let ran = f.run(&step);
    // It is one file system, seen at three places.
    assert_eq!(ran.stdout, "beta\nbeta\nx\nb.txt\ndeep\n", "{ran:?}");
    check_files(&step.dir.path().join("snap"), false);
}

fn links_of_a_snapshot_stay(f: &Fixture) {
    for (path, expected) in [
        ("absolute", "beta\n"),
        ("/absolute", "beta\n"),
        ("out/b.txt", "beta\n"),
        ("../../../a.txt", "alpha\n"),
        ("sub/../a.txt", "alpha\n"),
        ("link/deep/../b.txt", "beta\n"),
    ] {
        let mut step = f.step(&["cat", "/m"]);
        step.request.mounts = vec![read_only("/m", snapshot(&overlay(&step, "snap"), path))];
        assert_eq!(f.run(&step).stdout, expected, "{path}");
    }
}

#[track_caller]
fn refused(f: &Fixture, step: &Step) -> String {
    let error = f.try_run(step).unwrap_err();
    assert!(
        matches!(&error, acetate_exec::ExecError::Mount { .. }),
        "{error:?}"
    );
    error.to_string()
}

fn no_link_leads_out(f: &Fixture) {
    for path in [
        "out",
        "out/b.txt",
        "absolute",
        "..",
        "../cache",
        "link/../../x",
    ] {
        let mut step = f.step(&["ls", "/m"]);
        let dir = files(&step, "cache");
        step.request.mounts = vec![mount("/m", within(&dir, path))];
        assert_eq!(
            refused(f, &step),
            format!("mounting `/m` failed: `{path}` leads out of its source through a link")
        );
        check_files(&dir, false);
    }
}

fn parts_of_a_directory(f: &Fixture) {
    for (path, expected) in [
        ("", "a.txt absolute link out sub"),
        ("/", "a.txt absolute link out sub"),
        ("sub", "b.txt deep"),
        ("/sub/", "b.txt deep"),
        ("link", "b.txt deep"),
        ("sub/deep/..", "b.txt deep"),
        ("sub/deep", ""),
    ] {
        let mut step = f.sh("echo $(ls /m); touch /m/new");
        let dir = files(&step, "cache");
        step.request.mounts = vec![mount("/m", within(&dir, path))];
        assert_eq!(f.run(&step).stdout, format!("{expected}\n"), "{path}");
        assert!(dir.join(path.trim_matches('/')).join("new").is_file());
    }
}

fn sources_that_do_not_exist(f: &Fixture) {
    let absent = "`no/such` does not exist in its source";
    let mut step = f.step(&["true"]);
    let dir = files(&step, "cache");
    step.request.mounts = vec![mount("/m", within(&dir, "no/such"))];
    assert_eq!(refused(f, &step), format!("mounting `/m` failed: {absent}"));
    step = f.step(&["true"]);
    step.request.mounts = vec![mount("/m", snapshot(&overlay(&step, "snap"), "no/such"))];
    assert_eq!(refused(f, &step), format!("mounting `/m` failed: {absent}"));
    step = f.step(&["true"]);
    let gone = step.dir.path().join("gone");
    step.request.mounts = vec![mount("/m", directory(&gone))];
    assert_eq!(
        refused(f, &step),
        format!(
            "mounting `/m` failed: `{}`: No such file or directory (os error 2)",
            gone.display()
        )
    );
}

fn writes_to_a_snapshot(f: &Fixture) {
    let script = "echo x > /m/new; rm /m/a.txt; rm -r /m/sub; mkdir /m/sub; ls /m; touch /own";
    let mut step = f.sh(script);
    let snap = overlay(&step, "snap");
    step.request.mounts = vec![mount("/m", snapshot(&snap, ""))];
    assert_eq!(f.run(&step).stdout, "absolute\nlink\nnew\nout\nsub\n");
    check_files(&step.dir.path().join("snap"), false);
    assert_eq!(names(snap.writable()), ["a.txt", "new", "sub"]);
    assert_eq!(names(&step.upper), ["own"]);
}

fn tmpfs_has_its_size(f: &Fixture) {
    let script = "grep ' /mnt ' /proc/mounts; dd if=/dev/zero of=/mnt/x bs=64k count=2000 2>/dev/null || echo full";
    let mut step = f.sh(script);
    let size = Some(64 << 20);
    step.request.mounts = vec![mount("/mnt", MountKind::Tmpfs { size })];
    let out = f.run(&step).stdout;
    let (line, rest) = out.split_once('\n').unwrap();
    assert_eq!(
        line,
        "none /mnt tmpfs rw,nosuid,nodev,relatime,size=65536k 0 0"
    );
    assert_eq!(rest, "full\n");
    assert_eq!(names(&step.upper), [""; 0]);
    let mut step = f.sh("grep -o size=131072k /proc/mounts");
    let size = Some(128 << 20);
    step.request.mounts = vec![mount("/mnt", MountKind::Tmpfs { size })];
    assert_eq!(f.run(&step).stdout, "size=131072k\n");
    step.request.mounts = vec![mount("/mnt", MountKind::Tmpfs { size: Some(0) })];
    assert_eq!(
        refused(f, &step),
        "mounting `/mnt` failed: a size of 0 holds nothing"
    );
}

fn tmpfs_has_the_covered_mode(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    for (name, mode) in [("private", 0o700), ("group", 0o2775)] {
        let dir = layer.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "stat -c '%n %a %u %g' /private /group /tmp /missing";
    let mut step = f.step_on(&[layer.path()], &["sh", "-c", script]);
    let targets = ["/private", "/group", "/tmp", "/missing"];
    step.request.mounts = targets.map(|target| mount(target, tmpfs())).to_vec();
    assert_eq!(
        f.run(&step).stdout,
        "/private 700 0 0\n/group 2775 0 0\n/tmp 1777 0 0\n/missing 1777 0 0\n"
    );
    assert_eq!(names(&step.upper), [""; 0]);
}

fn places_that_cannot_be(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    symlink("/", layer.path().join("root-link")).unwrap();
    symlink("/proc", layer.path().join("proc-link")).unwrap();
    symlink("loop", layer.path().join("loop")).unwrap();
    let root = "the root itself cannot be a mount target";
    let relative = "the target is not an absolute path";
    let proc = "nothing can be mounted in `/proc`";
    for (target, reason) in [
        ("/", root),
        ("", relative),
        ("x/y", relative),
        ("/../.", root),
        ("/root-link", root),
        ("/tmp/../root-link/", root),
        ("/proc", proc),
        ("/proc/new", proc),
        ("/proc/sys/kernel", proc),
        ("/proc-link/x", proc),
        ("/dev", "nothing can be mounted as `/dev`"),
        ("/sys/", "nothing can be mounted as `/sys`"),
        ("/loop/x", "the target leads through too many links"),
        (
            "/bin/busybox/x",
            "the target, or something above it, is not a directory",
        ),
    ] {
        let mut step = f.step_on(&[layer.path()], &["true"]);
        step.request.mounts = vec![mount(target, tmpfs())];
        assert_eq!(
            refused(f, &step),
            format!("mounting `{target}` failed: {reason}")
        );
        assert_eq!(names(&step.upper), [""; 0], "{target}");
    }
}

fn kinds_that_do_not_fit(f: &Fixture) {
    let file = "the target is a directory, and what is mounted is a file";
    let dir = "the target, or something above it, is not a directory";
    for (target, source, reason) in [
        ("/tmp", secret("x"), file),
        ("/bin/busybox", tmpfs(), dir),
        ("/bin/sh/", tmpfs(), dir),
        ("/etc/hosts", tmpfs(), dir),
    ] {
        let mut step = f.step(&["true"]);
        step.request.mounts = vec![mount(target, source)];
        assert_eq!(
            refused(f, &step),
            format!("mounting `{target}` failed: {reason}")
        );
    }
}

fn working_directory(f: &Fixture) {
    let mut step = f.sh("pwd; cat a.txt");
    step.request.cwd = "/src".into();
    step.request.mounts = vec![read_only("/src", snapshot(&overlay(&step, "snap"), ""))];
    assert_eq!(f.run(&step).stdout, "/src\nalpha\n");
    assert_eq!(names(&step.upper), [""; 0]);
    // A missing one is made in the mount.
    let mut step = f.sh("pwd; echo x > here");
    let dir = files(&step, "cache");
    step.request.cwd = "/src/new/one".into();
    step.request.mounts = vec![mount("/src", directory(&dir))];
    assert_eq!(f.run(&step).stdout, "/src/new/one\n");
    assert_eq!(fs::read_to_string(dir.join("new/one/here")).unwrap(), "x\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn the_program_in_a_mount(f: &Fixture) {
    for argv in [["/tool/run", "x"], ["run", "x"]] {
        let mut step = f.step(&argv);
        let dir = step.dir.path().join("tool");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("run"), "#!/bin/sh\necho ran $1\n").unwrap();
        fs::set_permissions(dir.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        step.request.env = vec!["PATH=/tool:/bin".into()];
        step.request.mounts = vec![read_only("/tool", directory(&dir))];
        assert_eq!(f.run(&step).stdout, "ran x\n");
    }
    // On memory as well.
    let mut step = f.sh("printf '#!/bin/sh\\necho built' > /t/x; chmod +x /t/x; /t/x");
    step.request.mounts = vec![mount("/t", tmpfs())];
    assert_eq!(f.run(&step).stdout, "built\n");
}

fn devices_in_mounts(f: &Fixture) {
    let mut step = f.sh(
        "for d in /dir /snap /mem; do mknod $d/zero c 1 5 2>/dev/null; \
                         /test/prog open $d/zero; done",
    );
    let dir = files(&step, "cache");
    let node = |path: &Path| {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
    };
    node(&dir.join("zero"));
    let snap = overlay(&step, "snap");
    node(&step.dir.path().join("snap/zero"));
    step.request.mounts = vec![
        mount("/dir", directory(&dir)),
        mount("/snap", snapshot(&snap, "")),
        mount("/mem", tmpfs()),
    ];
    assert_eq!(
        f.run(&step).stdout,
        "open: EACCES\nopen: EACCES\nopen: EACCES\n"
    );
}

fn generated_files_covered(f: &Fixture) {
    let mut step = f.sh("cat /etc/hosts; cat /etc/resolv.conf");
    step.request.mounts = vec![
        read_only("/etc/hosts", secret("own hosts\n")),
        read_only("/etc/resolv.conf", secret("own servers\n")),
    ];
    assert_eq!(f.run(&step).stdout, "own hosts\nown servers\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn memory_in_dev(f: &Fixture) {
    let mut step = f.sh(
        "grep -o '/dev/[sm].*size=1024k' /proc/mounts | sort -u; cat /dev/token; ls -d /dev/null",
    );
    let size = Some(1 << 20);
    step.request.mounts = vec![
        mount("/dev/shm", MountKind::Tmpfs { size }),
        mount("/dev/more/deep", MountKind::Tmpfs { size }),
        read_only("/dev/token", secret("hidden\n")),
    ];
    let out = f.run(&step).stdout;
    assert_eq!(
        out,
        "/dev/more/deep tmpfs rw,nosuid,nodev,relatime,size=1024k\n\
         /dev/shm tmpfs rw,nosuid,nodev,relatime,size=1024k\nhidden\n/dev/null\n"
    );
    assert_eq!(names(&step.upper), [""; 0]);
}

fn an_insecure_step_has_mounts(f: &Fixture) {
    let mut step = f.sh("cat /m/a.txt /s; mount -o remount,rw,bind /m && echo x > /m/new; ls /m");
    step.request.security = Security::Insecure;
    let dir = files(&step, "cache");
    step.request.mounts = vec![
        read_only("/m", directory(&dir)),
        read_only("/s", secret("hidden\n")),
    ];
    let ran = f.run(&step);
    assert_eq!(
        ran.stdout, "alpha\nhidden\na.txt\nabsolute\nlink\nnew\nout\nsub\n",
        "an insecure step may do anything: {ran:?}"
    );
    assert_eq!(names(&step.upper), [""; 0]);
}

fn cannot_undo_read_only(f: &Fixture) {
    let script = "umount /m; mount -o remount,rw,bind /m; mount -t tmpfs none /m; rm /m/a.txt; \
                  rmdir /m; mv /m /n; echo $?; cat /m/a.txt";
    let mut step = f.sh(script);
    let dir = files(&step, "cache");
    step.request.mounts = vec![read_only("/m", directory(&dir))];
    assert_eq!(f.run(&step).stdout, "1\nalpha\n");
    check_files(&dir, false);
    assert_eq!(names(&step.upper), [""; 0]);
}

fn eighty_mounts(f: &Fixture) {
    let mut step = f.sh("cat /many/deep/*/s | sort -n | xargs");
    age(&step.upper);
    let numbers = 0..80;
    step.request.mounts = numbers
        .clone()
        .map(|n| read_only(&format!("/many/deep/{n}/s"), secret(format!("{n}\n"))))
        .collect();
    let expected: Vec<String> = numbers.map(|n| n.to_string()).collect();
    assert_eq!(f.run(&step).stdout, expected.join(" ") + "\n");
    assert_eq!(names(&step.upper), [""; 0]);
    assert_eq!(mtime(&step.upper), AGED);
}

fn no_path_of_the_host_is_seen(f: &Fixture) {
    let mut step = f.sh("cat /proc/mounts");
    let host = step.dir.path().display().to_string();
    step.request.mounts = vec![
        mount("/a", snapshot(&overlay(&step, "snap"), "sub")),
        mount("/b", snapshot(&RootMount::Dir(files(&step, "copy")), "")),
        mount("/c", directory(&files(&step, "cache"))),
    ];
    let out = f.run(&step).stdout;
    assert_eq!(
        out.lines().filter(|line| line.contains(&host)).count(),
        0,
        "{out}"
    );
    for target in [" /a ", " /b ", " /c "] {
        assert_eq!(out.matches(target).count(), 1, "{out}");
    }
}
