//! Layers go there and come back, and only what is new moves.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use acetate_cache::Fidelity;
use acetate_cache::remote::{Chunk, Lost, Publication, Published, Put, RemoteRecord, Skip};

use crate::server::Server;
use crate::support::{content, definition, hint, noise, nothing, publication, source, texts};

#[tokio::test]
async fn a_result_comes_back_as_it_was_given() {
    let server = Server::open().await;
    let (small, large) = (noise(1, 10_240), noise(2, 5 << 20));
    let (writer, reader) = (server.client("org/repo"), server.client("org/repo/pr-1"));
    let keys = vec![definition("step"), content("step"), hint("step")];
    let publication = Publication {
        keys: keys.clone(),
        ..publication("step", &[&small, &large])
    };
    let published = writer.publish(&publication).await;
    assert_eq!(published, Published::Done(vec![Put::Written; 3]));
    let asked = [keys.clone(), vec![definition("other")], keys.clone()].concat();
    let hits = reader.lookup(&asked).await;
    let found: Vec<bool> = hits.iter().map(Option::is_some).collect();
    assert_eq!(found, [true, true, true, false, true, true, true]);
    let hit = hits[0].clone().unwrap();
    assert_eq!(hit.namespace.as_deref(), Some("org/repo"));
    assert_eq!(hit.record, hits[1].clone().unwrap().record);
    let RemoteRecord {
        layers,
        duration_ms,
        fidelity,
        made_of,
    } = hit.record;
    assert_eq!(made_of, []);
    assert_eq!((duration_ms, fidelity), (1500, Fidelity::Full));
    assert_eq!(hits[2].clone().unwrap().record.layers, []);
    for (layer, bytes) in layers.iter().zip([&small, &large]) {
        assert_eq!(layer.created, publication.layers[0].created);
        let came = reader.fetch_layer(layer, Vec::new(), nothing).await;
        assert_eq!(&came.unwrap(), bytes);
    }
    assert_eq!((layers.len(), layers[0].chunks().len()), (2, 1));
    let stats = reader.stats();
    assert_eq!((stats.hits, stats.misses, stats.saved_ms), (3, 1, 4500));
    assert_eq!(stats.chunks_down, 1 + layers[1].chunks().len() as u64);
    assert_eq!((texts(&writer), texts(&reader)), (vec![], vec![]));
}

#[tokio::test]
async fn a_change_of_a_hundredth_moves_little() {
    let server = Server::open().await;
    let before = noise(3, 64 << 20);
    let mut after = before.clone();
    let hundredth = before.len() / 100;
    after[30 << 20..][..hundredth].copy_from_slice(&noise(4, hundredth));
    let first = server.client("org");
    let done = first.publish(&publication("before", &[&before])).await;
    assert_eq!(done, Published::Done(vec![Put::Written]));

    let second = server.client("org");
    second.publish(&publication("after", &[&after])).await;
    let up = second.stats();
    assert!(
        up.bytes_up * 100 <= 3 * after.len() as u64,
        "{} bytes up",
        up.bytes_up
    );
    assert!(up.chunks_deduped > 90, "{up:?}");

    let third = server.client("org");
    let hits = third
        .lookup(&[definition("before"), definition("after")])
        .await;
    let layers: Vec<_> = hits
        .into_iter()
        .map(|hit| hit.unwrap().record.layers)
        .collect();
    let here: Vec<(Chunk, usize)> = {
        let mut at = 0;
        let chunks = layers[0][0].chunks().iter();
        chunks
            .map(|chunk| {
                at += chunk.raw_size as usize;
                (*chunk, at - chunk.raw_size as usize)
            })
            .collect()
    };
    let have = move |wanted: &Chunk| {
        let found = here.iter().find(|(chunk, _)| chunk.raw == wanted.raw);
        found.map(|(chunk, at)| before[*at..][..chunk.raw_size as usize].to_vec())
    };
    let came = third
        .fetch_layer(&layers[1][0], Vec::new(), have)
        .await
        .unwrap();
    assert!(came == after);
    let down = third.stats();
    assert!(
        down.bytes_down * 100 <= 3 * after.len() as u64,
        "{} bytes down",
        down.bytes_down
    );
    assert_eq!(
        down.chunks_reused + down.chunks_down,
        layers[1][0].chunks().len() as u64
    );
}

