//! Files from a scripted server.

use super::support::{World, secrets};
use crate::{Access, Download, HttpRequest, RemoteError};
use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_oci::{Digest, Timestamp};
use acetate_stdx::Redacted;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SECS: i64 = 784_111_777;

fn methods(server: &FakeServer) -> Vec<String> {
    let line = |seen: &Seen| {
        let condition = seen.header("if-none-match").unwrap_or("-");
        format!("{} {condition}", seen.method)
    };
    server.seen().iter().map(line).collect()
}

/// A server that knows conditions, as most do.
fn usual(body: &'static str) -> FakeServer {
    FakeServer::start(move |seen, _| {
        if seen.header("if-none-match") == Some("\"e\"") {
            return Reply::new(304, "").header("ETag", "\"e\"");
        }
        Reply::new(200, body)
            .header("ETag", "\"e\"")
            .header("Last-Modified", DATE)
    })
}

#[tokio::test]
async fn s54_a_file_is_downloaded_once_and_asked_about_afterwards() {
    let world = World::new();
    let server = usual("hello");
    let request = HttpRequest::new(server.url("/a/f.txt"));
    let expected = Download {
        content: Digest::of(b"hello"),
        size: 5,
        mtime: Some(Timestamp::from_secs(SECS)),
    };
    for _ in 0..2 {
        assert_eq!(world.remotes().download(&request).await.unwrap(), expected);
    }
    assert_eq!(methods(&server), ["GET -", "GET \"e\""]);
    let second = &server.seen()[1];
    assert_eq!(second.header("if-modified-since"), Some(DATE));
}

#[tokio::test]
async fn s54_the_snapshot_has_one_file_with_mode_0600_and_its_time() {
    let world = World::new();
    let content = world.store.blobs().put(b"hello").unwrap().digest;
    let remotes = world.remotes();
    let at = Some(Timestamp::from_secs(SECS));
    let snapshot = remotes.file(&world.snapshots, &content, "f", at).unwrap();
    assert_eq!(world.files(&snapshot), ["f 0600 0:0 hello"]);
    let metadata = world.path(&snapshot).join("f").metadata().unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (SECS, 0));
    let old = remotes.file(&world.snapshots, &content, "f", None).unwrap();
    assert_eq!(world.path(&old).join("f").metadata().unwrap().mtime(), 0);
}

#[tokio::test]
async fn a_server_without_conditions_costs_a_download_only_where_it_has_no_etag() {
    let world = World::new();
    let server = FakeServer::start(|seen, _| {
        let reply = Reply::new(200, "hello");
        if seen.target == "/tag" {
            reply.header("ETag", "W/\"x\"")
        } else {
            reply
        }
    });
    for (path, n) in [("/tag", 1), ("/plain", 2)] {
        let request = HttpRequest::new(server.url(path));
        for _ in 0..2 {
            let download = world.remotes().download(&request).await.unwrap();
            assert_eq!(
                (download.content, download.mtime),
                (Digest::of(b"hello"), None)
            );
            // Without its blob a file is fetched again, whatever is remembered of it.
            let lost = world.store.blobs().has(&download.content).unwrap();
            assert_eq!(lost, Some(5), "{path} {n}");
        }
    }
    let content = Digest::of(b"hello");
    world.store.blobs().remove(&content).unwrap();
    let request = HttpRequest::new(server.url("/tag"));
    world.remotes().download(&request).await.unwrap();
    assert_eq!(methods(&server).last().unwrap(), "GET -");
}

#[tokio::test]
async fn a_changed_file_is_a_new_one() {
    let world = World::new();
    let server = FakeServer::start(|_, n| {
        Reply::new(200, format!("v{n}")).header("ETag", format!("\"{n}\""))
    });
    let request = HttpRequest::new(server.url("/f"));
    for n in 0..2 {
        let download = world.remotes().download(&request).await.unwrap();
        assert_eq!(download.content, Digest::of(format!("v{n}").as_bytes()));
    }
    assert_eq!(methods(&server), ["GET -", "GET \"0\""]);
}

