//! Everything that a server can do wrong is a miss, a lost layer or a skipped upload, in time.

use std::time::{Duration, Instant};

use acetate_cache::remote::{
    Cause, LayerForm, Lost, Published, Put, RemoteCache, RemoteLayer, RemoteLimits, Skip,
};
use acetate_net::fake::{Reply, Seen};

use crate::scripted::{Scripted, Speaks};
use crate::support::{
    bucket, cache, definition, noise, nothing, patient, publication, quick, texts,
};

/// No fault takes longer than the limits of [`quick`] say, with room for a busy machine.
const BOUND: Duration = Duration::from_secs(4);

type Fault = fn(Reply) -> Reply;

const FAULTS: &[(&str, Fault)] = &[
    ("401", |_| Reply::new(401, "")),
    ("403", |_| Reply::new(403, "")),
    ("404", |_| Reply::new(404, "")),
    ("409", |_| Reply::new(409, "")),
    ("413", |_| Reply::new(413, "")),
    ("429", |_| Reply::new(429, "").header("Retry-After", "60")),
    ("500", |_| Reply::new(500, "")),
    ("503", |_| Reply::new(503, "").header("Retry-After", "60")),
    ("507", |_| Reply::new(507, "").header("Retry-After", "60")),
    ("redirect to itself", |_| {
        Reply::new(302, "").header("Location", "/")
    }),
    ("reset", |_| Reply::closed()),
    ("truncated", |reply| {
        let half = reply.body.len() / 2;
        reply.cut_after(half)
    }),
    ("flipped bits", |mut reply| {
        let middle = reply.body.len() / 2;
        if let Some(byte) = reply.body.get_mut(middle) {
            *byte ^= 0x40;
        }
        reply
    }),
    ("endless", |_| Reply::new(200, vec![7; 20 << 20])),
    ("empty", |_| Reply::new(200, "")),
    ("stall", |reply| reply.silence(Duration::from_secs(6))),
];

/// What of the protocol a fault hits.
const PLACES: &[(&str, &str, &str)] = &[
    ("what it can do", "GET", "/capabilities"),
    ("look-up at once", "POST", "/ac:batchGet"),
    ("look-up", "GET", "/ac/"),
    ("chunk", "GET", "/cas/"),
    ("what is missing", "POST", "blobs:findMissing"),
    ("is it there", "HEAD", ""),
    ("sending", "PUT", "/cas/"),
    ("recording", "PUT", "/ac/"),
];

/// How a cache is reached.
#[derive(Clone, Copy, Debug)]
enum Way {
    Server(Speaks),
    /// As a bucket with the interface of S3.
    Bucket,
}

impl Way {
    fn start(self) -> Scripted {
        Scripted::start(match self {
            Self::Server(speaks) => speaks,
            Self::Bucket => Speaks::Objects,
        })
    }

    fn client(self, server: &Scripted, limits: RemoteLimits) -> RemoteCache {
        match self {
            Self::Server(_) => cache(&server.url(), limits),
            Self::Bucket => bucket(&server.server.url(""), limits),
        }
    }
}

