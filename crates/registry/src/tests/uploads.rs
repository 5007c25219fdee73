use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use acetate_net::fake::{FakeServer, Reply};
use acetate_oci::Descriptor;

use super::fixture::*;
use crate::{FileSource, Progress, PushBlob, Pushed, RegistryError};

#[tokio::test]
async fn a_blob_is_looked_for_then_sent_in_one_piece() {
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| rules.serve(seen));
    let bytes = sample(700_000);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let progress: Arc<dyn Progress> =
        Arc::new(move |_: &Descriptor, n: u64| log.lock().unwrap().push(n));
    let registries = anonymous();
    let (to, blob) = (app(&server), blob(&bytes));
    let pushed = registries.push_blob(&to, &blob, &progress).await.unwrap();
    assert_eq!(pushed, Pushed::Sent);
    assert_eq!(fake.blob(&blob.descriptor.digest), Some(bytes));
    assert_eq!(
        lines(&server),
        ["HEAD blobs/D", "POST blobs/uploads/", "PUT blobs/uploads/1"]
    );
    let put = server.seen().remove(2);
    assert_eq!(put.header("content-length"), Some("700000"));
    assert_eq!(put.header("transfer-encoding"), None);
    let steps = seen.lock().unwrap().clone();
    assert!(
        steps.is_sorted() && steps.last() == Some(&700_000),
        "{steps:?}"
    );
    // What is there is not opened.
    let absent = PushBlob {
        source: Arc::new(FileSource("/nonexistent".into())),
        ..blob
    };
    let pushed = registries.push_blob(&to, &absent, &progress).await.unwrap();
    assert_eq!(pushed, Pushed::Present);
    assert_eq!(server.seen().len(), 4);
    assert_eq!(*seen.lock().unwrap(), steps, "nothing moved");
}

