//! Clients that are slow, silent or many: none of them takes the server from the others.

use crate::server::files;
use acetate_cache_server::auth::{Policy, Trust};
use acetate_cache_server::gc::Marks;
use acetate_cache_server::{Config, Limits, open, serve};
use acetate_oci::Digest;
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::SystemClock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

struct Slow {
    address: SocketAddr,
    dir: TempDir,
    task: JoinHandle<()>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Slow {
    async fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            dir: dir.path().join("cache"),
            max_bytes: None,
            marks: Marks::default(),
            policy: Policy::Open,
            trust: Trust::default(),
            opaque: Vec::new(),
            raw: vec!["sccache".parse().unwrap()],
            only_hosts: None,
            limits,
            durability: Durability::Fast,
        };
        let app = open(config, Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(app, listener, None, std::future::pending()));
        Self { address, dir, task }
    }

    /// Connects and sends this.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// An upload whose head was read and whose body has not begun.
    async fn waiting_upload(&self, n: u8, size: u64) -> TcpStream {
        let mut stream = self
            .send(&(put(n, size) + "expect: 100-continue\r\n\r\n"))
            .await;
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }
}

fn put(n: u8, size: u64) -> String {
    let hex = Digest::of(&[n]).hex();
    format!("PUT /cas/{hex} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n")
}

/// All that the server says until it closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut all)).await;
    // A connection that is reset was closed, too.
    let _end = read.expect("the server closes");
    String::from_utf8_lossy(&all).into_owned()
}

fn quick() -> Limits {
    Limits {
        idle: SHORT,
        silence: SHORT,
        ..Limits::default()
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Slow::start(quick()).await;
    for text in [
        "",
        "GET /healthz HTT",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n",
    ] {
        let mut stream = server.send(text).await;
        assert!(!rest(&mut stream).await.contains("200"), "{text}");
    }
    // So is one that was used.
    let mut stream = server
        .send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_silent_body_is_given_up() {
    let server = Slow::start(quick()).await;
    let mut stream = server.send(&(put(1, 100_000) + "\r\nsome")).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408"));
    assert!(files(&server.dir.path().join("cache/tmp")).is_empty());
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let limits = Limits {
        rate: 100_000,
        ..quick()
    };
    let server = Slow::start(limits).await;
    let stream = server.send(&(put(1, 100_000) + "\r\n")).await;
    let (mut read, mut write) = stream.into_split();
    let trickle = async {
        let mut every = tokio::time::interval(Duration::from_millis(10));
        // It is never silent, and never fast enough.
        while write.write_all(b"drop").await.is_ok() {
            every.tick().await;
        }
    };
    let mut answer = [0; 12];
    let answered = async {
        let read = tokio::time::timeout(LONG, read.read_exact(&mut answer)).await;
        read.expect("the server answers").unwrap();
    };
    tokio::select! {
        () = trickle => {}
        () = answered => {}
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_the_next_one_gets_the_place() {
    let limits = Limits {
        connections: 1,
        ..quick()
    };
    let server = Slow::start(limits).await;
    let blob = vec![7; 32 << 20];
    let path = format!("/cas/{}", Digest::of(&blob).hex());
    let url = format!("http://{}{path}", server.address);
    let client = reqwest::Client::builder().build().unwrap();
    let stored = client.put(&url).body(blob).send().await.unwrap();
    assert_eq!(stored.status().as_u16(), 201);
    drop((stored, client));
    let mut silent = server
        .send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
        .await;
    let mut first = [0; 12];
    silent.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // There is room for one connection: this one is answered when the other one is closed.
    let mut next = server
        .send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    assert!(rest(&mut next).await.starts_with("HTTP/1.1 200"));
    assert!(rest(&mut silent).await.len() < 32 << 20);
}

#[tokio::test]
async fn one_token_does_not_take_all_memory() {
    let limits = Limits {
        body_bytes: 1000,
        ..Limits::default()
    };
    let server = Slow::start(limits).await;
    let post = |path: &str, size: u64| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n")
    };
    let find = "/v2/blobs:findMissing";
    // One is always let through, whatever its size; its body has not begun.
    let mut first = server
        .send(&(post(find, 2000) + "expect: 100-continue\r\n\r\n"))
        .await;
    let mut answer = [0; 25];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    for path in [find, "/x/v1/ac:batchGet", "/x/v1/misses"] {
        let mut refused = server
            .send(&(post(path, 1) + "connection: close\r\n\r\n"))
            .await;
        let answer = rest(&mut refused).await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{path}: {answer}");
    }
    // Who goes away gives back what it had.
    drop(first);
    let start = std::time::Instant::now();
    let body = "{\"blobDigests\":[]}";
    loop {
        let head = post(find, body.len() as u64) + "connection: close\r\n\r\n";
        let mut next = server.send(&(head + body)).await;
        if rest(&mut next).await.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(start.elapsed() < LONG, "the room was never given back");
    }
}

#[tokio::test]
async fn one_token_does_not_take_all_uploads() {
    let limits = Limits {
        uploads: 2,
        upload_bytes: 1000,
        ..Limits::default()
    };
    let server = Slow::start(limits).await;
    let first = server.waiting_upload(1, 900).await;
    let refused = async |size| {
        let mut stream = server
            .send(&(put(3, size) + "connection: close\r\n\r\n"))
            .await;
        rest(&mut stream).await
    };
    let answer = refused(200).await;
    assert!(
        answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 1\r\n"),
        "{answer}"
    );
    let second = server.waiting_upload(2, 100).await;
    assert!(refused(0).await.starts_with("HTTP/1.1 429"));
    // Who goes away gives back what it had.
    drop((first, second));
    let mut third = server.send(&(put(7, 1) + "\r\n\x07")).await;
    let mut answer = [0; 12];
    third.read_exact(&mut answer).await.unwrap();
    let start = std::time::Instant::now();
    while &answer != b"HTTP/1.1 201" {
        assert!(start.elapsed() < LONG, "the room was never given back");
        third = server.send(&(put(7, 1) + "\r\n\x07")).await;
        third.read_exact(&mut answer).await.unwrap();
    }
}
