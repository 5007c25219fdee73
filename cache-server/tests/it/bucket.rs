//! Several servers over one bucket, which is a store in this process.

use crate::node::{Node, Setup, backing, bytes, cas, is_stored, place, until};
use crate::server::{ac, files, record};
use acetate_cache_server::storage::BucketUrl;
use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::Digest;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A store that needs as long for an answer as one in a network, so that races are ones.
fn distant() -> Arc<dyn ObjectStore> {
    let wait = Duration::from_millis(5);
    let config = ThrottleConfig {
        wait_get_per_call: wait,
        wait_put_per_call: wait,
        ..ThrottleConfig::default()
    };
    Arc::new(ThrottledStore::new(InMemory::new(), config))
}

/// More than one part of an upload.
const LARGE: usize = (20 << 20) + 17;

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

#[tokio::test]
async fn what_one_server_takes_the_other_one_has() {
    let store = memory();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let (small, large) = (bytes(1, 3000), bytes(2, LARGE));
    for content in [&small, &large] {
        first.put_content(content).await;
        assert!(is_stored(&store, content).await && first.has_copy(content));
        assert!(!second.has_copy(content));
        assert_eq!(second.missing(&[content]).await, 0);
        let answer = second.send(Method::HEAD, &cas(content), b"").await;
        let length = answer.headers()["content-length"].to_str().unwrap();
        assert_eq!(length, content.len().to_string());
        assert!(!second.has_copy(content), "nobody wanted the bytes");
        assert_eq!(
            second.get(&cas(content)).await,
            (200, Some(content.clone()))
        );
        until("a copy", async || second.has_copy(content)).await;
        assert_eq!(
            second.get(&cas(content)).await,
            (200, Some(content.clone()))
        );
    }
    let body = first.put_result("k", &small).await;
    assert_eq!(second.get(&ac("org", "k")).await, (200, Some(body.clone())));
    // A namespace sees what is above it here, too.
    assert_eq!(second.get(&ac("org/repo", "k")).await, (200, Some(body)));
    assert_eq!(second.status(&ac("", "k")).await, 404);
    // What is in the bucket has the names that it would have on a disk.
    let namespace = Digest::of(b"org").hex();
    let key = Digest::of(b"k").hex();
    let path = Path::from(format!("fleet/cache/ac/{namespace}/{}/{key}", &key[..2]));
    assert!(store.head(&path).await.is_ok());
}

#[tokio::test]
async fn parts_of_content_that_is_not_here_yet() {
    let store = memory();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let content = bytes(3, LARGE);
    first.put_content(&content).await;
    let range = [("range", "bytes=1000000-1000099")];
    let path = cas(&content);
    let answer = second.send_if(Method::GET, &path, &range, b"").await;
    assert_eq!(answer.status().as_u16(), 206);
    assert_eq!(answer.bytes().await.unwrap(), content[1_000_000..1_000_100]);
}

#[tokio::test]
async fn many_who_want_the_same_content_fetch_it_once() {
    let store = memory();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let content = bytes(4, LARGE);
    first.put_content(&content).await;
    let all = (0..20).map(|_| async { second.get(&cas(&content)).await });
    for answer in futures_util::future::join_all(all).await {
        assert!(answer == (200, Some(content.clone())));
    }
    until("a copy", async || second.has_copy(&content)).await;
    let tmp = second.dir.path().join("cache/tmp");
    assert_eq!(files(&tmp), Vec::<String>::new());
}

#[tokio::test]
async fn of_many_who_make_a_record_one_wins() {
    let store = distant();
    let nodes = [Node::over(&store).await, Node::over(&store).await];
    for round in 0..20 {
        let path = ac("org", &format!("race {round}"));
        let one = async |n: u64| {
            let body = record(&[], n);
            let node = &nodes[usize::try_from(n % 2).unwrap()];
            (node.put_new(&path, &body).await, body)
        };
        let all = futures_util::future::join_all((0..8).map(one)).await;
        let winners: Vec<_> = all.iter().filter(|(status, _)| *status == 200).collect();
        assert_eq!(winners.len(), 1, "{all:?}");
        assert!(all.iter().all(|(status, _)| matches!(status, 200 | 412)));
        for node in &nodes {
            assert_eq!(
                node.get(&path).await,
                (200, Some(winners[0].1.clone())),
                "all go on from the first result"
            );
        }
    }
}

