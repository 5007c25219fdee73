//! A server below another one.

use crate::node::{Node, Setup, backing, bytes, cas, until, upstream};
use crate::server::{Server, ac, record};
use acetate_cache_api::reapi::{ActionResult, Directory, FileNode, OutputDirectory, Tree};
use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::Digest;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use prost::Message;
use reqwest::Method;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_is_missing_here_comes_from_above_and_stays() {
    let region = Node::alone().await;
    let content = bytes(1, 3 << 20);
    let body = region.put_result("k", &content).await;
    let office = Node::below(&region.url).await;
    assert_eq!(
        office.get(&ac("org/repo", "k")).await,
        (200, Some(body.clone()))
    );
    assert!(!office.has_copy(&content), "nobody wanted the bytes");
    assert_eq!(office.missing(&[&content, b"no"]).await, 1);
    let answer = office.send(Method::HEAD, &cas(&content), b"").await;
    assert_eq!(answer.status().as_u16(), 200);
    let range = [("range", "bytes=5-9")];
    let path = cas(&content);
    let part = office.send_if(Method::GET, &path, &range, b"").await;
    let part = part.bytes().await.unwrap();
    assert_eq!(part, content[5..10]);
    until("a copy", async || office.has_copy(&content)).await;
    assert_eq!(office.status(&cas(b"no")).await, 404);
    assert_eq!(office.status(&ac("org", "no")).await, 404);
    // From now on it is here, whatever happens above.
    region.ended().await;
    assert_eq!(
        office.get(&ac("org/repo", "k")).await,
        (200, Some(body.clone()))
    );
    assert_eq!(office.get(&ac("org", "k")).await, (200, Some(body)));
    assert_eq!(office.get(&cas(&content)).await, (200, Some(content)));
}

#[tokio::test]
async fn an_upstream_that_is_gone_fails_nothing() {
    let region = Node::alone().await;
    let content = bytes(2, 5000);
    region.put_result("above", &content).await;
    let office = Node::below(&region.url).await;
    let own = office.put_result("own", b"own content").await;
    assert_eq!(office.status(&ac("org", "above")).await, 200);
    region.ended().await;
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(
            office.get(&ac("org", "own")).await,
            (200, Some(own.clone()))
        );
        assert_eq!(office.status(&ac("org", "no")).await, 404);
        assert_eq!(office.status(&cas(b"no")).await, 404);
        assert_eq!(office.missing(&[b"no", b"own content"]).await, 1);
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    // Its content never came, so that it is no whole record any more once that is noticed.
    assert_eq!(office.status(&cas(&content)).await, 404);
    let own = record(&[b"own content"], 9);
    assert_eq!(office.put(&ac("org", "new"), &own).await, 200);
}

#[tokio::test]
async fn what_is_new_here_is_told_above() {
    let region = Node::alone().await;
    let office = Node::below(&region.url).await;
    let (chunk, large) = (b"a chunk", bytes(3, 9 << 20));
    let named = |bytes: &[u8]| acetate_cache_api::reapi::Digest {
        hash: Digest::of(bytes).hex(),
        size_bytes: i64::try_from(bytes.len()).unwrap(),
    };
    let file = |bytes: &[u8]| FileNode {
        digest: Some(named(bytes)),
        ..FileNode::default()
    };
    let tree = Tree {
        root: Some(Directory {
            files: vec![file(chunk), file(&large)],
            ..Directory::default()
        }),
        ..Tree::default()
    }
    .encode_to_vec();
    let body = ActionResult {
        output_directories: vec![OutputDirectory {
            tree_digest: Some(named(&tree)),
            ..OutputDirectory::default()
        }],
        ..ActionResult::default()
    }
    .encode_to_vec();
    for content in [&chunk[..], &large, &tree] {
        office.put_content(content).await;
    }
    assert_eq!(office.put_new(&ac("org", "k"), &body).await, 200);
    let told = async || region.status(&ac("org", "k")).await == 200;
    until("the record above", told).await;
    assert_eq!(region.get(&cas(&large)).await.1, Some(large));
    // What ccache keeps may look like a record, and names nothing all the same.
    let (opaque, body) = (ac("ccache", "k"), record(&[b"nowhere"], 1));
    assert_eq!(office.put(&opaque, &body).await, 200);
    let told = async || region.get(&opaque).await.1 == Some(body.clone());
    until("the opaque record above", told).await;
    // A record that was there first stays, there as here.
    let first = record(&[], 1);
    assert_eq!(region.put(&ac("org", "first"), &first).await, 200);
    assert_eq!(
        office.put_new(&ac("org", "first"), &record(&[], 2)).await,
        412
    );
    assert_eq!(region.get(&ac("org", "first")).await.1, Some(first));
}

#[tokio::test]
async fn what_waits_for_an_upstream_is_told_when_it_is_back() {
    let region = Node::alone().await;
    let (url, port) = (region.url.clone(), port_of(&region.url));
    let office = Node::below(&url).await;
    region.ended().await;
    office.put_result("k", b"content").await;
    let setup = Setup {
        port,
        ..Setup::default()
    };
    let region = Node::start(setup).await;
    assert_eq!(region.url, url);
    let told = async || region.status(&ac("org", "k")).await == 200;
    until("the record above", told).await;
}