fn hits(place: (&'static str, &'static str), seen: &Seen) -> bool {
    seen.method == place.0 && seen.target.contains(place.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_place_is_borne() {
    let bytes = noise(40, 3 << 20);
    for way in [
        Way::Server(Speaks::Objects),
        Way::Server(Speaks::Extensions),
        Way::Bucket,
    ] {
        let cases = PLACES
            .iter()
            .flat_map(|place| FAULTS.iter().map(move |fault| (place, fault)));
        let runs = cases.map(|((place, method, path), (name, fault))| {
            let what = format!("{name} at {place}, {way:?}");
            one_fault(what, &bytes, way, (method, path), *fault)
        });
        // Stalls are waited for together.
        futures_util::StreamExt::collect::<Vec<()>>(futures_util::StreamExt::buffer_unordered(
            futures_util::stream::iter(runs),
            8,
        ))
        .await;
    }
}

async fn one_fault(
    what: String,
    bytes: &[u8],
    way: Way,
    place: (&'static str, &'static str),
    fault: Fault,
) {
    let server = way.start();
    let healthy = way.client(&server, RemoteLimits::default());
    let done = healthy.publish(&publication("there", &[bytes])).await;
    assert_eq!(done, Published::Done(vec![Put::Written]), "{what}");
    let found = healthy
        .lookup(&[definition("there")])
        .await
        .remove(0)
        .unwrap();
    server.spoil(move |seen, reply| {
        if hits(place, seen) {
            fault(reply)
        } else {
            reply
        }
    });

    let client = way.client(&server, quick());
    let begin = Instant::now();
    let hit = client
        .lookup(&[definition("there"), definition("not there")])
        .await;
    // Whatever is found is what was given, and nothing else is.
    assert!(hit[1].is_none(), "{what}");
    if let Some(hit) = &hit[0] {
        assert_eq!(hit.record, found.record, "{what}");
    }
    in_time(&what, begin);
    let begin = Instant::now();
    let came = client
        .fetch_layer(&found.record.layers[0], Vec::new(), nothing)
        .await;
    match came {
        Ok(came) => assert!(came == bytes, "{what}"),
        Err(lost) => assert!(!matches!(lost, Lost::Local(_)), "{what}: {lost}"),
    }
    in_time(&what, begin);
    let begin = Instant::now();
    let published = client
        .publish(&publication("new", &[b"another layer"]))
        .await;
    in_time(&what, begin);
    let warnings = texts(&client);
    assert!(warnings.len() <= 3, "{what}: {warnings:?}");
    server.heal();
    if published == Published::Done(vec![Put::Written]) {
        assert!(
            healthy.lookup(&[definition("new")]).await[0].is_some(),
            "{what}"
        );
    }
}

fn in_time(what: &str, begin: Instant) {
    let took = begin.elapsed();
    assert!(took < BOUND, "{what} took {took:?}");
}

/// A server with one layer published, and what is recorded about it.
async fn with_layer(speaks: Speaks, bytes: &[u8]) -> (Scripted, RemoteLayer) {
    let server = Scripted::start(speaks);
    let client = cache(&server.url(), patient());
    client.publish(&publication("there", &[bytes])).await;
    let mut hits = client.lookup(&[definition("there")]).await;
    let layer = hits.remove(0).unwrap().record.layers.remove(0);
    (server, layer)
}

#[tokio::test]
async fn look_ups_count_what_went_wrong() {
    for (name, fault) in FAULTS {
        let server = Scripted::start(Speaks::Objects);
        // Only a stall has to be waited for.
        let limits = if *name == "stall" { quick() } else { patient() };
        let client = cache(&server.url(), limits);
        client.publish(&publication("there", &[b"layer"])).await;
        let fault = *fault;
        server.spoil(move |_, reply| fault(reply));
        assert_eq!(
            client.lookup(&[definition("there")]).await,
            [None],
            "{name}"
        );
        let stats = client.stats();
        let counted = [stats.misses, stats.errors, stats.timeouts, stats.damaged];
        let expected = match *name {
            "404" => [1, 0, 0, 0],
            "stall" => [0, 0, 1, 0],
            "flipped bits" | "endless" | "empty" => [0, 0, 0, 1],
            _ => [0, 1, 0, 0],
        };
        assert_eq!(counted, expected, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_chunk_under_a_right_name_is_noticed() {
    let bytes = noise(41, 3 << 20);
    let (server, layer) = with_layer(Speaks::Extensions, &bytes).await;
    let objects = server.objects.lock().unwrap().clone();
    let name = |n: usize| format!("/org/repo/cas/{}", layer.chunks()[n].stored.hex());
    server
        .objects
        .lock()
        .unwrap()
        .insert(name(1), objects[&name(0)].clone());
    let client = cache(&server.url(), patient());
    let lost = client
        .fetch_layer(&layer, Vec::new(), nothing)
        .await
        .unwrap_err();
    let is_it = matches!(lost, Lost::Damaged(digest) if digest == layer.chunks()[1].stored);
    assert!(is_it, "{lost}");
    assert_eq!(client.stats().layers_lost, 1);
    assert_eq!(texts(&client).len(), 1);
}

#[tokio::test]
async fn chunks_in_another_order_are_noticed() {
    let bytes = noise(42, 3 << 20);
    let (server, mut layer) = with_layer(Speaks::Extensions, &bytes).await;
    let mut chunks = layer.chunks().to_vec();
    chunks.swap(0, 1);
    layer.form = LayerForm::Chunks(chunks);
    let client = cache(&server.url(), patient());
    let lost = client
        .fetch_layer(&layer, Vec::new(), nothing)
        .await
        .unwrap_err();
    assert!(
        matches!(lost, Lost::Damaged(digest) if digest == layer.diff_id),
        "{lost}"
    );
}

#[tokio::test]
async fn a_record_under_another_key_is_damaged() {
    let (server, _) = with_layer(Speaks::Objects, b"layer").await;
    let action = |name: &str| {
        let key = acetate_cache::remote::action_key(&definition(name));
        format!("/org/repo/ac/{}", key.hex())
    };
    server.edit(|objects| {
        let body = objects[&action("there")].clone();
        objects.insert(action("stolen"), body);
    });
    let client = cache(&server.url(), patient());
    assert_eq!(client.lookup(&[definition("stolen")]).await, [None]);
    assert_eq!(client.stats().damaged, 1);
}

#[tokio::test]
async fn a_damaged_record_is_replaced_by_whoever_found_it() {
    let (server, _) = with_layer(Speaks::Extensions, b"layer").await;
    server.edit(|objects| {
        let records = objects.iter_mut().filter(|(path, _)| path.contains("/ac/"));
        records.for_each(|(_, body)| body.truncate(body.len() - 40));
    });
    let work = publication("there", &[b"layer"]);
    let (unaware, aware) = (
        cache(&server.url(), patient()),
        cache(&server.url(), patient()),
    );
    let kept = unaware.publish(&work).await;
    assert_eq!(kept, Published::Done(vec![Put::Kept]));
    assert_eq!(aware.lookup(&work.keys).await, [None]);
    let replaced = aware.publish(&work).await;
    assert_eq!(replaced, Published::Done(vec![Put::Written]));
    assert!(aware.lookup(&work.keys).await[0].is_some());
}

#[tokio::test]
async fn a_transfer_that_broke_is_tried_once_more() {
    let bytes = noise(43, 3 << 20);
    let (server, layer) = with_layer(Speaks::Extensions, &bytes).await;
    let first = std::sync::atomic::AtomicBool::new(true);
    server.spoil(move |seen, reply| {
        let is_first =
            hits(("GET", "/cas/"), seen) && first.swap(false, std::sync::atomic::Ordering::SeqCst);
        if is_first {
            reply.cut_after(1000)
        } else {
            reply
        }
    });
    let client = cache(&server.url(), patient());
    assert!(
        client
            .fetch_layer(&layer, Vec::new(), nothing)
            .await
            .unwrap()
            == bytes
    );
    assert_eq!(texts(&client), Vec::<String>::new());
}

#[tokio::test]
async fn a_slow_first_answer_is_overtaken() {
    let (server, _) = with_layer(Speaks::Extensions, b"layer").await;
    let first = std::sync::atomic::AtomicBool::new(true);
    server.spoil(move |seen, reply| {
        let is_first = seen.target.ends_with("/ac:batchGet")
            && first.swap(false, std::sync::atomic::Ordering::SeqCst);
        if is_first {
            reply.silence(Duration::from_secs(6))
        } else {
            reply
        }
    });
    let limits = RemoteLimits {
        first_try: Duration::from_millis(100),
        ..patient()
    };
    let client = cache(&server.url(), limits);
    assert!(client.lookup(&[definition("there")]).await[0].is_some());
    assert_eq!(client.stats().timeouts, 0);
}

#[tokio::test]
async fn skipped_uploads_tell_why() {
    for (status, skip) in [
        (403, Skip::Cache(Cause::Forbidden)),
        (409, Skip::Cache(Cause::Failing)),
        (429, Skip::Cache(Cause::Busy)),
        (500, Skip::Cache(Cause::Failing)),
        (507, Skip::Cache(Cause::Full)),
    ] {
        let server = Scripted::start(Speaks::Extensions);
        server.spoil(move |seen, reply| {
            if hits(("PUT", "/cas/"), seen) {
                Reply::new(status, "")
            } else {
                reply
            }
        });
        let client = cache(&server.url(), patient());
        let done = client.publish(&publication("step", &[b"layer"])).await;
        assert_eq!(done, Published::Skipped(skip), "{status}");
        assert_eq!(client.stats().skipped, 1);
    }
}
