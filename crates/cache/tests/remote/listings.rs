//! Listings of layers beside the layers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acetate_cache::remote::{
    ListingSource, Lost, Publication, Published, Put, RemoteCache, RemoteLayer,
};
use acetate_oci::Digest;

use crate::scripted::{Scripted, Speaks};
use crate::support::{cache, definition, noise, patient, publication};

/// A listing of these bytes, and how often it was opened.
fn listing(bytes: Vec<u8>) -> (ListingSource, Arc<AtomicUsize>) {
    let n_opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_opened);
    let source = ListingSource {
        digest: Digest::of(&bytes),
        size: bytes.len() as u64,
        open: Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(bytes.clone())
        }),
    };
    (source, n_opened)
}

fn listed(name: &str, tar: &[u8], listing: &ListingSource) -> Publication {
    let mut publication = publication(name, &[tar]);
    publication.layers[0].listing = Some(listing.clone());
    publication
}

async fn layer_of(client: &RemoteCache, name: &str) -> RemoteLayer {
    let hit = client.lookup(&[definition(name)]).await.pop().flatten();
    hit.unwrap().record.layers.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_without_the_layer() {
    for speaks in [Speaks::Objects, Speaks::Batches] {
        let server = Scripted::start(speaks);
        let bytes = noise(61, 5 << 20);
        let (source, n_opened) = listing(bytes.clone());
        let giver = cache(&server.url(), patient());
        let put = giver.publish(&listed("a", b"the tar", &source)).await;
        assert_eq!(put, Published::Done(vec![Put::Written]));
        // Cut once, and once more to be sent.
        assert_eq!(n_opened.load(Ordering::SeqCst), 2);
        giver.publish(&listed("b", b"the tar", &source)).await;
        assert_eq!(n_opened.load(Ordering::SeqCst), 2);
        let taker = cache(&server.url(), patient());
        let layer = layer_of(&taker, "a").await;
        assert!(layer.listing.len() > 2);
        assert_eq!(taker.fetch_listing(&layer).await.unwrap(), bytes);
        assert_eq!(layer_of(&taker, "b").await.listing, layer.listing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_or_changed_is_told_so_and_the_layer_comes() {
    let server = Scripted::start(Speaks::Objects);
    let (source, _) = listing(noise(62, 1000));
    let giver = cache(&server.url(), patient());
    giver.publish(&listed("a", b"the tar", &source)).await;
    let taker = cache(&server.url(), patient());
    let layer = layer_of(&taker, "a").await;
    let path = format!("/org/repo/cas/{}", layer.listing[0].stored.hex());
    server.edit(|objects| objects.get_mut(&path).unwrap()[20] ^= 1);
    let lost = taker.fetch_listing(&layer).await;
    assert!(matches!(lost, Err(Lost::Damaged(_))), "{lost:?}");
    server.edit(|objects| drop(objects.remove(&path)));
    let lost = taker.fetch_listing(&layer).await;
    assert!(matches!(lost, Err(Lost::Missing(_))), "{lost:?}");
    let tar = taker.fetch_layer(&layer, Vec::new(), |_| None).await;
    assert_eq!(tar.unwrap(), b"the tar");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_whose_listing_cannot_be_read_or_is_too_large_goes_without() {
    let server = Scripted::start(Speaks::Objects);
    let giver = cache(&server.url(), patient());
    let (mut huge, n_opened) = listing(vec![1]);
    huge.size = acetate_cache::remote::MAX_LISTING + 1;
    giver.publish(&listed("huge", b"one", &huge)).await;
    assert_eq!(n_opened.load(Ordering::SeqCst), 0);
    let broken = ListingSource {
        open: Arc::new(|| Err(io::Error::other("gone"))),
        ..listing(vec![2]).0
    };
    giver.publish(&listed("broken", b"two", &broken)).await;
    let other = ListingSource {
        digest: Digest::of(b"another"),
        ..listing(vec![3]).0
    };
    giver.publish(&listed("other", b"three", &other)).await;
    for name in ["huge", "broken", "other"] {
        let layer = layer_of(&giver, name).await;
        assert!(layer.listing.is_empty(), "{name}");
        let lost = giver.fetch_listing(&layer).await;
        assert!(matches!(lost, Err(Lost::Elsewhere)), "{lost:?}");
    }
}
