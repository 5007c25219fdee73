//! Who writes a record, and who may not.

use acetate_cache::Fidelity;
use acetate_cache::remote::{
    Cause, Existing, Publication, Published, Put, RemoteCache, RemoteConfig, Skip,
};
use acetate_cache_api::{Kind, Namespace, Route};

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::support::{cache, definition, noise, nothing, patient, publication, texts};

#[tokio::test]
async fn of_two_that_publish_at_once_one_result_is_left() {
    let server = Server::open().await;
    let shared = noise(20, 4 << 20);
    for round in 0..4_u32 {
        let name = format!("step {round}");
        let own = [0, 1].map(|n| noise(100 + u64::from(round * 2 + n), 3 << 20));
        let clients = [server.client("org"), server.client("org")];
        let publications = [&own[0], &own[1]].map(|own| publication(&name, &[&shared, own]));
        let (a, b) = tokio::join!(
            clients[0].publish(&publications[0]),
            clients[1].publish(&publications[1])
        );
        let outcomes = [a, b];
        let written = Published::Done(vec![Put::Written]);
        let kept = Published::Done(vec![Put::Kept]);
        assert!(outcomes.contains(&written), "{outcomes:?}");
        assert!(
            outcomes.iter().all(|o| *o == written || *o == kept),
            "{outcomes:?}"
        );
        // Both read the whole of one result, and the same one.
        let mut found = Vec::new();
        for client in &clients {
            let hit = client.lookup(&[definition(&name)]).await.remove(0).unwrap();
            let layer = &hit.record.layers[1];
            let came = client
                .fetch_layer(layer, Vec::new(), nothing)
                .await
                .unwrap();
            found.push(
                own.iter()
                    .position(|own| *own == came)
                    .expect("one of the two"),
            );
        }
        assert_eq!(found[0], found[1]);
    }
}

#[tokio::test]
async fn a_record_is_replaced_only_on_purpose() {
    let server = Server::open().await;
    let client = server.client("org");
    let first = publication("step", &[b"first"]);
    let second = publication("step", &[b"second"]);
    assert_eq!(
        client.publish(&first).await,
        Published::Done(vec![Put::Written])
    );
    assert_eq!(
        client.publish(&second).await,
        Published::Done(vec![Put::Kept])
    );
    let top = || async {
        let hit = client
            .lookup(&[definition("step")])
            .await
            .remove(0)
            .unwrap();
        hit.record.layers[0].diff_id
    };
    assert_eq!(top().await, first.layers[0].diff_id);
    let forced = Publication {
        existing: Existing::Replace,
        ..second.clone()
    };
    assert_eq!(
        client.publish(&forced).await,
        Published::Done(vec![Put::Written])
    );
    assert_eq!(top().await, second.layers[0].diff_id);
    let stats = client.stats();
    assert_eq!((stats.published, stats.kept, stats.skipped), (2, 1, 0));
}

#[tokio::test]
async fn chunks_that_the_server_lost_are_sent_again() {
    let server = Server::open().await;
    let client = server.client("org");
    let bytes = noise(21, 4 << 20);
    client.publish(&publication("one", &[&bytes])).await;
    let hit = client.lookup(&[definition("one")]).await.remove(0).unwrap();
    let layer = &hit.record.layers[0];
    let lost = Route {
        namespace: Namespace::root(),
        kind: Kind::Content,
        key: layer.chunks()[1].stored,
    };
    assert!(server.app.disk().remove(&lost).unwrap());
    assert_eq!(client.lookup(&[definition("one")]).await, [None]);
    let up = client.stats().chunks_up;
    let done = client.publish(&publication("one", &[&bytes])).await;
    // With its chunk the record that is there is whole again, and stays.
    assert_eq!(done, Published::Done(vec![Put::Kept]));
    assert_eq!(client.stats().chunks_up, up + 1);
    assert!(client.lookup(&[definition("one")]).await[0].is_some());
}

#[tokio::test]
async fn a_server_that_loses_chunks_at_the_last_moment_is_asked_once_more() {
    let server = Scripted::start(Speaks::Extensions);
    let client = cache(&server.url(), patient());
    server.spoil(|seen, reply| match seen.method.as_str() {
        "PUT" if seen.target.contains("/ac/") => acetate_net::fake::Reply::new(409, "missing"),
        _ => reply,
    });
    let done = client.publish(&publication("step", &[b"layer"])).await;
    assert_eq!(done, Published::Skipped(Skip::Incomplete));
    assert_eq!(server.count("PUT", "/ac/"), 2);
    server.heal();
    server.edit(|objects| objects.retain(|path, _| !path.contains("/ac/")));
    let done = client.publish(&publication("step", &[b"layer"])).await;
    assert_eq!(done, Published::Done(vec![Put::Written]));
}

