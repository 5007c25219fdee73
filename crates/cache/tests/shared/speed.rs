//! How long it takes; run by hand: `cargo test -p acetate-cache --test shared speed -- --ignored
//! --nocapture`. Hashing and compression are optimised in this profile too.
#![expect(clippy::print_stdout, reason = "numbers are what is asked for")]

use std::io::Read;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use acetate_cache::SharedCache;
use acetate_cache::layout::{LayoutOptions, Missing};
use acetate_image::{ImageLayer, Recipe};
use acetate_oci::{Compression, Descriptor};

use crate::place::{Layout, store};
use crate::suite::publish;
use crate::support::{definition, noise, publication};

/// Tells the time that passed, and the time of all cores that this process had: the machine may have
/// other work.
#[derive(Clone, Copy)]
struct Watch([Duration; 2]);

impl Watch {
    fn start() -> Self {
        let clocks = [ClockId::Monotonic, ClockId::ProcessCPUTime];
        Self(clocks.map(|clock| clock_gettime(clock).try_into().unwrap()))
    }

    fn elapsed(self) -> String {
        let [now, worked] = Self::start().0.map(|time| time.as_secs_f64());
        let [start, before] = self.0.map(|time| time.as_secs_f64());
        let [passed, worked] = [now - start, worked - before].map(|secs| secs * 1000.0);
        format!("{passed:.0} ms ({worked:.0} ms of CPU)")
    }
}

/// Half of it text that compresses, half of it bytes that do not.
fn mixed(seed: u64, n: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [
        b"acetate ",
        b"sheet ",
        b"layer",
        b"\n",
        b"  ",
        b"0x",
        b"snapshot ",
        b"of ",
    ];
    let random = noise(seed, n);
    let mut bytes = Vec::with_capacity(n + 4096);
    for piece in random.chunks(4096) {
        bytes.extend_from_slice(&piece[..piece.len() / 2]);
        for byte in piece {
            bytes.extend_from_slice(WORDS[usize::from(byte % 8)]);
        }
        if bytes.len() >= n {
            break;
        }
    }
    bytes.truncate(n);
    bytes
}

/// Ten layers of thirty megabytes from a directory into an empty store.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_full_hit_from_a_directory() {
    let layers: Vec<Vec<u8>> = (0..10).map(|n| mixed(n + 1, 30 << 20)).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    for kind in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let ((_a, here), (_b, there), layout) = (store(), store(), Layout::new());
        let given = publication("a", &layers);
        let options = LayoutOptions {
            recipe: Recipe::new(kind),
            ..LayoutOptions::default()
        };
        let start = Watch::start();
        publish(&layout.writer_with(&here, options), &given).await;
        println!("{kind:?}: published in {}", start.elapsed());
        let other = Layout::new();
        let start = Watch::start();
        publish(&other.writer_with(&here, options), &given).await;
        println!("  to a second directory in {}", start.elapsed());
        let start = Watch::start();
        publish(&other.writer_with(&here, options), &given).await;
        println!("  nothing new in {}", start.elapsed());

        let start = Watch::start();
        let cache = acetate_cache::layout::LayoutCache::reader(
            layout.place(),
            Missing::Warned,
            std::sync::Arc::clone(&there),
        );
        let hit = cache
            .lookup(&[definition("a")])
            .await
            .pop()
            .flatten()
            .unwrap();
        println!("  found in {}", start.elapsed());
        let fetches = hit.record.layers.iter().map(|layer| cache.fetch(layer));
        let blobs = futures_util::future::join_all(fetches).await;
        let n_bytes: u64 = blobs.iter().map(|blob| blob.as_ref().unwrap().size).sum();
        println!("  {} MiB fetched in {}", n_bytes >> 20, start.elapsed());
        parts(&there, &hit.record.layers, &blobs);
    }
}

/// What the work consists of, on one core.
fn parts(
    store: &acetate_store::Store,
    layers: &[acetate_cache::remote::RemoteLayer],
    blobs: &[Result<acetate_store::BlobRef, acetate_cache::remote::Lost>],
) {
    let blobs: Vec<_> = blobs.iter().flatten().collect();
    let start = Watch::start();
    for blob in &blobs {
        let mut reader = store.blobs().open(&blob.digest).unwrap().unwrap();
        copy(&mut reader);
    }
    println!("  one core: read and hash blobs {}", start.elapsed());
    let start = Watch::start();
    for blob in &blobs {
        let file = std::fs::File::open(store.blobs().path(&blob.digest)).unwrap();
        let how = blob.media_type.compression().unwrap();
        copy(&mut acetate_image::unpacked(file, how).unwrap());
    }
    println!("  one core: read and unpack {}", start.elapsed());
    let start = Watch::start();
    for (blob, layer) in blobs.iter().zip(layers) {
        let descriptor = Descriptor::new(blob.media_type.clone(), blob.digest, blob.size);
        let diff_id = layer.diff_id;
        let layer = ImageLayer {
            descriptor,
            diff_id,
        };
        copy(&mut layer.open(store).unwrap().unwrap());
    }
    println!("  one core: read, hash, unpack, hash {}", start.elapsed());
}

fn copy(reader: &mut impl Read) {
    let mut piece = vec![0; 1 << 20];
    while reader.read(&mut piece).unwrap() > 0 {}
}