#[tokio::test]
async fn a_checksum_that_an_address_gave_before_needs_no_network() {
    let world = World::new();
    let server = usual("hello");
    let content = Digest::of(b"hello");
    let request = HttpRequest {
        checksum: Some(content),
        ..HttpRequest::new(server.url("/f"))
    };
    // Bytes that are here from elsewhere say nothing about the time of the file.
    world.store.blobs().put(b"hello").unwrap();
    for _ in 0..2 {
        let download = world.remotes().download(&request).await.unwrap();
        assert_eq!(download.mtime, Some(Timestamp::from_secs(SECS)));
    }
    assert_eq!(methods(&server), ["GET -"]);
    // What was lost is fetched again.
    world.store.blobs().remove(&content).unwrap();
    world.remotes().download(&request).await.unwrap();
    assert_eq!(methods(&server), ["GET -", "GET -"]);
}

#[tokio::test]
async fn another_checksum_is_an_error_that_names_both() {
    let world = World::new();
    let server = usual("hello");
    let expected = Digest::of(b"other");
    let request = HttpRequest {
        checksum: Some(expected),
        ..HttpRequest::new(server.url("/f?sig=secret"))
    };
    let error = world
        .remotes()
        .download(&request)
        .await
        .unwrap_err()
        .to_string();
    let found = Digest::of(b"hello");
    assert_eq!(
        error,
        format!(
            "download `{}?...`: expected the checksum `{expected}`, found `{found}`",
            server.url("/f")
        )
    );
    assert_eq!(world.store.blobs().has(&found).unwrap(), None);
}

