//! A file of settings, and flags that win over it.

use crate::server::{Server, ac, record};
use reqwest::Method;
use std::process::Command;
use tempfile::TempDir;

fn file(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[tokio::test]
async fn a_file_opens_several_namespaces() {
    let (_dir, path) = file(
        "# what everybody may read\n\
         anonymous = ['public:read', 'mirror:write']\n\
         opaque = ['ccache', 'mirror/sccache']\n",
    );
    let server = Server::with(&["--config", &path]);
    let bytes = b"\xff\xffno record";
    for (namespace, put, got) in [
        ("mirror/sccache/x", 200, 200),
        ("mirror/other", 400, 404),
        ("public", 401, 404),
        ("secret", 401, 401),
        ("ccache", 401, 401),
    ] {
        let path = ac(namespace, "k");
        assert_eq!(
            server.status(Method::PUT, &path, bytes).await,
            put,
            "{path}"
        );
        assert_eq!(server.get(&path).await.0, got, "{path}");
    }
    let token = server.own_token();
    let server = server.token(&token);
    let path = ac("ccache", "k");
    assert_eq!(server.status(Method::PUT, &path, bytes).await, 200);
}

#[tokio::test]
async fn flags_win() {
    let (_dir, path) = file("max-size = '1K'\nlisten = '192.0.2.1:1'\nauth = '/nowhere'\n");
    // The port and the directory that the test gives are flags, too.
    let server = Server::with(&["--config", &path, "--max-size", "1M", "--insecure-open"]);
    server.put_content(&vec![7; 100_000]).await;
    let path = ac("", "k");
    assert_eq!(
        server.status(Method::PUT, &path, &record(&[], 0)).await,
        200
    );
}

#[test]
fn a_misspelt_setting_is_an_error() {
    let (dir, path) = file("max-szie = 3\n");
    let refused = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args(["--config", &path, "--dir"])
        .arg(dir.path().join("cache"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success()
            && stderr.contains("server.toml: unknown setting `max-szie`; did you mean `max-size`?"),
        "{stderr}"
    );
}
