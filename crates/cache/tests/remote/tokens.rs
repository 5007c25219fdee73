//! One token for reading and another one for writing.

use acetate_cache::remote::{Published, Put, RemoteCache, RemoteConfig};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::support::{definition, patient, publication, texts};

fn open(url: &str, read: &str, write: &str) -> RemoteCache {
    let config = RemoteConfig {
        token: Some(read.to_owned().into()),
        write_token: Some(write.to_owned().into()),
        limits: patient(),
        ..RemoteConfig::new(url)
    };
    RemoteCache::open(&config).unwrap()
}

#[tokio::test]
async fn questions_carry_the_one_and_what_writes_the_other() {
    for speaks in [Speaks::Objects, Speaks::Batches, Speaks::Extensions] {
        let server = Scripted::start(speaks);
        // Neither token may do what the other one is for.
        server.spoil(|seen, reply| {
            let is_question = seen.method == "GET"
                || seen.method == "HEAD"
                || seen.target.ends_with("ac:batchGet")
                || seen.target.ends_with("blobs:findMissing");
            let wanted = if is_question { "Bearer a" } else { "Bearer b" };
            match seen.header("authorization") {
                Some(token) if token == wanted => reply,
                _ => Reply::new(403, ""),
            }
        });
        let work = publication("step", &[b"layer"]);
        let client = open(&server.url(), "a", "b");
        let done = client.publish(&work).await;
        assert_eq!(done, Published::Done(vec![Put::Written]), "{speaks:?}");
        assert!(client.lookup(&[definition("step")]).await[0].is_some());
        assert_eq!(texts(&client), Vec::<String>::new());
        // The other way round nothing goes.
        let client = open(&server.url(), "b", "a");
        assert_eq!(client.lookup(&[definition("step")]).await, [None]);
        assert!(matches!(client.publish(&work).await, Published::Skipped(_)));
    }
}

#[tokio::test]
async fn a_token_that_is_unknown_stops_what_it_is_for_only() {
    let server = Server::with_token("write").await;
    let url = format!("{}/org", server.url);
    let work = publication("step", &[b"layer"]);
    let good = open(&url, "secret", "secret");
    assert_eq!(
        good.publish(&work).await,
        Published::Done(vec![Put::Written])
    );
    let client = open(&url, "secret", "guess");
    let other = publication("other", &[b"other layer"]);
    for _ in 0..2 {
        let published = client.publish(&other).await;
        assert!(matches!(published, Published::Skipped(_)), "{published:?}");
        assert!(client.lookup(&[definition("step")]).await[0].is_some());
    }
    let warnings = texts(&client);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].ends_with("it is not used for writing"),
        "{warnings:?}"
    );
}
