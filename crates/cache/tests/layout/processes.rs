//! Builds in several processes, and kills at any instant of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use acetate_cache::SharedCache;
use acetate_store::Store;

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
        let out = victim.stdout.take().expect("it is piped");
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        let told: Vec<String> = lines.take(N_RESULTS).collect();
        assert_eq!(told.len(), N_RESULTS);
        names.extend(told);
        kill(victim);
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
        let mut out = BufReader::new(victim.stdout.take().expect("it is piped"));
        let mut text = String::new();
        // Each kill at another moment of the work: of the first write, and of one of the next.
        for _ in 0..n % 4 {
            out.read_line(&mut text).expect("a pipe can be read");
        }
        std::thread::sleep(Duration::from_micros(n * 1700));
        kill(victim);
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
        let mut victim = victim(&["stop-before-the-index", text(&dir)])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        let out = victim.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(out)
            .read_line(&mut line)
            .expect("it says so");
        assert_eq!(line, "published\n");
        kill(victim);
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

fn start(dir: &Path, name: &str) -> Child {
    victim(&["publish", text(dir), name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

fn kill(mut victim: Child) {
    victim.kill().expect("a running process can be killed");
    let status = victim.wait().expect("a killed process ends");
    assert_eq!(status.signal(), Some(9), "it failed on its own: {status}");
}

/// The victim: publishes results, each in a build of its own, and tells of each when it is written.
pub(crate) fn publish(dir: &Path, name: &str) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&temp.path().join("store")).expect("a store opens");
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
    let temp = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&temp.path().join("store")).expect("a store opens");
    wait(async {
        let cache = writer(dir, &store);
        cache.publish(&result("lost", noise("lost", 5000))).await;
        writeln!(std::io::stdout(), "published").expect("somebody listens");
        std::thread::park();
    });
}
