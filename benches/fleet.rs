//! Clients that look results up in a cache server, all at once, for `cargo xtask bench shared`:
//! `cargo bench -p acetate-benches --bench fleet -- ADDRESS N_CLIENTS SECONDS`.
//!
//! Every look-up asks for [`N_KEYS`] keys in one question, half of which are there, and every answer
//! is checked. First each client keeps its connection; then each look-up is the first of a new one,
//! as in a build: it connects, asks what the server can do, and then for the keys.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::error::Error;
use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acetate_cache::remote::{
    Attest, Existing, LayerSource, Publication, Published, RemoteCache, RemoteConfig, RemoteLimits,
};
use acetate_cache::{CacheKey, Fidelity};
use acetate_graph::DefinitionKey;
use acetate_oci::{Digest, Timestamp};
use tokio::task::JoinSet;

/// The keys of a small build.
const N_KEYS: usize = 40;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// When a client makes itself anew.
#[derive(Debug, Clone, Copy)]
enum Clients {
    Stay,
    Leave,
}

fn main() -> Fallible<()> {
    // Cargo adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = words.iter().filter(|w| !w.starts_with("--")).collect();
    let [address, n_clients, seconds] = words[..] else {
        return Err("usage: fleet ADDRESS N_CLIENTS SECONDS".into());
    };
    let (n_clients, seconds) = (n_clients.parse()?, seconds.parse()?);
    let config = RemoteConfig {
        limits: patient(),
        ..RemoteConfig::new(format!("http://{address}/fleet"))
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(async {
        publish(&config).await?;
        let mut all = serde_json::Map::new();
        for (name, clients) in [("stay", Clients::Stay), ("leave", Clients::Leave)] {
            let times = ask(&config, clients, n_clients, Duration::from_secs(seconds)).await?;
            all.insert(name.to_owned(), summary(times, seconds));
        }
        Fallible::Ok(all)
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// A slow answer is measured, not given up.
fn patient() -> RemoteLimits {
    RemoteLimits {
        connect: Duration::from_secs(30),
        first_try: Duration::from_secs(30),
        question: Duration::from_secs(30),
        lookup: Duration::from_secs(60),
        ..RemoteLimits::default()
    }
}

fn key(n: usize) -> CacheKey {
    let digest = Digest::of(format!("step {n}").as_bytes());
    CacheKey::definition(&DefinitionKey::from_digest(digest), 0)
}

/// Publishes a result of one small layer under every second key.
async fn publish(config: &RemoteConfig) -> Fallible<()> {
    let cache = RemoteCache::open(config)?;
    for n in (0..N_KEYS).step_by(2) {
        let bytes = vec![u8::try_from(n)?; 1024];
        let layer = LayerSource {
            diff_id: Digest::of(&bytes),
            size: bytes.len() as u64,
            created: Timestamp::new(1_700_000_000, 0),
            base: None,
            listing: None,
            open: Arc::new(move || Ok(Box::new(Cursor::new(bytes.clone())))),
        };
        let publication = Publication {
            keys: vec![key(n)],
            layers: vec![layer],
            duration_ms: 1000,
            fidelity: Fidelity::Full,
            made_of: Vec::new(),
            existing: Existing::Keep,
            attest: Attest::Own,
        };
        match cache.publish(&publication).await {
            Published::Done(_) => {}
            Published::Skipped(skip) => return Err(format!("not published: {skip:?}").into()),
        }
    }
    Ok(())
}

/// How long each look-up took.
async fn ask(
    config: &RemoteConfig,
    clients: Clients,
    n_clients: usize,
    time: Duration,
) -> Fallible<Vec<Duration>> {
    let mut fleet = JoinSet::new();
    let end = Instant::now() + time;
    for _ in 0..n_clients {
        fleet.spawn(client(config.clone(), clients, end));
    }
    let mut times = Vec::new();
    while let Some(done) = fleet.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

async fn client(config: RemoteConfig, clients: Clients, end: Instant) -> Fallible<Vec<Duration>> {
    let keys: Vec<CacheKey> = (0..N_KEYS).map(key).collect();
    let mut cache = RemoteCache::open(&config)?;
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let found = cache.lookup(&keys).await;
        times.push(start.elapsed());
        let n_found = found.iter().flatten().count();
        if n_found != N_KEYS / 2 {
            return Err(
                format!("{n_found} results were found: {:?}", cache.take_warnings()).into(),
            );
        }
        if matches!(clients, Clients::Leave) {
            cache = RemoteCache::open(&config)?;
        }
    }
    Ok(times)
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
fn summary(mut times: Vec<Duration>, seconds: u64) -> serde_json::Value {
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100);
        time.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    serde_json::json!({
        "per_second": times.len() as f64 / seconds as f64,
        "p50_ms": at(50),
        "p99_ms": at(99),
    })
}