#[tokio::test]
async fn the_same_blob_wanted_twice_is_sent_once() {
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| rules.serve(seen));
    let (registries, to, blob) = (anonymous(), app(&server), blob(&sample(1000)));
    let progress = silent();
    let push = || registries.push_blob(&to, &blob, &progress);
    let all = futures_util::future::try_join_all((0..3).map(|_| push())).await;
    assert_eq!(all.unwrap(), [Pushed::Sent; 3]);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn few_uploads_are_under_way_at_once() {
    static N_NOW: AtomicUsize = AtomicUsize::new(0);
    static N_MOST: AtomicUsize = AtomicUsize::new(0);
    let fake = Fake::default();
    let rules = fake.clone();
    let server = FakeServer::start(move |seen, _| {
        if seen.method == "PUT" {
            let n = N_NOW.fetch_add(1, Ordering::SeqCst) + 1;
            N_MOST.fetch_max(n, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(30));
            N_NOW.fetch_sub(1, Ordering::SeqCst);
        }
        rules.serve(seen)
    });
    let (registries, to, progress) = (anonymous(), app(&server), silent());
    let blobs: Vec<_> = (1..=12).map(|n| blob(&sample(n * 100))).collect();
    let all = blobs
        .iter()
        .map(|blob| registries.push_blob(&to, blob, &progress));
    futures_util::future::try_join_all(all).await.unwrap();
    assert!(
        (2..=4).contains(&N_MOST.load(Ordering::SeqCst)),
        "{N_MOST:?}"
    );
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_it_stopped() {
    let fake = Fake::default();
    let rules = fake.clone();
    let bytes = sample(600_000);
    let n_puts = AtomicUsize::new(0);
    let (part, store) = (bytes[..250_000].to_vec(), fake.clone());
    let server = FakeServer::start_cutting(
        move |seen| {
            let is_first = seen.method == "PUT" && n_puts.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first {
                store.receive(&part);
            }
            is_first.then_some(250_000)
        },
        move |seen, _| rules.serve(seen),
    );
    let blob = blob(&bytes);
    let registries = anonymous();
    let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
    assert_eq!(pushed.unwrap(), Pushed::Sent);
    assert_eq!(fake.blob(&blob.descriptor.digest), Some(bytes));
    assert_eq!(
        lines(&server),
        [
            "HEAD blobs/D",
            "POST blobs/uploads/",
            "PUT blobs/uploads/1",
            "HEAD blobs/D",
            "GET blobs/uploads/1",
            "PATCH blobs/uploads/1",
            "PUT blobs/uploads/1"
        ]
    );
    let patch = server.seen().remove(5);
    assert_eq!(patch.header("content-range"), Some("250000-599999"));
}

#[tokio::test]
async fn a_lost_session_begins_anew_and_a_lost_answer_does_not() {
    for lost in ["session", "answer"] {
        let fake = Fake::default();
        let rules = fake.clone();
        let n_puts = AtomicUsize::new(0);
        let server = FakeServer::start(move |seen, _| {
            let is_first = seen.method == "PUT" && n_puts.fetch_add(1, Ordering::SeqCst) == 0;
            match (is_first, lost) {
                (true, "session") => {
                    rules.lose_sessions();
                    Reply::new(503, "")
                }
                (true, _) => {
                    rules.serve(seen);
                    Reply::closed()
                }
                (false, _) => rules.serve(seen),
            }
        });
        let blob = blob(&sample(5000));
        let registries = anonymous();
        registries
            .push_blob(&app(&server), &blob, &silent())
            .await
            .unwrap();
        assert!(fake.blob(&blob.descriptor.digest).is_some());
        let n_posts = lines(&server)
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count();
        assert_eq!(
            n_posts,
            if lost == "session" { 2 } else { 1 },
            "{:?}",
            lines(&server)
        );
    }
}

#[tokio::test]
async fn passing_faults_are_waited_out_and_lasting_ones_end() {
    for (status, n_faults, is_ok) in [(429, 2, true), (503, 2, true), (500, 99, false)] {
        let fake = Fake::default();
        let rules = fake.clone();
        let n_puts = AtomicUsize::new(0);
        let server = FakeServer::start(move |seen, _| {
            if seen.method == "PUT" && n_puts.fetch_add(1, Ordering::SeqCst) < n_faults {
                return Reply::new(status, r#"{"errors":[{"message":"not now"}]}"#)
                    .header("Retry-After", "0");
            }
            rules.serve(seen)
        });
        let registries = anonymous();
        let blob = blob(&sample(100));
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        assert_eq!(pushed.is_ok(), is_ok, "{status}: {pushed:?}");
        if let Err(error) = pushed {
            let text = error.to_string();
            assert!(text.contains("answered 500: not now"), "{text}");
            assert!(text.contains(&blob.descriptor.digest.to_string()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_wants_chunks_gets_them() {
    for refusal in [405, 413, 501] {
        let fake = Fake::default();
        let rules = fake.clone();
        // It takes no more than 4 MiB at once, so that the first sizes tried are too large as well.
        let server = FakeServer::start(move |seen, _| match seen.body.len() {
            n if n > 4 << 20 && seen.method == "PUT" => Reply::new(refusal, ""),
            n if n > 4 << 20 => Reply::new(413, ""),
            _ => rules.serve(seen),
        });
        let bytes = sample((9 << 20) + 17);
        let blob = blob(&bytes);
        let registries = anonymous();
        registries
            .push_blob(&app(&server), &blob, &silent())
            .await
            .unwrap();
        assert_eq!(
            fake.blob(&blob.descriptor.digest).map(|b| b.len()),
            Some(bytes.len())
        );
        let seen = server.seen();
        let last = seen.last().unwrap();
        assert_eq!((last.method.as_str(), last.body.len()), ("PUT", 0));
        let chunks: Vec<_> = seen
            .iter()
            .filter(|seen| seen.method == "PATCH" && seen.body.len() <= 4 << 20)
            .map(|seen| seen.header("content-range").unwrap().to_owned())
            .collect();
        assert_eq!(chunks, ["0-4194303", "4194304-8388607", "8388608-9437200"]);
    }
}

#[tokio::test]
async fn one_that_takes_no_size_at_all_is_an_error() {
    let fake = Fake::default();
    let server = FakeServer::start(move |seen, _| match seen.body.len() {
        0 => fake.serve(seen),
        _ => Reply::new(413, ""),
    });
    let registries = anonymous();
    let error = registries
        .push_blob(&app(&server), &blob(&sample(10)), &silent())
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 413, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn odd_locations_are_followed_or_refused() {
    for (location, words) in [
        ("ABSOLUTE", None),
        ("1?_state=a%2Fb", None),
        ("", Some("does not say where")),
        ("http://[", Some("bad address")),
        ("file:///etc/passwd", Some("only http and https")),
        ("http://registry.example/x", Some("loopback addresses only")),
    ] {
        let fake = Fake::default();
        let rules = fake.clone();
        let server = FakeServer::start(move |seen, _| {
            let mut reply = rules.serve(seen);
            if seen.method == "POST" {
                let host = seen.header("host").unwrap();
                let text = match location {
                    "ABSOLUTE" => format!("http://{host}/v2/app/blobs/uploads/1?_state=a%2Fb"),
                    other => other.to_owned(),
                };
                reply.headers = vec![("Location".to_owned(), text)];
            }
            reply
        });
        let registries = anonymous();
        let pushed = registries
            .push_blob(&app(&server), &blob(&sample(10)), &silent())
            .await;
        match (pushed, words) {
            (Ok(Pushed::Sent), None) => {}
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{location}: {error}");
            }
            other => panic!("{location}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_the_error() {
    let fake = Fake::default();
    let server = FakeServer::start(move |seen, _| fake.serve(seen));
    let registries = anonymous();
    let dir = tempfile::tempdir().unwrap();
    let short = dir.path().join("short");
    std::fs::write(&short, sample(10)).unwrap();
    for (path, words) in [(short, "early"), (dir.path().join("none"), "No such file")] {
        let mut blob = blob(&sample(500_000));
        blob.source = Arc::new(FileSource(path));
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        let error = pushed.unwrap_err();
        assert!(matches!(error, RegistryError::Source { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn mounts_are_taken_refused_or_turned_into_uploads() {
    for (status, expected) in [
        (201, Pushed::Mounted),
        (202, Pushed::Sent),
        (403, Pushed::Sent),
        (404, Pushed::Sent),
    ] {
        let fake = Fake::default();
        let rules = fake.clone();
        let server = FakeServer::start(move |seen, _| {
            let is_mount = seen.target.contains("mount=");
            match status {
                202 => rules.serve(seen),
                status if is_mount => Reply::new(status, ""),
                _ => rules.serve(seen),
            }
        });
        let registries = anonymous();
        let mut blob = blob(&sample(10));
        let elsewhere = crate::Repository::from(&"r.example/base".parse().unwrap());
        blob.mount_from = vec![elsewhere, app(&server), named(&server, "org/base")];
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), expected, "{status}");
        let posts: Vec<_> = server
            .seen()
            .into_iter()
            .filter(|seen| seen.method == "POST")
            .map(|seen| seen.target)
            .collect();
        let digest = blob.descriptor.digest.to_string().replace(':', "%3A");
        let mount = format!("/v2/app/blobs/uploads/?mount={digest}&from=org%2Fbase");
        assert_eq!(posts[0], mount);
        assert_eq!(posts.len(), if status < 300 { 1 } else { 2 });
    }
}
