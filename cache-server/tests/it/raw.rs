//! Namespaces in which every path is an object, for clients that speak `WebDAV`.

use crate::server::{Server, files};
use reqwest::Method;

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_path_is_an_object() {
    let server = Server::open();
    let path = "/sccache/a/b/c/KEY";
    assert_eq!(server.get(path).await.0, 404);
    assert_eq!(server.status(Method::HEAD, path, b"").await, 404);
    for bytes in [b"one".as_slice(), b"two!", b""] {
        assert_eq!(server.status(Method::PUT, path, bytes).await, 201);
        assert_eq!(server.get(path).await, (200, bytes.to_vec()));
    }
    server.status(Method::PUT, path, b"0123456789").await;
    let range = ("range", "bytes=2-4");
    let part = server.with_header(Method::GET, path, range, b"").await;
    assert_eq!(
        (part.status().as_u16(), part.text().await.unwrap()),
        (206, "234".into())
    );
    // Another path is another object, and other namespaces are as they were.
    assert_eq!(server.get("/sccache/a/b/KEY").await.0, 404);
    assert_eq!(server.status(Method::PUT, "/other/a/b", b"x").await, 404);
    assert_eq!(
        server.status(Method::PUT, "/sccache/a%20b", b"x").await,
        400
    );
    assert_eq!(server.status(Method::DELETE, path, b"").await, 204);
    assert_eq!(server.get(path).await.0, 404);
    assert_eq!(server.status(method("MOVE"), path, b"").await, 405);
}

#[tokio::test]
async fn large_objects_are_kept_in_pieces_and_whole_or_not_at_all() {
    let server = Server::open();
    let bytes: Vec<u8> = (0..5_300_000_u32).map(|n| (n / 7 % 251) as u8).collect();
    let path = "/sccache/large";
    assert_eq!(server.status(Method::PUT, path, &bytes).await, 201);
    let got = server.get(path).await;
    assert!(got.0 == 200 && got.1 == bytes);
    let head = server.send(Method::HEAD, path, b"").await;
    assert_eq!(head.headers()["content-length"], "5300000");
    assert!(head.bytes().await.unwrap().is_empty());
    // After a restart, too.
    let server = Server::start(server.kill(), &["--insecure-open"], None);
    assert!(server.get(path).await.1 == bytes);
    let dir = server.dir.path().join("cache/cas");
    let pieces = files(&dir);
    assert!(pieces.len() > 3, "{pieces:?}");
    let dir = server.kill();
    std::fs::remove_file(dir.path().join("cache/cas").join(&pieces[0])).unwrap();
    let server = Server::start(dir, &["--insecure-open"], None);
    assert_eq!(server.get(path).await.0, 404);
    assert_eq!(server.status(Method::PUT, path, &bytes).await, 201);
    assert!(server.get(path).await.1 == bytes);
}

#[tokio::test]
async fn folders_are_there_when_somebody_asks() {
    let server = Server::open();
    let depth = ("depth", "0");
    let find = async |path: &str| {
        let response = server
            .with_header(method("PROPFIND"), path, depth, b"")
            .await;
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, text) = find("/sccache/a/b/").await;
    assert!(status == 207 && text.contains("<D:collection/>"), "{text}");
    assert!(text.contains("<D:href>/sccache/a/b/</D:href>"), "{text}");
    assert_eq!(
        server.status(method("MKCOL"), "/sccache/a/b/", b"").await,
        201
    );
    assert_eq!(find("/sccache/a/b/KEY").await.0, 404);
    server
        .status(Method::PUT, "/sccache/a/b/KEY", b"12345")
        .await;
    let (_, text) = find("/sccache/a/b/KEY").await;
    assert!(text.contains("<D:getcontentlength>5<"), "{text}");
    let all = ("depth", "1");
    let listed = server
        .with_header(method("PROPFIND"), "/sccache/a/", all, b"")
        .await;
    assert_eq!(listed.status().as_u16(), 400);
}

#[tokio::test]
async fn a_token_of_a_folder_is_good_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("auth");
    let hash = acetate_oci::Digest::of(b"secret").hex();
    let reader = acetate_oci::Digest::of(b"look").hex();
    let text =
        format!("ci sha256:{hash} sccache/team:write\npr sha256:{reader} sccache/team:read\n");
    std::fs::write(&auth, text).unwrap();
    let server = Server::with(&["--auth", auth.to_str().unwrap()]).token("secret");
    let (own, other) = ("/sccache/team/1/KEY", "/sccache/others/1/KEY");
    assert_eq!(server.status(Method::PUT, own, b"x").await, 201);
    for (name, path) in [
        ("PUT", other),
        ("GET", other),
        ("MKCOL", "/sccache/"),
        ("DELETE", own),
    ] {
        assert_eq!(
            server.status(method(name), path, b"").await,
            403,
            "{name} {path}"
        );
    }
    let server = server.token("look");
    assert_eq!(server.get(own).await, (200, b"x".to_vec()));
    assert_eq!(server.status(Method::PUT, own, b"y").await, 403);
    let basic = ("authorization", "Basic eDpsb29r");
    let answer = server.with_header(Method::GET, own, basic, b"").await;
    assert_eq!(answer.status().as_u16(), 200);
    let none = ("accept", "*/*");
    assert_eq!(
        server
            .with_header(Method::GET, own, none, b"")
            .await
            .status()
            .as_u16(),
        401
    );
}
