//! One makes it, the others wait.

use crate::server::{Server, ac, record};
use acetate_oci::Digest;
use reqwest::Method;
use serde_json::Value;

fn path(key: &str) -> String {
    format!("/x/v1/org/leases/{}", Digest::of(key.as_bytes()).hex())
}

async fn json(server: &Server, method: Method, path: &str, body: &[u8]) -> Value {
    let text = server.send(method, path, body).await.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

#[tokio::test]
async fn the_record_ends_the_wait() {
    let server = Server::open();
    let claim = br#"{"name":"RUN make","expected_ms":100}"#;
    let granted = json(&server, Method::POST, &path("k"), claim).await;
    assert_eq!(granted["state"], "granted");
    let held = json(&server, Method::POST, &path("k"), b"").await;
    assert_eq!(
        (&held["state"], &held["expected_ms"]),
        (&"held".into(), &100.into())
    );
    let lease = format!("{}/{}", path("k"), granted["lease"].as_str().unwrap());
    assert_eq!(server.status(Method::PUT, &lease, b"").await, 204);
    let waiting = path("k") + "?wait=20";
    let record = record(&[], 0);
    let own_path = ac("org", "k");
    let (done, put) = tokio::join!(
        json(&server, Method::GET, &waiting, b""),
        server.status(Method::PUT, &own_path, &record)
    );
    assert_eq!((put, &done["state"]), (200, &"done".into()));
    assert_eq!(
        json(&server, Method::POST, &path("k"), b"").await["state"],
        "done"
    );
    assert_eq!(server.status(Method::PUT, &lease, b"").await, 410);
}

#[tokio::test]
async fn who_gives_up_lets_another_one_begin() {
    let server = Server::open();
    let granted = json(&server, Method::POST, &path("k"), b"").await;
    let lease = format!("{}/{}", path("k"), granted["lease"].as_str().unwrap());
    let waiting = path("k") + "?wait=20";
    let (free, ended) = tokio::join!(
        json(&server, Method::GET, &waiting, b""),
        server.status(Method::DELETE, &lease, b"")
    );
    assert_eq!((ended, &free["state"]), (204, &"free".into()));
    assert_eq!(server.status(Method::DELETE, &lease, b"").await, 410);
    assert_eq!(
        json(&server, Method::POST, &path("k"), b"").await["state"],
        "granted"
    );
}

#[tokio::test]
async fn hundreds_claim_and_one_gets_it() {
    let server = Server::open();
    let claims = (0..200).map(|_| {
        json(
            &server,
            Method::POST,
            "/x/v1/leases/0000000000000000000000000000000000000000000000000000000000000000",
            b"",
        )
    });
    let states = futures_util::future::join_all(claims).await;
    let granted = states.iter().filter(|state| state["state"] == "granted");
    assert_eq!(granted.count(), 1);
}
