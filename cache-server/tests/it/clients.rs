//! Real clients, which know nothing of us: a second build on a clean machine hits.

use crate::server::{Server, have};
use std::process::Command;

const PROGRAM: &str = "int main(void) { return 0; }\n";

async fn counter(server: &Server, name: &str) -> u64 {
    let text = String::from_utf8(server.get("/metrics").await.1).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {stderr}");
    stderr + &String::from_utf8_lossy(&output.stdout)
}

#[tokio::test]
async fn ccache_finds_what_another_machine_compiled() {
    if !have("ccache") || !have("gcc") {
        return;
    }
    let server = Server::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.c"), PROGRAM).unwrap();
    let compile = |machine: &str| {
        let mut command = Command::new("ccache");
        command
            .args(["gcc", "-c", "m.c", "-o", "m.o"])
            .current_dir(dir.path())
            .env("CCACHE_DIR", dir.path().join(machine))
            .env(
                "CCACHE_REMOTE_STORAGE",
                format!("{}/ccache/project|layout=bazel", server.url),
            );
        run(&mut command);
    };
    compile("one");
    let stored = counter(&server, "acetate_records ").await;
    assert!(stored > 0);
    let hits = counter(&server, "acetate_lookups_total{result=\"hit\"} ").await;
    compile("two");
    assert!(counter(&server, "acetate_lookups_total{result=\"hit\"} ").await > hits);
    assert_eq!(counter(&server, "acetate_records ").await, stored);
}

#[tokio::test]
async fn bazel_finds_what_another_machine_built() {
    if !have("bazel") || !have("gcc") {
        return;
    }
    let server = Server::open();
    let dir = tempfile::tempdir().unwrap();
    let workspace = dir.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    let rule = "genrule(name = 'm', srcs = ['m.c'], outs = ['m.o'], \
                cmd = 'gcc -c $(location m.c) -o $@')\n";
    for (name, text) in [("WORKSPACE", ""), ("BUILD", rule), ("m.c", PROGRAM)] {
        std::fs::write(workspace.join(name), text).unwrap();
    }
    let build = |machine: &str| {
        let mut command = Command::new("bazel");
        command
            .arg(format!(
                "--output_user_root={}",
                dir.path().join(machine).display()
            ))
            .arg("--max_idle_secs=1")
            .args(["build", "//:m", "--noshow_progress"])
            .arg(format!("--remote_cache={}/bazel/project", server.url))
            .current_dir(&workspace);
        run(&mut command)
    };
    let first = build("one");
    assert!(!first.contains("remote cache hit"), "{first}");
    let second = build("two");
    assert!(second.contains("1 remote cache hit"), "{second}");
    for machine in ["one", "two"] {
        let mut shutdown = Command::new("bazel");
        shutdown
            .arg(format!(
                "--output_user_root={}",
                dir.path().join(machine).display()
            ))
            .arg("shutdown")
            .current_dir(&workspace);
        run(&mut shutdown);
        // What it unpacked for itself cannot be written, so it could not be removed.
        run(Command::new("chmod")
            .args(["-R", "u+w"])
            .arg(dir.path().join(machine)));
    }
}