#[tokio::test]
async fn a_record_can_be_replaced_by_who_has_seen_it() {
    let store = distant();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let path = ac("org", "k");
    let put = async |node: &Node, tag: &str, n: u64| {
        let tag = [("if-match", tag)];
        let body = record(&[], n);
        let answer = node.send_if(Method::PUT, &path, &tag, &body).await;
        answer.status().as_u16()
    };
    let tag = |n: u64| format!("\"{}\"", Digest::of(&record(&[], n)).hex());
    assert_eq!(put(&first, "*", 1).await, 412, "there is none");
    assert_eq!(first.put(&path, &record(&[], 1)).await, 200);
    assert_eq!(put(&second, &tag(2), 3).await, 412, "it is another one");
    assert_eq!(put(&second, &tag(1), 2).await, 200);
    assert_eq!(put(&first, &tag(1), 3).await, 412, "it was replaced");
    assert_eq!(put(&first, &tag(2), 3).await, 200);
    assert_eq!(put(&first, "*", 4).await, 200);
    assert_eq!(put(&first, "W/strange", 5).await, 400);
    // Of those who saw the same one, one replaces it.
    let seen = tag(4);
    let nodes = [&first, &second];
    let races = (10..18).map(|n| put(nodes[usize::try_from(n % 2).unwrap()], &seen, n));
    let races = futures_util::future::join_all(races).await;
    let won = races.iter().filter(|status| **status == 200).count();
    assert_eq!(won, 1, "{races:?}");
}

#[tokio::test]
async fn a_record_whose_content_is_lost_is_a_miss() {
    let store = memory();
    let first = Node::over(&store).await;
    let content = bytes(5, 5000);
    first.put_result("k", &content).await;
    store.delete(&place(&content)).await.unwrap();
    let second = Node::over(&store).await;
    assert_eq!(second.status(&ac("org", "k")).await, 404);
    assert_eq!(second.status(&cas(&content)).await, 404);
    assert_eq!(second.missing(&[&content]).await, 1);
    // An incomplete record keeps nobody from making it anew, once.
    let other = bytes(6, 5000);
    let body = record(&[&other], 2);
    assert_eq!(second.put_new(&ac("org", "k"), &body).await, 409);
    second.put_content(&other).await;
    assert_eq!(second.put_new(&ac("org", "k"), &body).await, 200);
    assert_eq!(first.put_new(&ac("org", "k"), &body).await, 412);
    assert_eq!(second.get(&ac("org", "k")).await, (200, Some(body)));
}

#[tokio::test]
async fn what_a_server_sees_to_be_lost_it_does_not_believe_in_any_more() {
    let store = memory();
    let first = Node::over(&store).await;
    let second = Node::over(&store).await;
    let content = bytes(6, 5000);
    first.put_result("k", &content).await;
    assert_eq!(second.status(&ac("org", "k")).await, 200);
    store.delete(&place(&content)).await.unwrap();
    // It was seen a moment ago, and is believed to be there until somebody wants it.
    assert_eq!(second.status(&ac("org", "k")).await, 200);
    assert_eq!(second.status(&cas(&content)).await, 404);
    assert_eq!(second.status(&ac("org", "k")).await, 404);
}

#[tokio::test]
async fn damaged_content_is_never_whole_and_goes() {
    let store = memory();
    let content = bytes(7, 3 << 20);
    let mut damaged = content.clone();
    *damaged.last_mut().unwrap() ^= 1;
    store.put(&place(&content), damaged.into()).await.unwrap();
    let node = Node::over(&store).await;
    let (status, body) = node.get(&cas(&content)).await;
    assert_eq!((status, body), (200, None), "the body breaks off");
    assert!(!node.has_copy(&content));
    until("removal", async || !is_stored(&store, &content).await).await;
    assert_eq!(node.status(&cas(&content)).await, 404);
    node.put_content(&content).await;
    assert_eq!(node.get(&cas(&content)).await.1, Some(content));
}

