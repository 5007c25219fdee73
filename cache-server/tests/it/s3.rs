//! Servers over an S3 server on loopback: the program as it is run, and kills.

use crate::node::{bytes, cas, until};
use crate::server::{Server, ac, files, peer, record};
use reqwest::Method;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

const ID: &str = "fleet-id";
const SECRET: &str = "fleet-secret";

/// An S3 server with one bucket, killed with this value.
#[derive(Debug)]
pub(crate) struct S3 {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl S3 {
    /// None where the program is not there.
    pub(crate) fn start() -> Option<Self> {
        let program = peer("versitygw")?;
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("fleet")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(program)
            .args(["--access", ID, "--secret", SECRET, "--quiet"])
            .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let s3 = Self { child, port, dir };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no S3 server");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(s3)
    }

    fn url(&self, bucket: &str) -> String {
        format!(
            "s3://{bucket}/cache?endpoint=http://127.0.0.1:{}&region=us-east-1&path-style=true\
             &allow-http=true",
            self.port
        )
    }

    /// A server over it, with a directory of its own.
    pub(crate) fn server(&self) -> Server {
        let storage = self.url("fleet");
        let flags = ["--insecure-open", "--storage", &storage];
        Server::start_in(tempfile::tempdir().unwrap(), &flags, &credentials())
    }

    /// All objects, and all that is on the way to become one.
    fn files(&self) -> Vec<String> {
        let mut files = files(self.dir.path());
        files.retain(|file| !file.starts_with(".vgwlocks"));
        files
    }

    fn path(&self, bytes: &[u8]) -> PathBuf {
        let hex = acetate_oci::Digest::of(bytes).hex();
        let cas = self.dir.path().join("fleet/cache/cas");
        cas.join(&hex[..2]).join(hex)
    }
}

fn credentials() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)]
}

#[tokio::test]
async fn a_fleet_of_two() {
    let Some(s3) = S3::start() else { return };
    let (first, second) = (s3.server(), s3.server());
    let (small, large) = (bytes(1, 5000), bytes(2, (20 << 20) + 3));
    for content in [&small, &large] {
        first.put_content(content).await;
        assert_eq!(second.get(&cas(content)).await, (200, content.clone()));
        assert!(s3.path(content).exists());
    }
    let body = record(&[&small, &large], 5);
    assert_eq!(first.status(Method::PUT, &ac("org", "k"), &body).await, 200);
    assert_eq!(second.get(&ac("org", "k")).await, (200, body));
    let only_new = ("if-none-match", "*");
    for round in 0..10 {
        let path = ac("org", &format!("race {round}"));
        let one = async |n: u64| {
            let server = if n.is_multiple_of(2) { &first } else { &second };
            let body = record(&[], n);
            let answer = server.with_header(Method::PUT, &path, only_new, &body);
            answer.await.status().as_u16()
        };
        let all = futures_util::future::join_all((0..6).map(one)).await;
        let won = all.iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "{all:?}");
        assert_eq!(first.get(&path).await, second.get(&path).await);
    }
    // What the bucket lost is a miss for whoever has no copy of it.
    std::fs::remove_file(s3.path(&small)).unwrap();
    let third = s3.server();
    assert_eq!(third.get(&ac("org", "k")).await.0, 404);
    assert_eq!(third.get(&cas(&small)).await.0, 404);
}

#[tokio::test]
async fn a_server_that_is_killed_in_an_upload_leaves_nothing_to_see() {
    let Some(s3) = S3::start() else { return };
    let (first, second) = (s3.server(), s3.server());
    let content = bytes(3, 40 << 20);
    let before = s3.files();
    let address = first.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        cas(&content),
        content.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&content[..30 << 20]).await.unwrap();
    until("a part", async || s3.files().len() > before.len() + 1).await;
    let dir = first.kill();
    assert_eq!(second.get(&cas(&content)).await.0, 404);
    assert!(!s3.path(&content).exists());
    let storage = s3.url("fleet");
    let flags = ["--insecure-open", "--storage", &storage];
    let first = Server::start_in(dir, &flags, &credentials());
    let tmp = first.dir.path().join("cache/tmp");
    assert_eq!(files(&tmp), Vec::<String>::new());
    assert_eq!(first.get(&cas(&content)).await.0, 404);
    first.put_content(&content).await;
    assert_eq!(second.get(&cas(&content)).await, (200, content));
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_told_as_such() {
    let Some(s3) = S3::start() else { return };
    let server = s3.server();
    let content = bytes(4, 5000);
    server.put_content(&content).await;
    let elsewhere = bytes(5, 5000);
    assert_eq!(server.get("/readyz").await.0, 200);
    drop(s3);
    let start = Instant::now();
    for (method, path, body) in [
        (Method::GET, ac("org", "k"), &b""[..]),
        (Method::GET, cas(&elsewhere), b""),
        (Method::HEAD, cas(&elsewhere), b""),
        (Method::PUT, cas(&elsewhere), &elsewhere),
        (Method::PUT, ac("org", "k"), &record(&[], 1)),
        (Method::GET, "/readyz".to_owned(), b""),
    ] {
        let answer = server.send(method.clone(), &path, body).await;
        assert_eq!(answer.status().as_u16(), 503, "{method} {path}");
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    // Many would build in the time that a dead bucket takes.
    assert!(start.elapsed() < Duration::from_secs(40));
    assert_eq!(server.get(&cas(&content)).await, (200, content));
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() {
    let Some(s3) = S3::start() else { return };
    let wrong = [
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
    ];
    for (url, environment, part) in [
        (
            s3.url("absent"),
            credentials(),
            "the bucket cannot be written",
        ),
        (s3.url("fleet"), wrong, "the bucket cannot be written"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
            .args(["--listen", "127.0.0.1:0", "--insecure-open"])
            .args(["--storage", &url, "--dir"])
            .arg(dir.path())
            .envs(environment)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(part),
            "{stderr}"
        );
        assert!(!stderr.contains(SECRET), "{stderr}");
    }
}
