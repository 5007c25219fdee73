//! [`Fixture`]: a busybox image and fresh layers on it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use acetate_exec::{CancelToken, ExecError, ExecOutcome, ExecRequest, Executor, Stream};
use acetate_snapshot::RootMount;
use tempfile::TempDir;

const PROGRAMS: &str = include_str!("programs.c");
const PROGRAM_32: &str = include_str!("program32.c");

/// One executor with the base image of all tests.
pub(crate) struct Fixture {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) name: &'static str,
    dir: TempDir,
}

/// What a step left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: ExecOutcome,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A step that was not run yet, and its layers.
pub(crate) struct Step {
    pub(crate) request: ExecRequest,
    pub(crate) upper: PathBuf,
    pub(crate) dir: TempDir,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Fixture {
    pub(crate) fn new(executor: Arc<dyn Executor>, name: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let base = dir.path().join("base");
        make_base(&base);
        Self {
            executor,
            name,
            dir,
        }
    }

    /// The lowest layer: no `/etc`, no mount points.
    pub(crate) fn base(&self) -> PathBuf {
        self.dir.path().join("base")
    }

    /// A step over the base and more layers (lowest first).
    pub(crate) fn step_on(&self, layers: &[&Path], argv: &[&str]) -> Step {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        let (upper, work) = (dir.path().join("upper"), dir.path().join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let mut lower: Vec<PathBuf> = layers.iter().rev().map(|path| path.to_path_buf()).collect();
        lower.push(self.base());
        let root = RootMount::Overlay {
            lower,
            upper: upper.clone(),
            work,
        };
        let mut request = request(root, argv);
        request.mount_points = Some(acetate_exec::mount_points(self.dir.path()).unwrap());
        Step {
            request,
            upper,
            dir,
        }
    }

    pub(crate) fn step(&self, argv: &[&str]) -> Step {
        self.step_on(&[], argv)
    }

    pub(crate) fn sh(&self, script: &str) -> Step {
        self.step(&["sh", "-c", script])
    }

    /// Runs a shell script and returns what it printed; it must succeed.
    #[track_caller]
    pub(crate) fn out(&self, script: &str) -> String {
        let ran = self.run(&self.sh(script));
        assert!(ran.outcome.status.success(), "{script:?}: {ran:?}");
        ran.stdout
    }

    #[track_caller]
    pub(crate) fn run(&self, step: &Step) -> Ran {
        self.try_run(step)
            .unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(crate) fn try_run(&self, step: &Step) -> Result<Ran, ExecError> {
        run_with(&*self.executor, &step.request)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

pub(crate) fn request(root: RootMount, argv: &[&str]) -> ExecRequest {
    let mut request = ExecRequest::new(root, argv.iter().copied());
    request.env = vec!["PATH=/usr/bin:/bin".into(), "HOME=/root".into()];
    request
}

pub(crate) fn run_with(executor: &dyn Executor, request: &ExecRequest) -> Result<Ran, ExecError> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut log = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    };
    let outcome = executor.run(request, &mut log, &CancelToken::new().unwrap())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran {
        outcome,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

pub(crate) fn make_base(base: &Path) {
    for dir in ["bin", "tmp", "test", "root"] {
        fs::create_dir_all(base.join(dir)).unwrap();
    }
    fs::set_permissions(base.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy("/bin/busybox", base.join("bin/busybox")).unwrap();
    let applets = Command::new("/bin/busybox")
        .arg("--list")
        .output()
        .unwrap()
        .stdout;
    for applet in String::from_utf8(applets)
        .unwrap()
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", base.join("bin").join(applet)).unwrap();
    }
    compile(PROGRAMS, &["-static", "-pthread"], &base.join("test/prog"));
    if cfg!(target_arch = "x86_64") {
        let flags = [
            "-m32",
            "-static",
            "-nostdlib",
            "-ffreestanding",
            "-fno-pic",
            "-no-pie",
        ];
        compile(PROGRAM_32, &flags, &base.join("test/prog32"));
    }
}

fn compile(source: &str, flags: &[&str], to: &Path) {
    let file = to.with_extension("c");
    fs::write(&file, source).unwrap();
    let status = Command::new("cc")
        .args(["-O1", "-w", "-o"])
        .arg(to)
        .arg(&file)
        .args(flags)
        .status()
        .expect("a C compiler is there");
    assert!(status.success());
    fs::remove_file(file).unwrap();
}

/// Everything below `dir`, with types, modes, sizes and modification times.
pub(crate) fn tree(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    fn walk(dir: &Path, name: &str, out: &mut Vec<String>) {
        let meta = fs::symlink_metadata(dir).unwrap();
        let size = if meta.is_dir() { 0 } else { meta.len() };
        out.push(format!(
            "{name} {:o} {}:{} {size} {}.{:09}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
        if meta.is_dir() {
            let mut names: Vec<_> = fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            for child in names {
                let child = child.to_str().unwrap();
                walk(&dir.join(child), &format!("{name}/{child}"), out);
            }
        }
    }
    let mut out = Vec::new();
    walk(dir, "", &mut out);
    out
}

/// The names below `dir`, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = tree(dir);
    entries
        .iter()
        .skip(1)
        .map(|line| line.split(' ').next().unwrap()[1..].to_owned())
        .collect()
}
