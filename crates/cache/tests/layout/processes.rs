//! Builds in several processes, and kills at any instant of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use acetate_cache::SharedCache;
use acetate_store::Store;
use tempfile::TempDir;

use crate::common::{found, noise, result, victim, wait, writer};

const N_RESULTS: usize = 15;
const N_KILLS: u64 = 25;

pub(crate) fn test() {
    at_once();
    killed_at_any_instant();
    killed_before_the_index();
}

/// Nothing that any process was told to be written is lost.
fn at_once() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let dir = temp.path().join("cache");
    let victims = ["a", "b", "c"].map(|name| start(&dir, name));
    let mut names = Vec::new();
    for mut victim in victims {
        let lines = victim.out().lines().map_while(Result::ok);
        let told: Vec<String> = lines.take(N_RESULTS).collect();
        assert_eq!(told.len(), N_RESULTS);
        names.extend(told);
        victim.kill();
    }
    assert_eq!(found(&dir, &names), names);
}

/// Whatever was killed, and whenever: the layout can be read, and what was acknowledged is there.
fn killed_at_any_instant() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let dir = temp.path().join("cache");
    let mut names: Vec<String> = Vec::new();
    for n in 0..N_KILLS {
        let mut victim = start(&dir, &format!("round {n}"));
        let mut out = victim.out();
        let mut text = String::new();
        // Each kill at another moment of the work: of the first write, and of one of the next.
        for _ in 0..n % 4 {
            out.read_line(&mut text).expect("a pipe can be read");
        }
        std::thread::sleep(Duration::from_micros(n * 1700));
        victim.kill();
        out.read_to_string(&mut text).expect("a pipe can be read");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        names.extend(whole.lines().map(str::to_owned));
        assert_eq!(found(&dir, &names), names);
    }
}

/// A blob that no index names is no harm, and the next build cleans up.
fn killed_before_the_index() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let dir = temp.path().join("cache");
    for n in 0..2 {
        let mut victim = Victim::start(&["stop-before-the-index", text(&dir)]);
        let mut line = String::new();
        victim.out().read_line(&mut line).expect("it says so");
        assert_eq!(line, "published\n");
        victim.kill();
        // What a build leaves that dies while it writes.
        let left = dir.join(format!("ingest/1-{n}"));
        std::fs::write(&left, "half a blob").expect("the directory is there");
        let names = ["first".to_owned(), "second".to_owned(), "lost".to_owned()];
        assert_eq!(found(&dir, &names), names[..n]);
        let store = Store::open(&temp.path().join("store")).expect("a store opens");
        let cache = writer(&dir, &store);
        let report = wait(async {
            cache
                .publish(&result(&names[n], noise(&names[n], 5000)))
                .await;
            cache.close().await
        });
        assert_eq!(report.warnings, []);
        assert_eq!(found(&dir, &names), names[..=n]);
        assert!(!left.exists(), "what the dead build left is removed");
    }
}

/// A process that does not outlive its test, whatever becomes of that.
struct Victim(Child);

impl Victim {
    fn start(args: &[&str]) -> Self {
        let mut command = victim(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().expect("this binary starts"))
    }

    /// What it says.
    fn out(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().expect("it is piped"))
    }

    fn kill(mut self) {
        self.0.kill().expect("a running process can be killed");
        let status = self.0.wait().expect("a killed process ends");
        assert_eq!(status.signal(), Some(9), "it failed on its own: {status}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

fn start(dir: &Path, name: &str) -> Victim {
    Victim::start(&["publish", text(dir), name])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// The victim: publishes results, each in a build of its own, and tells of each when it is written.
pub(crate) fn publish(dir: &Path, name: &str) {
    let (_temp, store) = own_store(dir);
    wait(async {
        for n in 0.. {
            let name = format!("{name} {n}");
            let cache = writer(dir, &store);
            cache.publish(&result(&name, noise(&name, 200_000))).await;
            let report = cache.close().await;
            assert_eq!(report.warnings, []);
            if writeln!(std::io::stdout(), "{name}").is_err() {
                // Whoever listened has heard enough, and kills.
                std::thread::park();
            }
        }
    });
}

/// The victim: publishes a result, and is to be killed before its record is written.
pub(crate) fn stop_before_the_index(dir: &Path) {
    let (_temp, store) = own_store(dir);
    wait(async {
        let cache = writer(dir, &store);
        cache.publish(&result("lost", noise("lost", 5000))).await;
        writeln!(std::io::stdout(), "published").expect("somebody listens");
        std::thread::park();
    });
}

/// A store that vanishes with the test, also when its process was killed.
fn own_store(dir: &Path) -> (TempDir, Arc<Store>) {
    let beside = dir.parent().expect("the test's own directory");
    let temp = tempfile::tempdir_in(beside).expect("a temporary directory");
    let store = Store::open(&temp.path().join("store")).expect("a store opens");
    (temp, store)
}