#[tokio::test]
async fn small_damaged_content_is_an_error_of_the_server() {
    let store = memory();
    let content = bytes(33, 5000);
    let path = place(&content);
    store.put(&path, bytes(34, 5000).into()).await.unwrap();
    let node = Node::over(&store).await;
    let answer = node.send(Method::GET, &cas(&content), b"").await;
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn wrong_bytes_reach_the_bucket_never() {
    let store = memory();
    let node = Node::over(&store).await;
    for len in [10, LARGE] {
        let content = bytes(8, len);
        let mut wrong = content.clone();
        wrong[len / 2] ^= 1;
        assert_eq!(node.put(&cas(&content), &wrong).await, 400, "{len}");
        assert!(!is_stored(&store, &content).await, "{len}");
        assert_eq!(node.status(&cas(&content)).await, 404);
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(&dir).unwrap());
    let node = Node::over(&store).await;
    let content = bytes(9, 40 << 20);
    let before = files(dir.path());
    let address = node.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        cas(&content),
        content.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&content[..30 << 20]).await.unwrap();
    // Parts are on their way while the rest is still missing.
    until("a part", async || files(dir.path()) != before).await;
    assert!(!is_stored(&store, &content).await);
    drop(stream);
    until("the end of it", async || files(dir.path()) == before).await;
    assert_eq!(node.status(&cas(&content)).await, 404);
    node.put_content(&content).await;
    assert!(is_stored(&store, &content).await);
}

#[tokio::test]
async fn copies_make_room_for_newer_ones_and_the_bucket_keeps_all() {
    let store = memory();
    let setup = Setup {
        backing: backing(&store, 600),
        max_bytes: Some(1 << 20),
        ..Setup::default()
    };
    let node = Node::start(setup).await;
    let all: Vec<_> = (10..22).map(|n| bytes(n, 200 << 10)).collect();
    for content in &all {
        node.put_content(content).await;
        assert!(node.has_copy(content), "the newest one");
    }
    let kept = all.iter().filter(|content| node.has_copy(content)).count();
    assert!((3..=5).contains(&kept), "{kept}");
    for content in &all {
        assert!(is_stored(&store, content).await);
        assert_eq!(node.get(&cas(content)).await, (200, Some(content.clone())));
    }
    assert!(node.app.disk().used() <= 1 << 20);
    // What is larger than all of it passes through in both directions.
    let large = bytes(30, 3 << 20);
    node.put_content(&large).await;
    assert!(is_stored(&store, &large).await && !node.has_copy(&large));
    assert_eq!(node.get(&cas(&large)).await, (200, Some(large.clone())));
    let range = [("range", "bytes=5-9")];
    let part = node.send_if(Method::GET, &cas(&large), &range, b"").await;
    assert_eq!(part.bytes().await.unwrap(), large[5..10]);
    assert!(node.app.disk().used() <= 1 << 20);
}

#[tokio::test]
async fn content_that_passes_through_is_checked_too() {
    let store = memory();
    let setup = Setup {
        backing: backing(&store, 600),
        max_bytes: Some(1000),
        ..Setup::default()
    };
    let node = Node::start(setup).await;
    let content = bytes(31, 3 << 20);
    let mut damaged = content.clone();
    damaged[7] ^= 1;
    store.put(&place(&content), damaged.into()).await.unwrap();
    // It may break off before its head was sent.
    let whole = reqwest::get(format!("{}{}", node.url, cas(&content))).await;
    let whole = match whole {
        Ok(answer) => answer.bytes().await,
        Err(error) => Err(error),
    };
    assert!(whole.is_err());
}

#[tokio::test]
async fn objects_are_removed_for_all_servers() {
    let store = memory();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let content = bytes(32, 100);
    first.put_result("k", &content).await;
    for path in [ac("org", "k"), cas(&content)] {
        let status = second.send(Method::DELETE, &path, b"").await.status();
        assert_eq!(status.as_u16(), 204, "{path}");
        let status = second.send(Method::DELETE, &path, b"").await.status();
        assert_eq!(status.as_u16(), 404, "{path}");
    }
    let third = Node::over(&store).await;
    assert_eq!(third.status(&ac("org", "k")).await, 404);
    assert_eq!(third.status(&cas(&content)).await, 404);
}

#[tokio::test]
async fn the_layout_of_a_newer_version_is_refused() {
    use acetate_cache_server::storage::{Disk, Storage};
    let store = memory();
    let marker = Path::from("fleet/cache/acetate-cache");
    store
        .put(&marker, "acetate-cache 2\n".into())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(acetate_stdx::clock::SystemClock);
    let disk = Arc::new(Disk::open(dir.path(), None, clock).unwrap());
    let error = Storage::open(disk, backing(&store, 1)).await.unwrap_err();
    assert!(error.to_string().contains("`acetate-cache 2`"), "{error}");
}

