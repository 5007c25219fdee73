//! The server dies at any point, and nothing that it acknowledged is lost.

use crate::server::{Server, ac, files, record};
use reqwest::Method;
use std::process::Command;

const OPEN: &[&str] = &["--insecure-open"];

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..12_u32 {
        for point in ["before-rename", "after-rename"] {
            let server = Server::start(dir, OPEN, Some(&format!("{point}:{}", round % 6)));
            for n in 0..4 {
                let key = format!("{round}-{point}-{n}");
                let content = key.as_bytes();
                let hex = acetate_oci::Digest::of(content).hex();
                let put = server
                    .try_send(Method::PUT, &format!("/cas/{hex}"), content)
                    .await;
                if put.is_err() {
                    break;
                }
                let path = ac("org", &key);
                let put = server
                    .try_send(Method::PUT, &path, &record(&[content], 1))
                    .await;
                if put.is_ok_and(|answer| answer.status().is_success()) {
                    acknowledged.push(path);
                }
            }
            dir = server.died_or_killed();
        }
    }
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    let server = Server::start(dir, OPEN, None);
    for path in &acknowledged {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
    assert_eq!(
        files(&server.dir.path().join("cache/tmp")),
        Vec::<String>::new()
    );
    let dir = server.kill();
    let verified = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args(["verify", "--dir"])
        .arg(dir.path().join("cache"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(text.contains(" sound, 0 damaged"), "{text}");
}

#[tokio::test]
async fn a_lost_index_loses_nothing() {
    let server = Server::open();
    server.put_content(b"x").await;
    server
        .send(Method::PUT, &ac("org/repo", "k"), &record(&[b"x"], 1))
        .await;
    let dir = server.kill();
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _absent = std::fs::remove_file(dir.path().join("cache").join(name));
    }
    std::fs::write(dir.path().join("cache/index.sqlite"), "no database").unwrap();
    let server = Server::start(dir, OPEN, None);
    assert_eq!(server.get(&ac("org/repo", "k")).await.0, 200);
    let text = server.get("/metrics").await.1;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("acetate_records 1") && text.contains("acetate_contents 1"),
        "{text}"
    );
}

#[tokio::test]
async fn damaged_content_is_found_and_removed() {
    let server = Server::open();
    let path = server.put_content(b"precious").await;
    let dir = server.kill();
    let cas = dir.path().join("cache/cas");
    let file = cas.join(&files(&cas)[0]);
    std::fs::write(&file, "tampered").unwrap();
    let verified = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args(["verify", "--dir"])
        .arg(dir.path().join("cache"))
        .output()
        .unwrap();
    assert!(!verified.status.success());
    let server = Server::start(dir, OPEN, None);
    assert_eq!(server.get(&path).await.0, 404);
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let server = Server::open();
    let second = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args(["--listen", "127.0.0.1:0", "--insecure-open", "--dir"])
        .arg(server.dir.path().join("cache"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(
        !second.status.success() && stderr.contains("in use by another server"),
        "{stderr}"
    );
}
