//! Leases, as far as a client sees them.

use std::time::Duration;

use acetate_cache::remote::Beat;
use acetate_cache_api::lease::{Claim, Lease};

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::support::{cache, definition, patient, publication, texts};

#[tokio::test]
async fn one_makes_it_and_the_others_wait() {
    let server = Server::open().await;
    let (maker, waiter) = (server.client("org"), server.client("org"));
    let key = definition("step");
    let claim = Claim {
        name: "RUN make".to_owned(),
        expected_ms: Some(9000),
    };
    let Some(Lease::Granted { lease, .. }) = maker.claim(&key, &claim).await else {
        panic!("not granted");
    };
    assert_eq!(maker.beat(&key, &lease).await, Beat::Held);
    assert_eq!(maker.beat(&key, "another").await, Beat::Gone);
    assert_eq!(maker.beat(&key, "../x").await, Beat::Unknown);
    let other = waiter.claim(&key, &Claim::default()).await;
    let is_held = matches!(
        other,
        Some(Lease::Held {
            expected_ms: Some(9000),
            ..
        })
    );
    assert!(is_held, "{other:?}");
    let work = publication("step", &[b"layer"]);
    let (waited, _) = tokio::join!(
        waiter.wait(&key, Duration::from_secs(20)),
        maker.publish(&work)
    );
    assert_eq!(waited, Some(Lease::Done));
    assert!(waiter.lookup(&[key]).await[0].is_some());
    assert_eq!(waiter.claim(&key, &claim).await, Some(Lease::Done));
}

#[tokio::test]
async fn who_gives_up_wakes_the_others() {
    let server = Server::open().await;
    let (maker, waiter) = (server.client("org"), server.client("org"));
    let key = definition("step");
    let Some(Lease::Granted { lease, .. }) = maker.claim(&key, &Claim::default()).await else {
        panic!("not granted");
    };
    let (waited, ()) = tokio::join!(
        waiter.wait(&key, Duration::from_secs(20)),
        maker.give_up(&key, &lease)
    );
    assert_eq!(waited, Some(Lease::Free));
    assert_eq!(maker.beat(&key, &lease).await, Beat::Gone);
}

#[tokio::test]
async fn a_server_without_leases_is_asked_once() {
    for (speaks, n_asked) in [(Speaks::Objects, 0), (Speaks::Batches, 1)] {
        let server = Scripted::start(speaks);
        let client = cache(&server.url(), patient());
        for _ in 0..3 {
            assert_eq!(
                client.claim(&definition("step"), &Claim::default()).await,
                None
            );
            assert_eq!(client.wait(&definition("step"), Duration::ZERO).await, None);
        }
        assert_eq!(server.count("POST", "/leases/"), n_asked);
        assert_eq!(texts(&client), Vec::<String>::new());
    }
}