#[tokio::test]
async fn batches_reach_the_bucket() {
    use base64::Engine;
    let store = memory();
    let (first, second) = (Node::over(&store).await, Node::over(&store).await);
    let content = b"a small one";
    let named = format!(
        r#"{{"hash":"{}","sizeBytes":"11"}}"#,
        Digest::of(content).hex()
    );
    let data = base64::engine::general_purpose::STANDARD.encode(content);
    let body = format!(r#"{{"requests":[{{"digest":{named},"data":"{data}"}}]}}"#);
    let path = "/v2/org/blobs:batchUpdate";
    let answer = first.send(Method::POST, path, body.as_bytes()).await;
    assert!(answer.text().await.unwrap().contains(r#""code":0"#));
    assert!(is_stored(&store, content).await);
    let body = format!(r#"{{"digests":[{named}]}}"#);
    let path = "/v2/org/blobs:batchRead";
    let answer = second.send(Method::POST, path, body.as_bytes()).await;
    assert!(answer.text().await.unwrap().contains(&data));
    first.put_result("k", content).await;
    let keys = format!(r#"{{"keys":["{}"]}}"#, Digest::of(b"k").hex());
    let path = "/x/v1/org/repo/ac:batchGet";
    let answer = second.send(Method::POST, path, keys.as_bytes()).await;
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains(r#""namespace":"org""#)
    );
}

#[tokio::test]
async fn an_error_of_the_bucket_is_no_miss() {
    for (status, body) in [
        (500, "<Error><Code>InternalError</Code></Error>"),
        (503, "<Error><Code>SlowDown</Code></Error>"),
        (403, "<Error><Code>AccessDenied</Code></Error>"),
        (404, "<Error><Code>NoSuchBucket</Code></Error>"),
    ] {
        let fake = FakeServer::start(move |seen, _| {
            match (
                seen.method.as_str(),
                seen.target.ends_with("/acetate-cache"),
            ) {
                ("PUT", true) => Reply::new(412, ""),
                ("GET", true) => Reply::new(200, "acetate-cache 1\n")
                    .header("etag", "x")
                    .header("last-modified", "Mon, 30 Nov 2026 20:00:00 GMT"),
                // The head of an answer does not say which of both is missing.
                ("HEAD", false) if status == 404 => Reply::new(400, ""),
                _ => Reply::new(status, body),
            }
        });
        let url = format!(
            "s3://fleet/x?endpoint={}&region=r&path-style=true&allow-http=true",
            fake.url("")
        );
        let url: BucketUrl = url.parse().unwrap();
        let secrets = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let setup = Setup {
            backing: url.open(secrets.into_iter()).unwrap(),
            ..Setup::default()
        };
        let node = Node::start(setup).await;
        let content = bytes(35, 100);
        let key = Digest::of(b"k").hex();
        let named = format!(r#"{{"hash":"{key}","sizeBytes":"1"}}"#);
        let digests = format!(r#"{{"blobDigests":[{named}]}}"#);
        let keys = format!(r#"{{"keys":["{key}"]}}"#);
        let asked = [
            (Method::GET, ac("org", "k"), &b""[..]),
            (Method::GET, cas(&content), b""),
            (Method::HEAD, cas(&content), b""),
            (Method::PUT, ac("org", "k"), &record(&[], 1)),
            (Method::PUT, cas(&content), &content),
            (
                Method::POST,
                "/v2/org/blobs:findMissing".into(),
                digests.as_bytes(),
            ),
            (
                Method::POST,
                "/x/v1/org/ac:batchGet".into(),
                keys.as_bytes(),
            ),
            (Method::POST, format!("/x/v1/org/leases/{key}"), b""),
        ];
        let asked = asked.map(async |(method, path, body)| {
            let answer = node.send(method.clone(), &path, body).await;
            assert_eq!(
                answer.status().as_u16(),
                503,
                "{method} {path} with {status}"
            );
            let text = answer.text().await.unwrap();
            assert!(!text.contains("127.0.0.1"), "{text}");
        });
        futures_util::future::join_all(asked).await;
    }
}
