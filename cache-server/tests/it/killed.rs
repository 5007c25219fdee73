//! The server dies at any point, and nothing that it acknowledged is lost.

use crate::server::{Server, ac, files, record};
use acetate_oci::Digest;
use reqwest::Method;
use std::process::Command;
use tempfile::TempDir;

const OPEN: &[&str] = &["--insecure-open"];

/// How many kills, together for both tests.
#[expect(
    clippy::disallowed_methods,
    reason = "the long run is asked for by hand"
)]
fn kills() -> u32 {
    let asked = std::env::var("ACETATE_KILLS").ok();
    asked.map_or(40, |kills| kills.parse().unwrap())
}

/// What was answered with success.
#[derive(Debug)]
struct Acknowledged {
    record: String,
    content: Vec<u8>,
}

/// Writes content and a record of it a few times, until the server dies.
async fn write(server: &Server, round: u32, done: &mut Vec<Acknowledged>) -> Result<(), ()> {
    for n in 0..4_u32 {
        let name = format!("{round}-{n}");
        let content = name.repeat(500).into_bytes();
        let path = format!("/cas/{}", Digest::of(&content).hex());
        let put = server.try_send(Method::PUT, &path, &content).await;
        put.map_err(drop)?;
        let path = ac("org", &name);
        let body = record(&[&content], 1);
        let put = server.try_send(Method::PUT, &path, &body).await;
        if put.map_err(drop)?.status().is_success() {
            let record = path;
            done.push(Acknowledged { record, content });
        }
    }
    Ok(())
}

/// What the server counts is what lies on the disk, and nothing is half done.
async fn check_counts(server: &Server) {
    let cache = server.dir.path().join("cache");
    let (cas, ac) = (files(&cache.join("cas")), files(&cache.join("ac")));
    let records: Vec<_> = ac.iter().filter(|path| !path.ends_with("name")).collect();
    let sizes = cas.iter().map(|path| cache.join("cas").join(path));
    let sizes = sizes.chain(records.iter().map(|path| cache.join("ac").join(path)));
    let bytes: u64 = sizes
        .map(|path| std::fs::metadata(path).unwrap().len())
        .sum();
    let text = String::from_utf8(server.get("/metrics").await.1).unwrap();
    for line in [
        format!("acetate_used_bytes {bytes}"),
        format!("acetate_contents {}", cas.len()),
        format!("acetate_records {}", records.len()),
    ] {
        assert!(text.lines().any(|l| l == line), "no `{line}` in {text}");
    }
    assert_eq!(files(&cache.join("tmp")), Vec::<String>::new());
}

fn verify(dir: &TempDir) {
    let verified = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args(["verify", "--dir"])
        .arg(dir.path().join("cache"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(text.contains(" sound, 0 damaged"), "{text}");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut dir = tempfile::tempdir().unwrap();
    let mut done = Vec::new();
    let mut died = 0;
    let rounds = kills() * 3 / 5;
    for round in 0..rounds {
        let points = [
            "before-rename",
            "after-rename",
            "before-record",
            "before-settled",
        ];
        let point = points[round as usize % points.len()];
        let server = Server::start(dir, OPEN, Some(&format!("{point}:{}", round / 4 % 4)));
        check_counts(&server).await;
        let before = done.len();
        let is_dead = write(&server, round, &mut done).await.is_err();
        died += u32::from(is_dead);
        dir = server.ended(is_dead);
        if done.len() == before {
            continue;
        }
        // What was acknowledged last is what a lost write would take.
        let server = Server::start(dir, OPEN, None);
        for Acknowledged { record, content } in &done[before..] {
            assert_eq!(server.get(record).await.0, 200, "{point} {record}");
            let path = format!("/cas/{}", Digest::of(content).hex());
            assert_eq!(server.get(&path).await, (200, content.clone()));
        }
        dir = server.kill();
    }
    assert_eq!(died, rounds, "each died at its point");
    verify(&dir);
    let server = Server::start(dir, OPEN, None);
    for Acknowledged { record, .. } in &done {
        assert_eq!(server.get(record).await.0, 200, "{record}");
    }
    check_counts(&server).await;
}

/// Records that a round of collecting can choose from; they all name the same content.
const MANY: u32 = 40;

#[tokio::test]
async fn a_kill_while_room_is_made_leaves_whole_records() {
    let content = vec![7; 1000];
    let content_path = format!("/cas/{}", Digest::of(&content).hex());
    let body = record(&[&content], 1);
    let paths: Vec<String> = (0..MANY).map(|n| ac("org", &n.to_string())).collect();
    // All of them fit, and are a little above the mark.
    let limit = (body.len() * paths.len() + content.len()) * 102 / 100;
    let flags = ["--insecure-open", "--max-size", &limit.to_string()];
    let mut dir = tempfile::tempdir().unwrap();
    let mut died = 0;
    let rounds = kills() * 2 / 5;
    for round in 0..rounds {
        let server = Server::start(dir, &flags, None);
        server.put_content(&content).await;
        for path in &paths {
            // Writing needs room, also in the place of what is there.
            if server.get(path).await.0 == 404 {
                assert_eq!(server.status(Method::PUT, path, &body).await, 200);
            }
        }
        dir = server.kill();
        let point = ["after-remove", "between-removals"][round as usize % 2];
        let server = Server::start(dir, &flags, Some(&format!("{point}:{}", round / 2 % 4)));
        check_counts(&server).await;
        let collected = server.try_send(Method::POST, "/x/v1/gc", b"").await;
        died += u32::from(collected.is_err());
        dir = server.ended(collected.is_err());
        let server = Server::start(dir, &flags, None);
        check_counts(&server).await;
        assert_eq!(server.get(&content_path).await, (200, content.clone()));
        let mut left = 0;
        for path in &paths {
            let (status, found) = server.get(path).await;
            assert!(status == 404 || (status, &found) == (200, &body), "{path}");
            left += usize::from(status == 200);
        }
        assert!(left < paths.len() && left > paths.len() / 2, "{left}");
        dir = server.kill();
    }
    assert_eq!(died, rounds, "each died at its point");
    verify(&dir);
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
