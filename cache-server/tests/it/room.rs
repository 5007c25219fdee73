//! A limit on bytes.

use crate::server::{Server, ac, record};
use reqwest::Method;

/// So many bytes that are unlike those of any other number.
fn bytes(n: u8, len: usize) -> Vec<u8> {
    vec![n; len]
}

#[tokio::test]
async fn what_has_no_room_is_refused_before_it_is_sent() {
    let server = Server::with(&["--insecure-open", "--max-size", "100K"]);
    server.put_content(&bytes(1, 60_000)).await;
    let path = format!("/cas/{}", acetate_oci::Digest::of(&bytes(2, 60_000)).hex());
    let full = server.send(Method::PUT, &path, &bytes(2, 60_000)).await;
    assert_eq!(full.status().as_u16(), 507);
    assert_eq!(full.headers()["retry-after"], "30");
    // What is there already needs no room.
    server.put_content(&bytes(1, 60_000)).await;
    // What fits still fits, and what was refused has left no trace in the count.
    for n in 3..6 {
        server.put_content(&bytes(n, 10_000)).await;
    }
}

#[tokio::test]
async fn records_go_before_what_they_name_and_the_cheap_ones_first() {
    let server = Server::with(&["--insecure-open", "--max-size", "1M"]);
    // Of equal size; the second one saves a thousand times as much.
    for (key, n, saved) in [("cheap", 1, 1_000), ("dear", 2, 1_000_000)] {
        let content = bytes(n, 480_000);
        server.put_content(&content).await;
        let record = record(&[&content], saved);
        assert_eq!(server.status(Method::PUT, &ac("", key), &record).await, 200);
    }
    server.put_content(&bytes(3, 50_000)).await;
    let removed = server
        .send(Method::POST, "/x/v1/gc", b"")
        .await
        .text()
        .await
        .unwrap();
    assert!(removed.contains(r#""records":1"#), "{removed}");
    assert_eq!(server.get(&ac("", "cheap")).await.0, 404);
    assert_eq!(server.get(&ac("", "dear")).await.0, 200);
    // What it named was used a moment ago: an upload may be about to name it.
    let content = format!("/cas/{}", acetate_oci::Digest::of(&bytes(1, 480_000)).hex());
    assert_eq!(server.get(&content).await.0, 200);
}
