//! Tokens that change while the server runs.

use crate::server::{Server, ac};
use acetate_cache_server::auth::TokenHash;
use reqwest::Method;
use std::path::Path;
use std::time::{Duration, Instant};

fn line(name: &str) -> String {
    format!("{name} {} org:read\n", TokenHash::of(name))
}

/// What a token is told, once that is no more this.
async fn until_not(server: &Server, token: &str, status: u16) -> u16 {
    let start = Instant::now();
    loop {
        let found = status_of(server, token).await;
        if found != status {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never read again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status_of(server: &Server, token: &str) -> u16 {
    let header = format!("Bearer {token}");
    let path = ac("org", "k");
    let answer = server.with_header(Method::GET, &path, ("authorization", &header), b"");
    answer.await.status().as_u16()
}

fn start(auth: &Path) -> Server {
    std::fs::write(auth, line("first")).unwrap();
    Server::with(&["--auth", auth.to_str().unwrap()])
}

#[tokio::test]
async fn a_changed_file_is_read_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let server = start(&auth);
    assert_eq!(status_of(&server, "first").await, 404);
    assert_eq!(status_of(&server, "second").await, 401);
    // Written beside and renamed, as most programs do it.
    let other = dir.path().join("other");
    std::fs::write(&other, line("second")).unwrap();
    std::fs::rename(&other, &auth).unwrap();
    assert_eq!(until_not(&server, "second", 401).await, 404);
    assert_eq!(status_of(&server, "first").await, 401);
    // Written in place.
    std::fs::write(&auth, line("first") + &line("second")).unwrap();
    assert_eq!(until_not(&server, "first", 401).await, 404);
    assert_eq!(status_of(&server, "second").await, 404);
}

#[tokio::test]
async fn a_hang_up_reads_tokens_and_keeps_connections() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let server = start(&auth);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut open = std::net::TcpStream::connect(&address).unwrap();
    let mut get = async |token: &str| {
        use std::io::{Read, Write};
        let path = ac("org", "k");
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        open.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let n = open.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..n]).into_owned()
    };
    assert!(get("first").await.starts_with("HTTP/1.1 404"));
    // What cannot be used changes nothing.
    std::fs::write(&auth, "nonsense\n").unwrap();
    server.signal("HUP");
    std::fs::remove_file(&auth).unwrap();
    server.signal("HUP");
    assert!(get("first").await.starts_with("HTTP/1.1 404"));
    std::fs::write(&auth, line("second")).unwrap();
    server.signal("HUP");
    assert_eq!(until_not(&server, "second", 401).await, 404);
    assert!(
        get("second").await.starts_with("HTTP/1.1 404"),
        "the same connection"
    );
    assert!(get("first").await.starts_with("HTTP/1.1 401"));
}
