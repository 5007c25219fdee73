//! Records: served and taken only when all that they name is here.

use crate::server::{Server, ac, record};
use reqwest::Method;

#[tokio::test]
async fn a_record_needs_what_it_names() {
    let server = Server::open();
    let path = ac("org/repo", "k");
    let body = record(&[b"one", b"two"], 5);
    server.put_content(b"one").await;
    let refused = server.send(Method::PUT, &path, &body).await;
    assert_eq!(refused.status().as_u16(), 409);
    let missing = acetate_oci::Digest::of(b"two").hex();
    assert!(refused.text().await.unwrap().contains(&missing));
    server.put_content(b"two").await;
    assert_eq!(server.status(Method::PUT, &path, &body).await, 200);
    assert_eq!(server.get(&path).await, (200, body.clone()));
    // What it names is lost: it is a miss, and no error.
    let content = format!("/cas/{missing}");
    assert_eq!(server.status(Method::DELETE, &content, b"").await, 204);
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(server.status(Method::HEAD, &path, b"").await, 404);
    server.put_content(b"two").await;
    assert_eq!(server.get(&path).await.0, 200);
}

#[tokio::test]
async fn a_body_that_is_no_record_is_refused_but_where_anything_goes() {
    let server = Server::open();
    let refused = server
        .send(Method::PUT, &ac("org", "k"), b"\xff\xffnothing")
        .await;
    assert_eq!(refused.status().as_u16(), 400);
    assert!(refused.text().await.unwrap().contains("--opaque"));
    let path = ac("ccache/project", "k");
    assert_eq!(
        server.status(Method::PUT, &path, b"\xff\xffnothing").await,
        200
    );
    assert_eq!(server.get(&path).await, (200, b"\xff\xffnothing".to_vec()));
}

#[tokio::test]
async fn a_namespace_sees_what_is_above_it_and_nothing_beside() {
    let server = Server::open();
    let body = record(&[], 0);
    server.send(Method::PUT, &ac("org", "k"), &body).await;
    let below = server
        .send(Method::GET, &ac("org/repo/pr-1", "k"), b"")
        .await;
    assert_eq!(below.status().as_u16(), 200);
    assert_eq!(below.headers()["x-acetate-namespace"], "org");
    for other in ["", "org2", "or"] {
        assert_eq!(server.get(&ac(other, "k")).await.0, 404, "{other}");
    }
    let own = record(&[], 7);
    server.send(Method::PUT, &ac("org/repo", "k"), &own).await;
    assert_eq!(server.get(&ac("org/repo", "k")).await.1, own);
    assert_eq!(server.get(&ac("org", "k")).await.1, body);
}

#[tokio::test]
async fn a_record_can_be_made_only_where_there_is_none() {
    let server = Server::open();
    let path = ac("", "k");
    let only_new = ("if-none-match", "*");
    let first = server
        .with_header(Method::PUT, &path, only_new, &record(&[], 1))
        .await;
    assert_eq!(first.status().as_u16(), 200);
    let second = server
        .with_header(Method::PUT, &path, only_new, &record(&[], 2))
        .await;
    assert_eq!(second.status().as_u16(), 412);
    assert_eq!(server.get(&path).await.1, record(&[], 1));
    // Without the condition the newer one wins.
    assert_eq!(
        server.status(Method::PUT, &path, &record(&[], 3)).await,
        200
    );
    assert_eq!(server.get(&path).await.1, record(&[], 3));
}

#[tokio::test]
async fn of_many_who_make_a_record_one_wins() {
    let server = Server::open();
    for round in 0..10 {
        let path = ac("org", &format!("race {round}"));
        let only_new = ("if-none-match", "*");
        let one = async |n: u64| {
            let body = record(&[], n);
            let answer = server.with_header(Method::PUT, &path, only_new, &body);
            (answer.await.status().as_u16(), body)
        };
        let all = futures_util::future::join_all((0..8).map(one)).await;
        let winners: Vec<_> = all.iter().filter(|(status, _)| *status == 200).collect();
        assert_eq!(winners.len(), 1, "{all:?}");
        assert!(all.iter().all(|(status, _)| matches!(status, 200 | 412)));
        assert_eq!(server.get(&path).await, (200, winners[0].1.clone()));
    }
}

#[tokio::test]
async fn a_record_names_its_version_and_is_replaced_by_it() {
    let server = Server::open();
    let path = ac("org", "k");
    server.send(Method::PUT, &path, &record(&[], 1)).await;
    for _ in 0..2 {
        let answer = server.send(Method::GET, &path, b"").await;
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let hex = acetate_oci::Digest::of(&answer.bytes().await.unwrap()).hex();
        assert_eq!(tag, format!("\"{hex}\""));
    }
    let head = server.send(Method::HEAD, &path, b"").await;
    let tag = ("if-match", head.headers()["etag"].to_str().unwrap());
    for (n, status) in [(2, 200), (3, 412)] {
        let body = record(&[], n);
        let answer = server.with_header(Method::PUT, &path, tag, &body).await;
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(server.get(&path).await.1, record(&[], 2));
}

#[tokio::test]
async fn an_incomplete_record_is_made_anew_once() {
    let server = Server::open();
    let path = ac("org", "k");
    let content = server.put_content(b"lost").await;
    server
        .send(Method::PUT, &path, &record(&[b"lost"], 1))
        .await;
    server.send(Method::DELETE, &content, b"").await;
    let one = async |n: u64| {
        let only_new = ("if-none-match", "*");
        let body = record(&[], n);
        let answer = server.with_header(Method::PUT, &path, only_new, &body);
        answer.await.status().as_u16()
    };
    let all = futures_util::future::join_all((0..8).map(one)).await;
    let won = all.iter().filter(|status| **status == 200).count();
    assert_eq!(won, 1, "{all:?}");
}

#[tokio::test]
async fn many_records_at_once() {
    let server = Server::open();
    server
        .send(Method::PUT, &ac("org", "a"), &record(&[], 1))
        .await;
    let keys = ["a", "b"].map(|key| acetate_oci::Digest::of(key.as_bytes()).hex());
    let asked = format!(r#"{{"keys":["{}","{}"]}}"#, keys[0], keys[1]);
    let answer = server
        .send(Method::POST, "/x/v1/org/repo/ac:batchGet", asked.as_bytes())
        .await;
    let text = answer.text().await.unwrap();
    assert!(
        text.contains(&keys[0]) && !text.contains(&keys[1]),
        "{text}"
    );
    assert!(text.contains(r#""namespace":"org""#), "{text}");
}

#[tokio::test]
async fn numbers_say_what_happened() {
    let server = Server::open();
    let path = ac("", "k");
    server.get(&path).await;
    server.send(Method::PUT, &path, &record(&[], 1500)).await;
    server.get(&path).await;
    let text = String::from_utf8(server.get("/metrics").await.1).unwrap();
    for line in [
        "acetate_lookups_total{result=\"hit\"} 1",
        "acetate_lookups_total{result=\"miss\"} 1",
        "acetate_saved_milliseconds_total 1500",
        "acetate_records 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in {text}"
        );
    }
    let page = String::from_utf8(server.get("/").await.1).unwrap();
    assert!(page.contains("50 % of 2"), "{page}");
}