#[tokio::test]
async fn statuses_and_sizes_that_will_not_do() {
    let world = World::new();
    let server = FakeServer::start(|seen, _| match seen.target.as_str() {
        "/304" => Reply::new(304, ""),
        "/long" => Reply::new(200, "x".repeat(100)),
        _ => Reply::new(404, "no"),
    });
    let remotes = world.remotes();
    for (path, status) in [("/404", 404), ("/304", 304)] {
        let error = remotes
            .download(&HttpRequest::new(server.url(path)))
            .await
            .unwrap_err();
        let expected = format!(
            "download `{}`: the server answered with status {status}",
            server.url(path)
        );
        assert_eq!(error.to_string(), expected);
    }
    let long = server.url("/long");
    let error = remotes.read(&long, 99).await.unwrap_err();
    assert!(
        matches!(error, RemoteError::TooLarge { limit: 99, .. }),
        "{error}"
    );
    assert_eq!(remotes.read(&long, 100).await.unwrap().len(), 100);
    let error = remotes.read(&long, 99).await.unwrap_err();
    assert!(
        matches!(error, RemoteError::TooLarge { limit: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_broken_body_goes_on_where_it_stopped() {
    let world = World::new();
    let body: Arc<str> = "0123456789".repeat(1000).into();
    let whole = Arc::clone(&body);
    let server = FakeServer::start(move |seen, n| {
        let reply = |status, bytes: &[u8]| Reply::new(status, bytes).header("ETag", "\"e\"");
        match seen.range_start() {
            Some(start) if seen.header("if-range") == Some("\"e\"") => {
                let range = format!("bytes {start}-9999/10000");
                let reply = reply(206, &whole.as_bytes()[start..]).header("Content-Range", range);
                if n < 3 { reply.cut_after(2000) } else { reply }
            }
            _ => reply(200, whole.as_bytes()).cut_after(1000),
        }
    });
    let request = HttpRequest::new(server.url("/f"));
    let download = world.remotes().download(&request).await.unwrap();
    assert_eq!(download.content, Digest::of(body.as_bytes()));
    let starts: Vec<_> = server.seen().iter().map(Seen::range_start).collect();
    assert_eq!(starts, [None, Some(1000), Some(3000), Some(5000)]);
}

#[tokio::test]
async fn a_broken_body_without_a_name_begins_anew_and_ends_in_an_error_at_last() {
    let world = World::new();
    let server = FakeServer::start(|seen, n| {
        let reply = Reply::new(200, "hello");
        let breaks = seen.target == "/always" || n == 0;
        if breaks { reply.cut_after(2) } else { reply }
    });
    let good = world
        .remotes()
        .download(&HttpRequest::new(server.url("/once")))
        .await
        .unwrap();
    assert_eq!(good.content, Digest::of(b"hello"));
    let bad = world
        .remotes()
        .download(&HttpRequest::new(server.url("/always")))
        .await;
    let error = bad.unwrap_err().to_string();
    let words = format!(
        "read the answer of `{}` after 2 bytes",
        server.url("/always")
    );
    assert!(error.starts_with(&words), "{error}");
}

#[tokio::test]
async fn credentials_reach_their_host_and_nothing_else() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let other = {
        let seen = Arc::clone(&seen);
        FakeServer::start(move |request, _| {
            seen.lock()
                .unwrap()
                .push(request.header("authorization").map(str::to_owned));
            Reply::new(500, "")
        })
    };
    let elsewhere = other.url("/x");
    let server = FakeServer::start(move |request, _| {
        if request.header("authorization") != Some("Bearer hunter2") {
            return Reply::new(401, "");
        }
        match request.target.as_str() {
            "/away" => Reply::new(302, "").header("Location", elsewhere.clone()),
            _ => Reply::new(200, "ok"),
        }
    });
    let id = format!("HTTP_AUTH_TOKEN_{}", server.host());
    let remotes = world.remotes_with(secrets(&[(&id, "hunter2\n")]));
    let url = server.url("/f").replace("http://", "http://u:pw@");
    remotes.download(&HttpRequest::new(url)).await.unwrap();
    let error = remotes
        .download(&HttpRequest::new(server.url("/away")))
        .await
        .unwrap_err();
    let shown = format!("{error} {error:?} {remotes:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(seen.lock().unwrap().iter().all(Option::is_none));
    let error = world
        .remotes()
        .download(&HttpRequest::new(server.url("/f")))
        .await;
    assert!(matches!(
        error,
        Err(RemoteError::Status { status: 401, .. })
    ));
}

#[tokio::test]
async fn without_a_server_the_error_says_so() {
    let world = World::new();
    let url = "http://u:secret@127.0.0.1:1/f?x=secret";
    let error = world
        .remotes()
        .download(&HttpRequest::new(url))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("reach `http://127.0.0.1:1/f?...` (3 tries): "),
        "{error}"
    );
    let error = world
        .remotes()
        .download(&HttpRequest::new("http://"))
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("read the address"), "{error}");
}

#[tokio::test]
async fn a_damaged_blob_is_thrown_away() {
    let world = World::new();
    let content = world.store.blobs().put(b"hello").unwrap().digest;
    let path = world.store.blobs().path(&content);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, "jello").unwrap();
    let error = world
        .remotes()
        .file(&world.snapshots, &content, "f", None)
        .unwrap_err();
    assert!(
        matches!(error, RemoteError::Lost(lost) if lost == content),
        "{error}"
    );
    assert_eq!(world.store.blobs().has(&content).unwrap(), None);
}

#[tokio::test]
async fn a_download_that_nobody_waits_for_leaves_nothing() {
    let world = World::new();
    let n = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&n);
    let server = FakeServer::start(move |_, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        Reply::new(200, "x".repeat(4 << 20)).silence(std::time::Duration::from_millis(50))
    });
    let request = HttpRequest::new(server.url("/f"));
    let remotes = world.remotes();
    let task = tokio::spawn(async move { remotes.download(&request).await });
    while n.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(world.store.usage().unwrap().blobs.n, 0);
}

#[test]
fn only_secrets_for_fetching_are_wanted() {
    for id in [
        "HTTP_AUTH_HEADER_h",
        "HTTP_AUTH_TOKEN_h:1",
        "GIT_AUTH_TOKEN",
        "GIT_AUTH_HEADER.h",
    ] {
        assert!(Access::wants(id), "{id}");
    }
    assert!(!Access::wants("npmrc") && !Access::wants("MY_GIT_AUTH_TOKEN"));
    assert_eq!(format!("{:?}", Redacted::new("x")), "[redacted]");
}
