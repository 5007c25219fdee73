//! Who waits sees what the builder's step says.

use crate::server::{Server, ac, record};
use acetate_cache_api::log::{Frame, FrameReader, Stream};
use acetate_oci::Digest;
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::{Duration, Instant};

fn path(what: &str, key: &str) -> String {
    format!("/x/v1/org/{what}/{}", Digest::of(key.as_bytes()).hex())
}

async fn claim(server: &Server, key: &str) -> String {
    let claimed = server.send(Method::POST, &path("leases", key), b"").await;
    let claimed: Value = serde_json::from_str(&claimed.text().await.unwrap()).unwrap();
    claimed["lease"].as_str().unwrap().to_owned()
}

async fn append(server: &Server, key: &str, query: &str, bytes: &[u8]) -> u16 {
    let path = format!("{}?{query}", path("logs", key));
    server.status(Method::POST, &path, bytes).await
}

/// A log that is read as it comes.
struct Following {
    answer: Response,
    reader: FrameReader,
    frames: Vec<Frame>,
}

impl Following {
    async fn start(server: &Server, key: &str, from: u64) -> Self {
        let path = format!("{}?from={from}", path("logs", key));
        let answer = server.send(Method::GET, &path, b"").await;
        assert_eq!(answer.status().as_u16(), 200);
        Self {
            answer,
            reader: FrameReader::default(),
            frames: Vec::new(),
        }
    }

    /// Reads until so many bytes of the log have come.
    async fn until(&mut self, at: u64) {
        while self.frames.last().is_none_or(|frame| frame.next() < at) {
            let bytes = self.answer.chunk().await.unwrap().unwrap();
            self.frames.extend(self.reader.feed(&bytes).unwrap());
        }
    }

    /// Reads to the end and gives the text of each stream.
    async fn text(mut self) -> (String, String) {
        while let Some(bytes) = self.answer.chunk().await.unwrap() {
            self.frames.extend(self.reader.feed(&bytes).unwrap());
        }
        assert!(matches!(self.frames.last(), Some(Frame::End { .. })));
        let of = |wanted| {
            let all = self.frames.iter().filter_map(|frame| match frame {
                Frame::Bytes { stream, bytes, .. } if *stream == wanted => Some(&bytes[..]),
                _ => None,
            });
            String::from_utf8(all.collect::<Vec<_>>().concat()).unwrap()
        };
        (of(Stream::Out), of(Stream::Err))
    }
}

#[tokio::test]
async fn a_waiter_reads_along_until_the_record_is_there() {
    let server = Server::open();
    let lease = claim(&server, "k").await;
    let (out, err) = (
        format!("lease={lease}&stream=1"),
        format!("lease={lease}&stream=2"),
    );
    // Who is early waits for the first word.
    let mut early = Following::start(&server, "k", 0).await;
    assert_eq!(append(&server, "k", &out, b"hello ").await, 204);
    early.until(6).await;
    assert_eq!(append(&server, "k", &err, b"oops").await, 204);
    assert_eq!(append(&server, "k", &out, b"world").await, 204);
    early.until(15).await;
    let late = Following::start(&server, "k", 12).await;
    let put = server
        .status(Method::PUT, &ac("org", "k"), &record(&[], 0))
        .await;
    assert_eq!(put, 200);
    let texts = tokio::join!(early.text(), late.text());
    assert_eq!(texts.0, ("hello world".into(), "oops".into()));
    assert_eq!(texts.1, ("rld".into(), String::new()));
    // The lease is gone, so nobody can write; the log can be read for some seconds still.
    assert_eq!(append(&server, "k", &out, b"more").await, 410);
    let whole = Following::start(&server, "k", 0).await.text().await;
    assert_eq!(whole.0, "hello world");
}

#[tokio::test]
async fn only_the_holder_writes_and_only_who_may_read_reads() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let hash = acetate_cache_server::auth::TokenHash::of;
    let text = format!(
        "maker {} org:write\nreader {} org:read\nother {} else:read\n",
        hash("maker"),
        hash("reader"),
        hash("other")
    );
    std::fs::write(&auth, text).unwrap();
    let server = Server::with(&["--auth", auth.to_str().unwrap()]).token("maker");
    let lease = claim(&server, "k").await;
    let query = format!("lease={lease}&stream=1");
    for (query, status) in [
        ("lease=0123&stream=1", 410),
        ("stream=1", 410),
        (&format!("lease={lease}&stream=3"), 400),
        (&format!("lease={lease}"), 400),
        (&query, 204),
    ] {
        assert_eq!(append(&server, "k", query, b"x").await, status, "{query}");
    }
    assert_eq!(
        append(&server, "other", &query, b"x").await,
        410,
        "a lease of another key"
    );
    let long = format!("{}?{query}", path("logs", "k"));
    assert_eq!(server.head_only(&long, 300 << 10), 413);
    assert_eq!(server.get(&path("logs", "other")).await.0, 404);
    assert_eq!(server.get(&(path("logs", "k") + "?from=x")).await.0, 400);
    let server = server.token("reader");
    assert_eq!(append(&server, "k", &query, b"x").await, 403);
    let mut following = Following::start(&server, "k", 0).await;
    following.until(1).await;
    let server = server.token("other");
    assert_eq!(server.get(&path("logs", "k")).await.0, 403);
    assert_eq!(server.token("nobody").get(&path("logs", "k")).await.0, 401);
}

#[tokio::test]
async fn a_server_that_ends_does_not_wait_for_followers() {
    let server = Server::open();
    claim(&server, "k").await;
    let following = Following::start(&server, "k", 0).await;
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(following.text().await, (String::new(), String::new()));
    assert!(start.elapsed() < Duration::from_secs(10));
}
