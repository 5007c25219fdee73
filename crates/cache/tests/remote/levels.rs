//! Servers that speak less than ours.

use acetate_cache::remote::{Existing, Publication, Published, Put};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::support::{cache, definition, noise, nothing, patient, publication, texts};

#[tokio::test]
async fn every_level_is_enough() {
    let bytes = noise(30, 5 << 20);
    for speaks in [Speaks::Objects, Speaks::Batches, Speaks::Extensions] {
        let server = Scripted::start(speaks);
        let limits = patient();
        let writer = cache(&server.url(), limits.clone());
        let work = publication("step", &[&bytes]);
        let done = writer.publish(&work).await;
        assert_eq!(done, Published::Done(vec![Put::Written]), "{speaks:?}");
        let reader = cache(&server.url(), limits);
        let names: Vec<_> = (0..30).map(|n| definition(&format!("step {n}"))).collect();
        let hits = reader
            .lookup(&[names, vec![definition("step")]].concat())
            .await;
        assert_eq!(hits.iter().flatten().count(), 1, "{speaks:?}");
        let hit = hits.last().unwrap().clone().unwrap();
        let came = reader
            .fetch_layer(&hit.record.layers[0], Vec::new(), nothing)
            .await;
        assert!(came.unwrap() == bytes);
        // One question where the server can, one for each key where it cannot.
        let n_records = server.count("GET", "/ac/");
        let n_batches = server.count("POST", "/ac:batchGet");
        let expected = match speaks {
            Speaks::Objects => (31, 0),
            Speaks::Batches => (31, 1),
            Speaks::Extensions => (0, 1),
        };
        assert_eq!((n_records, n_batches), expected, "{speaks:?}");
        assert_eq!((texts(&writer), texts(&reader)), (vec![], vec![]));
    }
}

#[tokio::test]
async fn a_plain_store_holds_compressed_objects_that_anybody_can_read() {
    let server = Scripted::start(Speaks::Objects);
    let client = cache(&server.url(), patient());
    let text = b"the same words again and again ".repeat(3000);
    client.publish(&publication("step", &[&text])).await;
    let objects = server.objects.lock().unwrap().clone();
    let total: usize = objects.values().map(Vec::len).sum();
    assert!(
        objects.len() == 3 && total < text.len() / 20,
        "{total} of {}",
        text.len()
    );
    let frame = objects
        .values()
        .find(|body| body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    assert!(zstd::decode_all(frame.unwrap().as_slice()).unwrap() == text);
    for (path, body) in &objects {
        if path.contains("/cas/") {
            assert!(path.ends_with(&acetate_oci::Digest::of(body).hex()));
        }
    }
}

#[tokio::test]
async fn on_a_plain_store_the_last_writer_wins_and_sends_nothing_twice() {
    let server = Scripted::start(Speaks::Objects);
    let client = cache(&server.url(), patient());
    let bytes = noise(31, 3 << 20);
    for _ in 0..2 {
        let done = client.publish(&publication("step", &[&bytes])).await;
        assert_eq!(done, Published::Done(vec![Put::Written]));
    }
    let n_objects = server.objects.lock().unwrap().len();
    assert_eq!(server.count("PUT", "/cas/"), n_objects - 1);
    assert_eq!(server.count("PUT", "/ac/"), 2);
    let forced = Publication {
        existing: Existing::Replace,
        ..publication("step", &[&bytes])
    };
    assert_eq!(
        client.publish(&forced).await,
        Published::Done(vec![Put::Written])
    );
}

#[tokio::test]
async fn a_page_at_every_address_is_no_cache() {
    let server = Scripted::start(Speaks::Extensions);
    server.spoil(|_, _| Reply::new(200, "<html>welcome</html>"));
    let client = cache(&server.url(), patient());
    assert_eq!(client.lookup(&[definition("step")]).await, [None]);
    assert_eq!(client.stats().damaged, 1);
    assert_eq!(texts(&client).len(), 1);
}

#[tokio::test]
async fn an_answer_that_was_full_is_asked_on() {
    let server = Scripted::start(Speaks::Extensions);
    let client = cache(&server.url(), patient());
    for name in ["a", "b", "c"] {
        client.publish(&publication(name, &[b"layer"])).await;
    }
    // Bodies are padded, as those of long chains are large, and an answer holds one of them.
    server.spoil(|seen, reply| {
        if !seen.target.ends_with("/ac:batchGet") {
            return reply;
        }
        let mut answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let records = answer["records"].as_array_mut().unwrap();
        records.truncate(1);
        for record in records {
            use base64::Engine;
            let engine = base64::engine::general_purpose::STANDARD;
            let mut body = engine.decode(record["body"].as_str().unwrap()).unwrap();
            // Standard output, which nobody reads: field 5, 2 MiB.
            body.extend([0x2a, 0x80, 0x80, 0x80, 0x01]);
            body.extend(vec![0; 2 << 20]);
            record["body"] = engine.encode(body).into();
        }
        Reply::new(200, answer.to_string())
    });
    let hits = client.lookup(&["a", "b", "c"].map(definition)).await;
    assert_eq!(hits.iter().flatten().count(), 3);
    // The last answer is full as well, and nothing is behind it.
    assert_eq!(server.count("POST", "/ac:batchGet"), 3);
}
