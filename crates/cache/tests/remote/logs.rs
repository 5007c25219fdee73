//! Logs of steps that others make.

use std::time::Duration;

use acetate_cache::CacheKey;
use acetate_cache::remote::{LogPart, RemoteCache, Stream};
use acetate_cache_api::lease::{Claim, Lease};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::support::{cache, definition, patient, publication, texts};

async fn claim(client: &RemoteCache, key: &CacheKey) -> String {
    match client.claim(key, &Claim::default()).await {
        Some(Lease::Granted { lease, .. }) => lease,
        other => panic!("{other:?}"),
    }
}

/// What a waiter saw: the text of both streams, and how many bytes were gone.
#[derive(Default)]
struct Seen {
    out: Vec<u8>,
    err: Vec<u8>,
    dropped: u64,
}

impl Seen {
    fn add(&mut self, part: LogPart) {
        match part {
            LogPart::Bytes { stream, bytes } => match stream {
                Stream::Out => self.out.extend(bytes),
                Stream::Err => self.err.extend(bytes),
            },
            LogPart::Dropped(n) => self.dropped += n,
        }
    }
}

#[tokio::test]
async fn waiters_see_what_the_maker_says() {
    let server = Server::open().await;
    let (maker, waiter) = (server.client("org"), server.client("org"));
    let key = definition("step");
    let lease = claim(&maker, &key).await;
    let mut seen = Seen::default();
    let (followed, ()) = tokio::join!(waiter.follow_log(&key, 0, |part| seen.add(part)), async {
        assert!(maker.append_log(&key, &lease, Stream::Out, b"one ").await);
        assert!(maker.append_log(&key, &lease, Stream::Err, b"two").await);
        // More than one request takes.
        let long = vec![b'x'; 600 << 10];
        assert!(maker.append_log(&key, &lease, Stream::Out, &long).await);
        maker.publish(&publication("step", &[b"layer"])).await;
        assert!(!maker.append_log(&key, &lease, Stream::Out, b"late").await);
    });
    assert!(followed.is_ended);
    assert_eq!(followed.next, 7 + (600 << 10));
    assert_eq!(
        (seen.out.len(), seen.err),
        (4 + (600 << 10), b"two".to_vec())
    );
    // A part of it, and by others nothing.
    let mut rest = Seen::default();
    let followed = waiter.follow_log(&key, 5, |part| rest.add(part)).await;
    assert_eq!((rest.err, followed.is_ended), (b"wo".to_vec(), true));
    let other = definition("another");
    let followed = waiter
        .follow_log(&other, 3, |_| panic!("nothing is said"))
        .await;
    assert_eq!((followed.next, followed.is_ended), (3, false));
    assert!(!waiter.append_log(&key, "../x", Stream::Out, b"x").await);
    assert_eq!((texts(&maker), texts(&waiter)), (vec![], vec![]));
    // That a key has no log says nothing about the server.
    assert!(waiter.claim(&other, &Claim::default()).await.is_some());
}

#[tokio::test]
async fn faults_of_logs_are_silent() {
    let server = Scripted::start(Speaks::Extensions);
    let client = cache(&server.url(), patient());
    let key = definition("step");
    let answers: [fn() -> Reply; 8] = [
        || Reply::new(500, ""),
        || Reply::new(507, ""),
        || Reply::new(401, ""),
        || Reply::new(429, "").header("retry-after", "60"),
        Reply::closed,
        || Reply::new(200, "<html>not a log"),
        || Reply::new(200, "1 0 5\nhel").cut_after(9),
        || Reply::new(200, "1 0 5\nhello"),
    ];
    for answer in answers {
        server.spoil(move |seen, usual| {
            if seen.target.contains("/logs/") {
                answer()
            } else {
                usual
            }
        });
        let mut seen = Seen::default();
        let followed = client.follow_log(&key, 0, |part| seen.add(part)).await;
        assert!(!followed.is_ended);
        assert_eq!(followed.next, seen.out.len() as u64);
        client.append_log(&key, "abc", Stream::Out, b"x").await;
    }
    server.heal();
    assert_eq!(texts(&client), Vec::<String>::new());
    // Neither is the server left alone: a look-up is asked as before.
    client.lookup(&[key]).await;
    assert_eq!(client.stats().misses, 1);
}

#[tokio::test]
async fn a_follower_can_be_dropped() {
    let server = Server::open().await;
    let client = server.client("org");
    let key = definition("step");
    claim(&client, &key).await;
    let follow = client.follow_log(&key, 0, |_| {});
    let ended = tokio::time::timeout(Duration::from_millis(50), follow).await;
    assert!(
        ended.is_err(),
        "nobody says anything, and the lease is held"
    );
}
