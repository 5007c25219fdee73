//! Content: what is under a digest has that digest.

use crate::server::{Server, files};
use acetate_oci::Digest;
use reqwest::Method;

#[tokio::test]
async fn content_comes_back_as_it_was() {
    let server = Server::open();
    for size in [0_usize, 1, 65536, 65537, 3_000_001] {
        let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let path = server.put_content(&bytes).await;
        assert_eq!(server.get(&path).await, (200, bytes.clone()), "{size}");
        let head = server.send(Method::HEAD, &path, b"").await;
        assert_eq!(head.headers()["content-length"], size.to_string().as_str());
        // Content is one collection, whatever namespace it is asked for in.
        assert_eq!(server.get(&format!("/a/b{path}")).await.0, 200);
    }
    let missing = format!("/cas/{}", Digest::of(b"missing").hex());
    assert_eq!(server.get(&missing).await.0, 404);
    assert_eq!(server.status(Method::HEAD, &missing, b"").await, 404);
}

#[tokio::test]
async fn parts_of_content() {
    let server = Server::open();
    let path = server.put_content(b"0123456789").await;
    for (range, status, body) in [
        ("bytes=2-4", 206, "234"),
        ("bytes=7-", 206, "789"),
        ("bytes=-1", 206, "9"),
        ("bytes=10-", 416, ""),
        ("chapters=1", 200, "0123456789"),
    ] {
        let answer = server
            .with_header(Method::GET, &path, ("range", range), b"")
            .await;
        assert_eq!(answer.status().as_u16(), status, "{range}");
        assert_eq!(answer.text().await.unwrap(), body, "{range}");
    }
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_leave_nothing() {
    let server = Server::open();
    let path = format!("/cas/{}", Digest::of(b"right").hex());
    assert_eq!(server.status(Method::PUT, &path, b"wrong").await, 400);
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(
        files(&server.dir.path().join("cache/cas")),
        Vec::<String>::new()
    );
    assert_eq!(
        files(&server.dir.path().join("cache/tmp")),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn content_that_is_there_is_taken_again() {
    let server = Server::open();
    let path = server.put_content(b"x").await;
    assert_eq!(server.status(Method::PUT, &path, b"x").await, 200);
    assert_eq!(server.get(&path).await, (200, b"x".to_vec()));
}

#[tokio::test]
async fn other_paths_and_methods() {
    let server = Server::open();
    let key = Digest::of(b"x").hex();
    for (method, path, status) in [
        (Method::GET, "/nothing".to_owned(), 404),
        (Method::GET, "/cas/xyz".to_owned(), 400),
        (Method::GET, format!("/a%2fb/cas/{key}"), 400),
        (Method::POST, format!("/cas/{key}"), 405),
        (Method::GET, "/healthz".to_owned(), 200),
        (Method::GET, "/readyz".to_owned(), 200),
    ] {
        assert_eq!(server.status(method, &path, b"").await, status, "{path}");
    }
}

#[tokio::test]
async fn many_objects_at_once() {
    let server = Server::open();
    let (a, b) = (Digest::of(b"aa").hex(), Digest::of(b"bb").hex());
    let data = "YWE=";
    let body = format!(
        r#"{{"requests":[{{"digest":{{"hash":"{a}","sizeBytes":"2"}},"data":"{data}"}},
            {{"digest":{{"hash":"{b}","sizeBytes":"2"}},"data":"{data}"}}]}}"#
    );
    let answer = server
        .send(Method::POST, "/v2/org/blobs:batchUpdate", body.as_bytes())
        .await;
    let text = answer.text().await.unwrap();
    assert!(
        text.contains(r#""code":0"#) && text.contains(r#""code":3"#),
        "{text}"
    );
    let asked = format!(
        r#"{{"blobDigests":[{{"hash":"{a}","sizeBytes":2}},{{"hash":"{b}","sizeBytes":2}}]}}"#
    );
    let answer = server
        .send(Method::POST, "/v2/blobs:findMissing", asked.as_bytes())
        .await;
    assert_eq!(
        answer.text().await.unwrap(),
        format!(r#"{{"missingBlobDigests":[{{"hash":"{b}","sizeBytes":2}}]}}"#)
    );
    let asked = format!(r#"{{"digests":[{{"hash":"{a}"}},{{"hash":"{b}"}}]}}"#);
    let answer = server
        .send(Method::POST, "/v2/blobs:batchRead", asked.as_bytes())
        .await;
    let text = answer.text().await.unwrap();
    assert!(
        text.contains(data) && text.contains(r#""code":5"#),
        "{text}"
    );
    let answer = server.send(Method::GET, "/v2/org/capabilities", b"").await;
    assert!(answer.text().await.unwrap().contains("SHA256"));
}