#[tokio::test]
async fn results_of_weaker_sandboxes_stay_here() {
    let server = Server::open().await;
    let client = server.client("org");
    let fidelity = Fidelity::Reduced {
        reason: "no pid namespace".to_owned(),
    };
    let reduced = Publication {
        fidelity,
        ..publication("step", &[b"layer"])
    };
    assert_eq!(
        client.publish(&reduced).await,
        Published::Skipped(Skip::Reduced)
    );
    assert_eq!(client.stats().bytes_up, 0);
}

#[tokio::test]
async fn a_token_opens_what_it_says() {
    let server = Server::with_token("write").await;
    let (right, wrong) = (
        server.client_with("org", "secret"),
        server.client_with("org", "guess"),
    );
    let work = publication("step", &[b"layer"]);
    assert_eq!(
        right.publish(&work).await,
        Published::Done(vec![Put::Written])
    );
    assert!(right.lookup(&[definition("step")]).await[0].is_some());
    for client in [wrong, server.client("org")] {
        assert_eq!(client.lookup(&[definition("step")]).await, [None]);
        let skipped = Skip::Cache(Cause::Off);
        assert_eq!(client.publish(&work).await, Published::Skipped(skipped));
        let warnings = texts(&client);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("wants another token"), "{warnings:?}");
        assert!(!warnings[0].contains("guess"));
        assert_eq!(client.stats().errors, 1);
    }
}

#[tokio::test]
async fn a_token_that_only_reads_does_not_try_to_write_twice() {
    let server = Server::with_token("read").await;
    let client = server.client_with("org", "secret");
    for _ in 0..2 {
        let done = client
            .publish(&publication("step", &[&noise(22, 3 << 20)]))
            .await;
        assert_eq!(done, Published::Skipped(Skip::Cache(Cause::Forbidden)));
    }
    assert_eq!(client.lookup(&[definition("step")]).await, [None]);
    assert_eq!(client.stats().misses, 1, "reading goes on");
    let warnings = texts(&client);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("does not allow writing"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_full_server_is_still_read() {
    let server = Server::with_room(2 << 20).await;
    let client = server.client("org");
    client.publish(&publication("small", &[b"layer"])).await;
    let done = client
        .publish(&publication("large", &[&noise(23, 8 << 20)]))
        .await;
    assert_eq!(done, Published::Skipped(Skip::Cache(Cause::Full)));
    let done = client
        .publish(&publication("next", &[b"another layer"]))
        .await;
    assert_eq!(
        done,
        Published::Skipped(Skip::Cache(Cause::Full)),
        "not tried for a while"
    );
    assert!(client.lookup(&[definition("small")]).await[0].is_some());
    let warnings = texts(&client);
    assert!(
        warnings.len() == 1 && warnings[0].contains("no room left"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn an_upload_that_is_dropped_ends() {
    let server = Scripted::start(Speaks::Extensions);
    server.spoil(|seen, reply| match seen.method.as_str() {
        "PUT" => reply.silence(std::time::Duration::from_secs(3)),
        _ => reply,
    });
    let client = cache(
        &server.url(),
        acetate_cache::remote::RemoteLimits::default(),
    );
    let work = publication("step", &[&noise(24, 64 << 20)]);
    let upload = tokio::time::timeout(std::time::Duration::from_millis(500), client.publish(&work));
    assert!(upload.await.is_err());
    server.heal();
    // Nothing holds the way: the next one goes through.
    let done = client.publish(&publication("next", &[b"layer"])).await;
    assert_eq!(done, Published::Done(vec![Put::Written]));
}

#[test]
fn a_wrong_configuration_is_an_error() {
    for (url, words) in [
        (
            "http://cache.example/org",
            "allowed for loopback addresses only",
        ),
        ("http://127.0.0.1/a//b", "is no namespace"),
        (
            "https://token@cache.example/org",
            "give the token by itself",
        ),
        ("cache.example", "is no address of a cache"),
    ] {
        let error = RemoteCache::open(&RemoteConfig::new(url))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{url}: {error}");
    }
}
