use super::bases::Bases;
use super::buildkit::BuildKit;
use super::case::Case;
use super::ground::Ground;
use super::outcome::Outcome;
use super::verdict::{Verdict, compare, difference};
use crate::program::acetate_path;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Cases that are built at the same time.
const AT_ONCE: usize = 4;

/// What acetate is compared with.
#[derive(Debug, Clone, Copy)]
pub enum Against<'a> {
    /// What is kept of BuildKit.
    Goldens,
    /// The same, once it is seen that BuildKit still does that.
    BuildKit(&'a BuildKit),
}

/// The bases and the state directory of one run.
struct Run {
    dir: TempDir,
    bases: Bases,
}

impl Run {
    fn new() -> Self {
        // Built here, and not by whichever case comes first.
        acetate_path();
        let dir = tempfile::tempdir().expect("a directory");
        let bases = Bases::write(&dir.path().join("bases"));
        Self { dir, bases }
    }

    fn build(&self, case: &Case, mut command: Command, dest: &str) -> Outcome {
        let ground = Ground::new(case);
        let out = ground.path("out").join(dest);
        let flags = self.bases.flags(case);
        let args = case.args.iter().map(|arg| ground.places.filled(arg));
        command.args(flags).args(args).arg("--progress=plain");
        if !case.args.iter().any(|arg| arg.starts_with("--output")) {
            command.arg(format!("--output=type=oci,dest={}", out.display()));
        }
        let envs = case.env.iter();
        command.envs(envs.map(|(name, value)| (name, ground.places.filled(value))));
        command.arg(ground.context());
        let output = command
            .current_dir(ground.path("home"))
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let local = ground.path("out/local");
        let out = if local.exists() { local } else { out };
        Outcome::read(&ground, &output, &out, &self.bases.below)
    }

    fn acetate(&self, case: &Case) -> Outcome {
        let mut command = Command::new(acetate_path());
        command.env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.dir.path());
        command.arg("--root").arg(self.dir.path().join("root"));
        command.arg("build");
        self.build(case, command, "image.tar")
    }

    fn buildkit(&self, case: &Case, buildkit: &BuildKit) -> Outcome {
        self.build(case, buildkit.build(), "image.tar")
    }
}

/// Compares acetate with what it should do, case by case.
pub fn run(cases: &[Case], against: Against<'_>) -> Vec<(Case, Verdict)> {
    let run = Run::new();
    each(cases, |case| verdict(&run, case, against))
}

fn verdict(run: &Run, case: &Case, against: Against<'_>) -> Verdict {
    let kept = |ending: &str| {
        let text = std::fs::read_to_string(case.beside(ending)).ok()?;
        Some(Outcome::of_kept(&text))
    };
    let Some(golden) = kept("golden") else {
        return Verdict::Stale("nothing is kept of BuildKit: bless it".to_owned());
    };
    if let Against::BuildKit(buildkit) = against {
        let now = run.buildkit(case, buildkit);
        if let Some(text) = difference(&golden, &now) {
            return Verdict::Stale(text);
        }
        if let Some(words) = case.says.iter().find(|words| !now.said.contains(*words)) {
            return Verdict::Stale(format!("BuildKit does not say `{words}`:\n{}", now.error));
        }
    }
    let own = run.acetate(case);
    compare(case, &golden, kept("acetate").as_ref(), &own)
}

/// Keeps what BuildKit does now, and what acetate does where it is meant to differ.
pub fn bless(cases: &[Case], buildkit: &BuildKit) -> Vec<(Case, Verdict)> {
    let run = Run::new();
    let write = |case: &Case, ending: &str, outcome: &Outcome| {
        std::fs::write(case.beside(ending), outcome.kept()).expect("an outcome is kept");
    };
    each(cases, |case| {
        let golden = run.buildkit(case, buildkit);
        write(case, "golden", &golden);
        let own = run.acetate(case);
        match &case.expected {
            Some(_) => write(case, "acetate", &own),
            None => remove(&case.beside("acetate")),
        }
        if let Some(words) = case.says.iter().find(|words| !golden.said.contains(*words)) {
            return Verdict::Stale(format!(
                "BuildKit does not say `{words}`:\n{}",
                golden.error
            ));
        }
        let kept = case.expected.is_some().then_some(&own);
        compare(case, &golden, kept, &own)
    })
}

fn remove(path: &Path) {
    if path.exists() {
        std::fs::remove_file(path).expect("an outcome that is kept no longer is removed");
    }
}

/// Runs every case on a few threads; the results are in the order of the cases.
fn each(cases: &[Case], judge: impl Fn(&Case) -> Verdict + Sync) -> Vec<(Case, Verdict)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = catch_unwind(AssertUnwindSafe(|| judge(case)));
                    let judged = judged.unwrap_or_else(|panic| Verdict::Stale(words(&*panic)));
                    let mut results = results.lock().expect("no thread panicked");
                    results.push((case.clone(), judged));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panicked");
    results.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    results
}

/// What a case that cannot even be made or read says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    text.unwrap_or_else(|| "the case panicked".to_owned())
}
