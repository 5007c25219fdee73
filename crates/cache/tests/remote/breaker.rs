//! A server that fails is left alone, and tried again.

use std::time::Duration;

use acetate_cache::remote::{BreakerRules, BreakerState, RemoteLimits};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::support::{cache, definition, patient, publication, quick, texts};

fn resting(rest: Duration) -> RemoteLimits {
    RemoteLimits {
        breaker: BreakerRules {
            rest,
            ..BreakerRules::default()
        },
        ..patient()
    }
}

#[tokio::test]
async fn it_opens_and_closes() {
    let server = Scripted::start(Speaks::Objects);
    let client = cache(&server.url(), resting(Duration::from_secs(30)));
    client.publish(&publication("step", &[b"layer"])).await;
    server.spoil(|_, _| Reply::new(500, "broken"));
    let keys: Vec<_> = (0..40).map(|n| definition(&n.to_string())).collect();
    let hits = client.lookup(&keys).await;
    assert_eq!(hits.iter().flatten().count(), 0);
    let stats = client.stats();
    assert_eq!((stats.breaker, stats.n_openings), (BreakerState::Open, 1));
    // The fifth failure stops it: the four before made room for others, and sixteen are under way.
    assert_eq!(stats.errors + stats.not_asked, 40);
    assert!((5..=20).contains(&stats.errors), "{stats:?}");
    let n_seen = server.server.seen().len();
    client.lookup(&keys).await;
    assert_eq!(server.server.seen().len(), n_seen);
    server.heal();
    // Half a minute later the next request is the probe.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    assert!(client.lookup(&[definition("step")]).await[0].is_some());
    assert_eq!(client.stats().breaker, BreakerState::Closed);
    assert_eq!(texts(&client).len(), 1, "one line for one cause");
}

#[tokio::test]
async fn the_third_opening_is_the_last() {
    let server = Scripted::start(Speaks::Objects);
    let client = cache(&server.url(), resting(Duration::ZERO));
    client.warm_up().await;
    server.spoil(|_, _| Reply::new(503, "broken"));
    for _ in 0..8 {
        client.lookup(&[definition("step")]).await;
    }
    server.heal();
    client.lookup(&[definition("step")]).await;
    let stats = client.stats();
    assert_eq!((stats.breaker, stats.n_openings), (BreakerState::Off, 3));
    assert_eq!((stats.errors, stats.not_asked), (7, 2));
    let warnings = texts(&client);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].contains("not asked any more"), "{warnings:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let server = Scripted::start(Speaks::Objects);
    let client = cache(&server.url(), quick());
    client.warm_up().await;
    server.spoil(|_, _| Reply::new(429, "").header("Retry-After", "30"));
    client.lookup(&[definition("step")]).await;
    server.heal();
    let n_seen = server.server.seen().len();
    client.lookup(&[definition("step")]).await;
    assert_eq!(server.server.seen().len(), n_seen);
    let stats = client.stats();
    assert_eq!((stats.breaker, stats.not_asked), (BreakerState::Closed, 1));
}

#[tokio::test]
async fn nobody_listening_costs_little() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/org", free.local_addr().unwrap());
    drop(free);
    let client = cache(&url, quick());
    let keys: Vec<_> = (0..100).map(|n| definition(&n.to_string())).collect();
    let begin = std::time::Instant::now();
    assert_eq!(client.lookup(&keys).await.iter().flatten().count(), 0);
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(client.stats().errors, 100);
    assert_eq!(texts(&client).len(), 1);
}
