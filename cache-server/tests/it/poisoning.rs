//! What is not what it says it is, is refused and counted.

use crate::server::{Server, ac, record};
use acetate_oci::Digest;
use reqwest::Method;

async fn counted(server: &Server, line: &str) {
    let text = String::from_utf8(server.get("/metrics").await.1).unwrap();
    assert!(
        text.lines().any(|found| found == line),
        "no `{line}` in {text}"
    );
}

#[tokio::test]
async fn a_wrong_body_under_a_right_digest() {
    let server = Server::open();
    let right = Digest::of(b"right").hex();
    let path = format!("/cas/{right}");
    for wrong in [&b"wrong"[..], b"", b"right and more"] {
        assert_eq!(server.status(Method::PUT, &path, wrong).await, 400);
        assert_eq!(server.get(&path).await.0, 404, "nothing is left of it");
    }
    counted(&server, "acetate_wrong_content_total 3").await;
    // Where the right one is already, the wrong one changes nothing.
    server.put_content(b"right").await;
    server.status(Method::PUT, &path, b"wrong").await;
    assert_eq!(server.get(&path).await, (200, b"right".to_vec()));
}

#[tokio::test]
async fn a_write_without_a_token() {
    let server = Server::with(&[]);
    let path = ac("org", "k");
    assert_eq!(
        server.status(Method::PUT, &path, &record(&[], 1)).await,
        401
    );
    let token = server.own_token();
    let server = server.token(&token);
    counted(&server, "acetate_refused_total 1").await;
    assert_eq!(server.get(&path).await.0, 404);
}
