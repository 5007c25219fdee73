//! Real clients, which know nothing of us: a second build on a clean machine hits.

use crate::server::{Server, have, peer};
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
async fn sccache_finds_what_another_machine_compiled() {
    let Some(sccache) = peer("sccache").filter(|_| have("gcc")) else {
        return;
    };
    let server = Server::with(&[]);
    let token = server.own_token();
    let server = server.token(&token);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.c"), PROGRAM).unwrap();
    let on = |machine: &str, args: &[&str]| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.unwrap().port().to_string();
        let start = |args: &[&str]| {
            // A server that does not come up must not hold up all tests; and what cargo says to
            // programs below it about jobs is not meant for this one.
            let mut command = Command::new("timeout");
            command
                .arg("30")
                .arg(&sccache)
                .args(args)
                .current_dir(dir.path())
                .env_clear()
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env("HOME", dir.path())
                .env("SCCACHE_SERVER_PORT", &port)
                .env("SCCACHE_IDLE_TIMEOUT", "20")
                .env("SCCACHE_DIR", dir.path().join(machine))
                .env("SCCACHE_WEBDAV_ENDPOINT", format!("{}/sccache", server.url))
                .env("SCCACHE_WEBDAV_KEY_PREFIX", "team/project");
            match machine {
                "one" => command.env("SCCACHE_WEBDAV_TOKEN", &token),
                _ => command
                    .env("SCCACHE_WEBDAV_USERNAME", "ci")
                    .env("SCCACHE_WEBDAV_PASSWORD", &token),
            };
            // What it leaves running would keep a pipe open.
            let said = std::fs::File::create(dir.path().join("said")).unwrap();
            command.stdout(said.try_clone().unwrap()).stderr(said);
            let ended = command.stdin(std::process::Stdio::null()).status().unwrap();
            let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
            assert!(ended.success(), "{command:?}: {said}");
            said
        };
        start(args);
        let told = start(&["--show-stats", "--stats-format=json"]);
        start(&["--stop-server"]);
        // What it says beside its answer comes first.
        let told = &told[told.find('{').unwrap_or(0)..];
        serde_json::from_str::<serde_json::Value>(told).unwrap()["stats"].clone()
    };
    let compile = ["gcc", "-c", "m.c", "-o", "m.o"];
    let first = on("one", &compile);
    assert_eq!(
        first["cache_hits"]["counts"],
        serde_json::json!({}),
        "{first}"
    );
    assert_eq!(first["cache_writes"], 1, "{first}");
    let stored = counter(&server, "acetate_records ").await;
    // The object, and one by which it finds out whether it may write.
    assert_eq!(stored, 2);
    let second = on("two", &compile);
    assert_eq!(second["cache_hits"]["counts"]["C/C++"], 1, "{second}");
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
