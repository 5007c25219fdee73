//! Who may do what.

use crate::server::{Server, ac, record};
use reqwest::Method;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
}

#[tokio::test]
async fn a_server_without_a_file_of_tokens_is_not_open() {
    let server = Server::with(&[]);
    assert_eq!(server.get(&ac("", "k")).await.0, 401);
    assert_eq!(server.status(Method::PUT, &ac("", "k"), b"").await, 401);
    assert_eq!(server.get("/metrics").await.0, 401);
    assert_eq!(server.get("/").await.0, 401);
    assert_eq!(server.get("/healthz").await.0, 200);
    let path = server.dir.path().join("cache/token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = server.own_token();
    let server = server.token(&token);
    assert_eq!(
        server
            .status(Method::PUT, &ac("a", "k"), &record(&[], 0))
            .await,
        200
    );
    assert_eq!(server.get("/").await.0, 200);
}

#[test]
fn open_is_for_loopback_only() {
    let dir = tempfile::tempdir().unwrap();
    let refused = program()
        .args(["--listen", "0.0.0.0:0", "--insecure-open", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && stderr.contains("loopback only"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_open_server_answers_to_its_own_names_only() {
    let server = Server::open();
    let strange = server
        .with_header(Method::GET, "/healthz", ("host", "evil.example"), b"")
        .await;
    assert_eq!(strange.status().as_u16(), 421);
    let known = server
        .with_header(Method::GET, "/healthz", ("host", "localhost:80"), b"")
        .await;
    assert_eq!(known.status().as_u16(), 200);
}

#[tokio::test]
async fn a_pull_request_reads_but_does_not_write_what_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let token = |name: &str, scopes: &[&str]| {
        let mut command = program();
        command.args(["token", "--name", name, "--auth"]).arg(&auth);
        for scope in scopes {
            command.args(["--scope", scope]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let main = token("main", &["org/repo:write"]);
    let pull = token("pr", &["org/repo:read", "org/repo/pr-17:write"]);
    let text = std::fs::read_to_string(&auth).unwrap();
    assert!(
        !text.contains(&main) && !text.contains(&pull),
        "secrets are not kept"
    );

    let server = Server::with(&["--auth", auth.to_str().unwrap()]).token(&main);
    assert_eq!(
        server
            .status(Method::PUT, &ac("org/repo", "k"), &record(&[], 1))
            .await,
        200
    );
    let server = server.token(&pull);
    assert_eq!(
        server
            .status(Method::PUT, &ac("org/repo", "k"), &record(&[], 2))
            .await,
        403
    );
    assert_eq!(
        server.get(&ac("org/repo/pr-17", "k")).await.1,
        record(&[], 1)
    );
    assert_eq!(
        server
            .status(Method::PUT, &ac("org/repo/pr-17", "k"), &record(&[], 2))
            .await,
        200
    );
    assert_eq!(
        server.get(&ac("org/repo/pr-17", "k")).await.1,
        record(&[], 2)
    );
    // The lineage of a name that is only similar is another one.
    assert_eq!(server.get(&ac("org/repo-evil", "k")).await.0, 403);
    assert_eq!(
        server
            .status(Method::DELETE, &ac("org/repo/pr-17", "k"), b"")
            .await,
        403
    );
    let metrics = Server::with(&[]);
    assert_eq!(metrics.token("wrong").get("/metrics").await.0, 401);
}