#[tokio::test]
async fn bytes_inserted_at_the_front_move_one_chunk_or_two() {
    let server = Server::open().await;
    let client = server.client("org");
    let before = noise(5, 16 << 20);
    let after = [b"a few bytes more".as_slice(), &before].concat();
    client.publish(&publication("before", &[&before])).await;
    let sent = client.stats().chunks_up;
    client.publish(&publication("after", &[&after])).await;
    assert!(client.stats().chunks_up - sent <= 3, "{:?}", client.stats());
}

#[tokio::test]
async fn a_layer_that_was_sent_is_not_read_again() {
    let server = Server::open().await;
    let client = server.client("org");
    let base = noise(6, 3 << 20);
    let (layer, n_opened) = source(&base);
    for name in ["one", "two", "three"] {
        let mut publication = publication(name, &[b"own"]);
        publication.layers.insert(0, layer.clone());
        client.publish(&publication).await;
    }
    assert_eq!(n_opened.load(Ordering::SeqCst), 1);
    // A layer that came is known as well.
    let other = server.client("org");
    let hit = other.lookup(&[definition("one")]).await.remove(0).unwrap();
    let remote = &hit.record.layers[0];
    other
        .fetch_layer(remote, Vec::new(), nothing)
        .await
        .unwrap();
    let mut publication = publication("four", &[]);
    publication.layers.push(layer);
    assert_eq!(
        other.publish(&publication).await,
        Published::Done(vec![Put::Written])
    );
    assert_eq!(n_opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_callback_gives_is_checked() {
    let server = Server::open().await;
    let client = server.client("org");
    let bytes = noise(7, 3 << 20);
    client.publish(&publication("step", &[&bytes])).await;
    let hit = client
        .lookup(&[definition("step")])
        .await
        .remove(0)
        .unwrap();
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let lying = move |chunk: &Chunk| {
        *counter.lock().unwrap() += 1;
        Some(vec![0; chunk.raw_size as usize])
    };
    let layer = hit.record.layers[0].clone();
    // Runs as the engine runs it: in a task of its own.
    let came = tokio::spawn({
        let (client, layer) = (client.clone(), layer.clone());
        async move { client.fetch_layer(&layer, Vec::new(), lying).await }
    });
    assert!(came.await.unwrap().unwrap() == bytes);
    assert_eq!(*asked.lock().unwrap(), layer.chunks().len());
    assert_eq!(client.stats().chunks_reused, 0);
}

#[tokio::test]
async fn a_disk_that_fails_is_no_fault_of_the_cache() {
    #[derive(Debug)]
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = Server::open().await;
    let client = server.client("org");
    client
        .publish(&publication("step", &[&noise(8, 12 << 20)]))
        .await;
    let hit = client
        .lookup(&[definition("step")])
        .await
        .remove(0)
        .unwrap();
    let lost = client
        .fetch_layer(&hit.record.layers[0], Full, nothing)
        .await
        .unwrap_err();
    assert!(matches!(lost, Lost::Local(_)), "{lost}");
    assert_eq!(texts(&client), Vec::<String>::new());
}

#[tokio::test]
async fn a_tar_that_is_not_the_sealed_one_is_not_published() {
    let server = Server::open().await;
    let client = server.client("org");
    for (right, wrong) in [
        (noise(9, 5000), noise(10, 5000)),
        (noise(9, 3 << 20), noise(9, 1 << 20)),
    ] {
        let mut publication = publication("step", &[&right]);
        publication.layers[0].open = source(&wrong).0.open;
        let Published::Skipped(Skip::Source(reason)) = client.publish(&publication).await else {
            panic!("published");
        };
        assert!(reason.contains("not the one that was sealed"), "{reason}");
    }
    assert_eq!(client.lookup(&[definition("step")]).await, [None]);
}

#[tokio::test]
async fn layers_above_the_limit_are_not_touched() {
    let server = Server::open().await;
    let writer = server.client("org");
    let bytes = noise(11, 4000);
    writer.publish(&publication("step", &[&bytes])).await;
    let hit = writer
        .lookup(&[definition("step")])
        .await
        .remove(0)
        .unwrap();
    let limits = acetate_cache::remote::RemoteLimits {
        max_layer: 3999,
        ..Default::default()
    };
    let small = crate::support::cache(&format!("{}/org", server.url), limits);
    let lost = small
        .fetch_layer(&hit.record.layers[0], Vec::new(), nothing)
        .await;
    assert!(matches!(lost, Err(Lost::TooLarge)));
    let skipped = small.publish(&publication("x", &[&bytes])).await;
    assert_eq!(skipped, Published::Skipped(Skip::TooLarge));
    assert_eq!(small.stats().bytes_down, 0);
}