fn port_of(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn wrong_bytes_from_above_are_never_kept() {
    let content = bytes(4, 5000);
    let path = cas(&content);
    let fake = FakeServer::start(move |seen, _| {
        if seen.target == path {
            Reply::new(200, bytes(5, 5000))
        } else {
            Reply::new(404, "")
        }
    });
    let office = Node::below(&fake.url("")).await;
    let content = bytes(4, 5000);
    assert_eq!(office.status(&cas(&content)).await, 503);
    assert!(!office.has_copy(&content));
}

#[tokio::test]
async fn strange_answers_from_above_are_misses() {
    let answers = [
        Reply::new(500, "broken"),
        Reply::new(200, "no json"),
        Reply::new(
            200,
            r#"{"records":[{"key":"x","namespace":"org","body":"!"}]}"#,
        ),
        Reply::new(403, "no"),
        Reply::new(401, "who"),
        Reply::new(0, ""),
    ];
    for reply in answers {
        let fake = FakeServer::start(move |_, _| reply.clone());
        let office = Node::below(&fake.url("")).await;
        for _ in 0..5 {
            assert_eq!(office.status(&ac("org", "k")).await, 404);
            assert_eq!(office.missing(&[b"x"]).await, 1);
        }
    }
}

#[tokio::test]
async fn records_of_other_namespaces_and_keys_are_not_taken() {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(record(&[], 1));
    let [asked, other] = ["k", "other"].map(|key| Digest::of(key.as_bytes()).hex());
    let record = |key: &str, namespace: &str| {
        format!(r#"{{"key":"{key}","namespace":"{namespace}","body":"{body}"}}"#)
    };
    let records = [
        record(&asked, "org/evil"),
        record(&asked, "elsewhere"),
        record(&other, "org"),
    ];
    let answer = format!(r#"{{"records":[{}]}}"#, records.join(","));
    let fake = FakeServer::start(move |_, _| Reply::new(200, answer.clone()));
    let office = Node::below(&fake.url("")).await;
    assert_eq!(office.status(&ac("org", "k")).await, 404);
    drop(fake);
    for (namespace, key) in [("org/evil", "k"), ("elsewhere", "k"), ("org", "other")] {
        assert_eq!(office.status(&ac(namespace, key)).await, 404, "{namespace}");
    }
}

#[tokio::test]
async fn two_that_are_above_each_other_come_to_an_end() {
    let first = Node::alone().await;
    let (url, port) = (first.url.clone(), port_of(&first.url));
    first.ended().await;
    let second = Node::below(&url).await;
    let setup = Setup {
        upstream: Some(upstream(&second.url)),
        port,
        ..Setup::default()
    };
    let first = Node::start(setup).await;
    let start = Instant::now();
    assert_eq!(second.status(&ac("org", "k")).await, 404);
    assert_eq!(second.status(&cas(b"x")).await, 404);
    assert_eq!(first.missing(&[b"x"]).await, 1);
    assert!(start.elapsed() < Duration::from_secs(3));
    first.put_result("k", b"x").await;
    assert_eq!(second.status(&ac("org", "k")).await, 200);
}

#[tokio::test]
async fn many_records_come_in_few_questions() {
    let region = Node::alone().await;
    let office = Node::below(&region.url).await;
    let keys: Vec<String> = (0..700).map(|n| format!("key {n}")).collect();
    let put = async |key: &String| {
        let status = region.put(&ac("org", key), &record(&[], 1)).await;
        assert_eq!(status, 200);
    };
    futures_util::future::join_all(keys.iter().map(put)).await;
    let hexes = keys
        .iter()
        .map(|key| format!("\"{}\"", Digest::of(key.as_bytes()).hex()));
    let asked = format!(r#"{{"keys":[{}]}}"#, hexes.collect::<Vec<_>>().join(","));
    let path = "/x/v1/org/repo/ac:batchGet";
    let answer = office.send(Method::POST, path, asked.as_bytes()).await;
    let text = answer.text().await.unwrap();
    assert_eq!(text.matches("\"key\"").count(), keys.len());
    region.ended().await;
    assert_eq!(office.status(&ac("org", "key 699")).await, 200);
}

#[tokio::test]
async fn a_bucket_and_an_upstream_together() {
    let region = Node::alone().await;
    let body = region.put_result("k", b"content").await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let setup = Setup {
        backing: backing(&store, 600),
        upstream: Some(upstream(&region.url)),
        ..Setup::default()
    };
    let office = Node::start(setup).await;
    assert_eq!(office.get(&ac("org", "k")).await, (200, Some(body)));
    assert_eq!(
        office.get(&cas(b"content")).await,
        (200, Some(b"content".to_vec()))
    );
    office.put_result("own", b"own").await;
    let told = async || region.status(&ac("org", "own")).await == 200;
    until("the record above", told).await;
}

#[tokio::test]
async fn the_token_goes_along() {
    let fake = FakeServer::start(|_, _| Reply::new(404, ""));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let url = fake.url("");
    let server = Server::with(&[
        "--insecure-open",
        "--upstream",
        &url,
        "--upstream-token-file",
        file.to_str().unwrap(),
    ]);
    assert_eq!(server.get(&ac("org", "k")).await.0, 404);
    let seen = fake.seen();
    assert_eq!(seen[0].header("authorization"), Some("Bearer secret"));
    assert_eq!(seen[0].target, "/x/v1/org/ac:batchGet");
}
