//! What people ask and do.

use acetate_cache::remote::told::Miss;
use acetate_cache::remote::{AdminError, RemoteCache, action_key};
use acetate_oci::Digest;

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::support::{cache, definition, patient, publication, texts};

async fn publish(client: &RemoteCache, names: &[&str]) {
    for name in names {
        client.publish(&publication(name, &[name.as_bytes()])).await;
    }
}

#[tokio::test]
async fn records_are_listed_and_removed() {
    let server = Server::open().await;
    let client = server.client("org/repo");
    publish(&client, &["a", "b", "c"]).await;
    publish(&server.client("else"), &["d"]).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = client.records(2, after.as_deref()).await.unwrap();
        found.extend(page.records);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut expected = ["a", "b", "c"].map(|name| action_key(&definition(name)).hex());
    expected.sort();
    let keys: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, expected);
    assert!(
        found
            .iter()
            .all(|entry| entry.namespace == "org/repo" && entry.saved_ms == 1500)
    );
    let (namespace, key) = ("org/repo".parse().unwrap(), action_key(&definition("a")));
    assert!(client.remove(&namespace, &key).await.unwrap());
    assert!(!client.remove(&namespace, &key).await.unwrap());
    assert!(client.lookup(&[definition("a")]).await[0].is_none());
    assert!(client.lookup(&[definition("b")]).await[0].is_some());
}

#[tokio::test]
async fn the_server_tells_what_it_did() {
    let server = Server::open().await;
    let client = server.client("org");
    publish(&client, &["a"]).await;
    client.lookup(&[definition("a"), definition("b")]).await;
    let miss = |n: usize| Miss {
        step: format!("RUN {n}"),
        reason: "base moved".to_owned(),
        key: String::new(),
    };
    let misses: Vec<Miss> = (0..300).map(miss).collect();
    client.post_misses(&misses).await;
    let stats = client.server_stats().await.unwrap();
    assert_eq!((stats.records, stats.last_misses.len()), (1, 200));
    assert_eq!(stats.last_misses[0].miss, miss(299));
    assert!(stats.hit_rate.is_some());
    assert_eq!(client.collect().await.unwrap().records, 0);
    let tally = client.verify(|_| {}).await.unwrap();
    assert!(
        tally.sound > 0 && tally.damaged == 0 && !tally.running,
        "{tally:?}"
    );
}

#[tokio::test]
async fn faults_are_named_to_who_asked() {
    let server = Server::with_token("read").await;
    let (reader, other) = (
        server.client_with("org", "secret"),
        server.client_with("org", "x"),
    );
    assert!(reader.server_stats().await.is_ok());
    let forbidden = reader.collect().await.unwrap_err();
    assert!(matches!(&forbidden, AdminError::Forbidden { scope, .. } if scope == "org:admin"));
    let namespace = "org".parse().unwrap();
    let forbidden = reader
        .remove(&namespace, &Digest::of(b"x"))
        .await
        .unwrap_err();
    assert!(
        forbidden.to_string().contains("it needs `org:admin`"),
        "{forbidden}"
    );
    let unknown = other.records(10, None).await.unwrap_err();
    assert!(matches!(unknown, AdminError::Unauthorized { .. }));
    // A reader tells no misses, and nobody is told that.
    reader.post_misses(&[Miss::default()]).await;
    assert!(reader.server_stats().await.unwrap().last_misses.is_empty());
    assert_eq!(texts(&reader), Vec::<String>::new());

    let objects = Scripted::start(Speaks::Objects);
    let client = cache(&objects.url(), patient());
    let unsupported = client.server_stats().await.unwrap_err();
    assert!(matches!(unsupported, AdminError::Unsupported { .. }));
    client.post_misses(&[Miss::default()]).await;
    assert_eq!(objects.count("POST", "/misses"), 0);
    let url = objects.url();
    drop(objects);
    let gone = cache(&url, patient()).server_stats().await.unwrap_err();
    assert!(matches!(gone, AdminError::Unreachable { .. }), "{gone}");
}
