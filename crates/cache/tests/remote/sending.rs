//! How often a layer is read, compressed and sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use acetate_cache::remote::{Published, Put, Recall, RemoteCache, RemoteLayer};
use acetate_oci::Digest;
use futures_util::future;

use crate::server::Server;
use crate::support::{definition, noise, nothing, publication, source};

/// The layers of a result, as another client is told of them.
async fn layers(client: &RemoteCache, name: &str) -> Vec<RemoteLayer> {
    let hit = client.lookup(&[definition(name)]).await.remove(0);
    hit.expect("it was published").record.layers
}

/// What the pieces of these layers become.
fn recall(layers: &[RemoteLayer]) -> Recall {
    let chunks = layers.iter().flat_map(RemoteLayer::chunks);
    let known: HashMap<Digest, (Digest, u32)> = chunks
        .map(|chunk| (chunk.raw, (chunk.stored, chunk.stored_size)))
        .collect();
    Arc::new(move |raws| raws.iter().map(|raw| known.get(raw).copied()).collect())
}

#[tokio::test]
async fn results_that_share_layers_at_once_read_each_of_them_once() {
    let server = Server::open().await;
    let client = server.client("org");
    let sources: Vec<_> = (0..6).map(|n| source(&noise(60 + n, 3 << 20))).collect();
    let steps = (1..=sources.len()).map(|n| {
        let mut publication = publication(&format!("step {n}"), &[]);
        let chain = sources[..n].iter().map(|(source, _)| source.clone());
        publication.layers.extend(chain);
        publication
    });
    let steps: Vec<_> = steps.collect();
    let done = future::join_all(steps.iter().map(|step| client.publish(step))).await;
    assert_eq!(done, vec![Published::Done(vec![Put::Written]); 6]);
    let opened = sources.iter().map(|(_, n)| n.load(Ordering::SeqCst));
    assert_eq!(opened.collect::<Vec<_>>(), [1; 6]);
    let stats = client.stats();
    assert_eq!(stats.layers_read, 6);
    assert_eq!(
        (stats.chunks_compressed, stats.chunks_deduped),
        (stats.chunks_up, 0)
    );
}

#[tokio::test]
async fn what_is_known_is_asked_for_and_not_compressed() {
    let server = Server::open().await;
    let before = noise(70, 32 << 20);
    let mut after = before.clone();
    after[9 << 20..][..300_000].copy_from_slice(&noise(71, 300_000));
    let first = server.client("org");
    first.publish(&publication("before", &[&before])).await;
    let recall = recall(&layers(&first, "before").await);

    let second = server.client("org");
    let step = publication("after", &[&after]);
    let done = second.publish_recalling(&step, &recall);
    assert_eq!(done.await, Published::Done(vec![Put::Written]));
    let stats = second.stats();
    assert!(
        stats.chunks_deduped > 40 && stats.chunks_up <= 3,
        "{stats:?}"
    );
    assert_eq!(stats.chunks_compressed, stats.chunks_up);
    let layer = layers(&second, "after").await.remove(0);
    let came = second.fetch_layer(&layer, Vec::new(), nothing).await;
    assert!(came.unwrap() == after);
}

#[tokio::test]
async fn what_is_known_and_not_there_is_sent() {
    let (old, new) = (Server::open().await, Server::open().await);
    let bytes = noise(72, 8 << 20);
    let first = old.client("org");
    first.publish(&publication("step", &[&bytes])).await;
    let recall = recall(&layers(&first, "step").await);
    let second = new.client("org");
    let step = publication("step", &[&bytes]);
    let done = second.publish_recalling(&step, &recall);
    assert_eq!(done.await, Published::Done(vec![Put::Written]));
    assert_eq!(layers(&second, "step").await, layers(&first, "step").await);
    let layer = layers(&second, "step").await.remove(0);
    let came = second.fetch_layer(&layer, Vec::new(), nothing).await;
    assert!(came.unwrap() == bytes);
}

/// What is remembered may be of another release of the compressor: then the new object counts.
#[tokio::test]
async fn what_became_something_else_is_named_as_it_is_now() {
    let server = Server::open().await;
    let bytes = noise(73, 8 << 20);
    let other: Recall = Arc::new(|raws| {
        let other = |raw: &Digest| Some((Digest::of(raw.as_bytes()), 7));
        raws.iter().map(other).collect()
    });
    let client = server.client("org");
    let step = publication("step", &[&bytes]);
    let done = client.publish_recalling(&step, &other);
    assert_eq!(done.await, Published::Done(vec![Put::Written]));
    let layer = layers(&client, "step").await.remove(0);
    let came = client.fetch_layer(&layer, Vec::new(), nothing).await;
    assert!(came.unwrap() == bytes);
}
