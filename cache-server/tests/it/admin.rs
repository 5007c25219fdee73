//! What people can ask and do.

use crate::server::{Server, ac, record};
use acetate_cache_api::admin::{Miss, RecordPage, ServerStats, Verified};
use acetate_cache_server::auth::TokenHash;
use acetate_oci::Digest;
use reqwest::Method;
use serde::de::DeserializeOwned;

async fn ask<T: DeserializeOwned>(server: &Server, method: Method, path: &str) -> T {
    let answer = server.send(method, path, b"").await;
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn misses(steps: &[&str]) -> Vec<u8> {
    let misses = steps.iter().map(|step| Miss {
        step: (*step).to_owned(),
        reason: "`ARG VERSION` was 1.2, is 1.3".to_owned(),
        key: Digest::of(step.as_bytes()).hex(),
    });
    serde_json::to_vec(&misses.collect::<Vec<_>>()).unwrap()
}

/// A server with a token for each of these: the name is the secret.
fn with_tokens(scopes: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let lines = scopes
        .iter()
        .map(|(name, scope)| format!("{name} {} {scope}\n", TokenHash::of(name)));
    std::fs::write(&auth, lines.collect::<String>()).unwrap();
    let server = Server::with(&["--auth", auth.to_str().unwrap(), "--max-size", "1M"]);
    (dir, server)
}

#[tokio::test]
async fn each_namespace_sees_its_own() {
    let (_dir, server) = with_tokens(&[
        ("all", ":admin"),
        ("org", "org:write"),
        ("b", "b:read"),
        ("owner", "org:admin"),
    ]);
    let server = server.token("all");
    for (namespace, key, saved_ms) in [("org", "k", 1500), ("org/pr-1", "k2", 0), ("b", "k", 7)] {
        let path = ac(namespace, key);
        server.get(&path).await;
        let put = server
            .status(Method::PUT, &path, &record(&[], saved_ms))
            .await;
        assert_eq!(put, 200);
        server.get(&path).await;
    }
    server.put_content(b"content").await;
    let claim = br#"{"name":"RUN make","expected_ms":9}"#;
    let lease = format!("/x/v1/org/leases/{}", Digest::of(b"x").hex());
    server.send(Method::POST, &lease, claim).await;
    let told = server
        .status(Method::POST, "/x/v1/org/misses", &misses(&["one", "two"]))
        .await;
    assert_eq!(told, 204);

    let all: ServerStats = ask(&server, Method::GET, "/x/v1/stats").await;
    assert_eq!(
        (all.records, all.contents, all.hits, all.misses),
        (3, 1, 3, 3)
    );
    assert_eq!(
        (all.hit_rate, all.saved_ms, all.max_bytes),
        (Some(0.5), 1507, Some(1 << 20))
    );
    assert_eq!((all.largest.len(), all.oldest.len()), (4, 4));
    assert!(all.largest[0].size >= all.largest[3].size);
    let step = &all.in_flight[0];
    assert_eq!(
        (step.name.as_str(), step.expected_ms),
        ("RUN make", Some(9))
    );
    let steps: Vec<&str> = all
        .last_misses
        .iter()
        .map(|seen| seen.miss.step.as_str())
        .collect();
    assert_eq!(steps, ["two", "one"]);
    assert_eq!(all.last_misses[0].namespace, "org");

    let server = server.token("b");
    let own: ServerStats = ask(&server, Method::GET, "/x/v1/b/stats").await;
    assert_eq!(
        (
            own.in_flight.len(),
            own.last_misses.len(),
            own.largest.len()
        ),
        (0, 0, 1)
    );
    assert_eq!(own.largest[0].namespace, "b");
}

#[tokio::test]
async fn each_call_needs_its_scope() {
    let (_dir, server) = with_tokens(&[
        ("all", ":admin"),
        ("org", "org:write"),
        ("b", "b:read"),
        ("owner", "org:admin"),
    ]);
    let server = server.token("all");
    let put = server
        .status(Method::PUT, &ac("org", "k"), &record(&[], 0))
        .await;
    assert_eq!(put, 200);
    for (token, method, path, status) in [
        ("b", Method::GET, "/x/v1/stats", 403),
        ("b", Method::GET, "/x/v1/org/records", 403),
        ("b", Method::POST, "/x/v1/b/misses", 403),
        ("org", Method::POST, "/x/v1/org/gc", 403),
        ("org", Method::POST, "/x/v1/org/verify", 403),
        ("org", Method::GET, "/x/v1/org/verify", 403),
        ("org", Method::DELETE, &ac("org", "k"), 403),
        // Content is of all, so an owner of one namespace does not hash it.
        ("owner", Method::POST, "/x/v1/org/gc", 200),
        ("owner", Method::POST, "/x/v1/org/verify", 403),
        ("owner", Method::DELETE, &ac("b", "k"), 403),
        ("owner", Method::DELETE, &ac("org", "k"), 204),
        ("nobody", Method::GET, "/x/v1/b/records", 401),
        ("all", Method::PUT, "/x/v1/stats", 405),
        ("all", Method::POST, "/x/v1/records", 405),
        ("all", Method::DELETE, "/x/v1/misses", 405),
        ("all", Method::GET, "/x/v1/nothing", 404),
    ] {
        let header = format!("Bearer {token}");
        let answer = server
            .with_header(method, path, ("authorization", &header), b"")
            .await;
        assert_eq!(answer.status().as_u16(), status, "{token} {path}");
    }
}

#[tokio::test]
async fn misses_are_bounded() {
    let server = Server::open();
    let many: Vec<String> = (0..201).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (body, status) in [
        (misses(&many), 400),
        (misses(&many[..200]), 204),
        (b"[{\"step\":1}]".to_vec(), 400),
        (b"no json".to_vec(), 400),
        (misses(&["last"]), 204),
    ] {
        let found = server.status(Method::POST, "/x/v1/misses", &body).await;
        assert_eq!(found, status);
    }
    assert_eq!(server.head_only("/x/v1/misses", 600 << 10), 413);
    let stats: ServerStats = ask(&server, Method::GET, "/x/v1/stats").await;
    assert_eq!(stats.last_misses.len(), 200);
    assert_eq!(stats.last_misses[0].miss.step, "last");
    assert_eq!(stats.last_misses[199].miss.step, "1");
}

#[tokio::test]
async fn records_are_listed_in_parts_and_removed() {
    let server = Server::open();
    for n in 0..25 {
        let namespace = ["a", "a/b", "c"][n % 3];
        let path = ac(namespace, &n.to_string());
        server.send(Method::PUT, &path, &record(&[], 10)).await;
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/x/v1/a/records?limit=4&after={after}");
        let page: RecordPage = ask(&server, Method::GET, &path).await;
        assert!(page.records.len() <= 4);
        found.extend(page.records);
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(found.len(), 17);
    let places = found.iter().map(|entry| (&entry.namespace, &entry.key));
    assert!(places.is_sorted());
    assert!(
        found
            .iter()
            .all(|entry| entry.saved_ms == 10 && entry.kind == "record")
    );
    let first = &found[0];
    let path = format!("/{}/ac/{}", first.namespace, first.key);
    assert_eq!(server.status(Method::DELETE, &path, b"").await, 204);
    assert_eq!(server.status(Method::DELETE, &path, b"").await, 404);
    let page: RecordPage = ask(&server, Method::GET, "/x/v1/a/records").await;
    assert_eq!((page.records.len(), page.next), (16, None));
    for after in ["x", "a:b", "a/../b:00"] {
        let path = format!("/x/v1/records?after={after}");
        assert_eq!(server.get(&path).await.0, 400, "{after}");
    }
}

#[tokio::test]
async fn damage_is_found_while_the_server_runs() {
    let server = Server::open();
    let sound = server.put_content(b"sound").await;
    let damaged = server.put_content(b"damaged").await;
    let hex = damaged.rsplit('/').next().unwrap();
    let file = server
        .dir
        .path()
        .join("cache/cas")
        .join(&hex[..2])
        .join(hex);
    std::fs::write(&file, b"demaged").unwrap();
    let idle: Verified = ask(&server, Method::GET, "/x/v1/verify").await;
    assert_eq!(idle, Verified::default());
    let tally: Verified = ask(&server, Method::POST, "/x/v1/verify?wait=20").await;
    let expected = Verified {
        sound: 1,
        damaged: 1,
        ..Verified::default()
    };
    assert_eq!(tally, expected);
    assert_eq!(
        (server.get(&sound).await.0, server.get(&damaged).await.0),
        (200, 404)
    );
    let again: Verified = ask(&server, Method::POST, "/x/v1/verify?wait=20").await;
    assert_eq!((again.sound, again.damaged), (1, 0));
}
