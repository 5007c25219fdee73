//! What a registry does besides; the registry is one in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acetate_cache::SharedCache;
use acetate_cache::layout::{Form, Missing};
use acetate_cache::registry::{RegistryCache, RegistryOptions, RegistryPlace};
use acetate_cache::remote::{Cause, Published, Skip};
use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_net::{Limits, NetClient};
use acetate_oci::{Digest, Manifest, Reference};
use acetate_registry::{Access, Mirror, Registries};
use acetate_store::Store;

use crate::place::{Place, replace, store};
use crate::suite::publish;
use crate::support::{content, definition, noise, publication};

/// What a registry holds.
#[derive(Default)]
struct Held {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest: type and bytes.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: Vec<String>,
    /// Answers in front of the rules.
    script: Option<Script>,
}

type Script = Box<dyn FnMut(&mut Held, &Seen) -> Option<Reply> + Send>;

/// A registry.
pub(crate) struct Registry {
    server: FakeServer,
    held: Arc<Mutex<Held>>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let held: Arc<Mutex<Held>> = Arc::default();
        let answering = Arc::clone(&held);
        let server = FakeServer::start(move |seen, _| {
            let mut held = answering.lock().unwrap();
            if let Some(mut script) = held.script.take() {
                let scripted = script(&mut held, seen);
                held.script = Some(script);
                if let Some(reply) = scripted {
                    return reply;
                }
            }
            serve(&mut held, seen)
        });
        Self { server, held }
    }

    fn script(&self, script: impl FnMut(&mut Held, &Seen) -> Option<Reply> + Send + 'static) {
        self.held.lock().unwrap().script = Some(Box::new(script));
    }

    fn edit(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().unwrap());
    }

    fn place(&self) -> RegistryPlace {
        self.place_by(Access::anonymous())
    }

    fn place_by(&self, access: Access) -> RegistryPlace {
        let net = NetClient::new(Limits {
            first_backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(5),
            n_retries: 1,
            ..Limits::default()
        });
        RegistryPlace {
            registries: Arc::new(Registries::new(net, access)),
            reference: self.reference("main"),
        }
    }

    fn reference(&self, tag: &str) -> Reference {
        format!("{}/cache:{tag}", self.server.host())
            .parse()
            .unwrap()
    }

    fn writer(&self, store: &Arc<Store>) -> RegistryCache {
        self.writer_with(store, RegistryOptions::default())
    }

    fn writer_with(&self, store: &Arc<Store>, options: RegistryOptions) -> RegistryCache {
        RegistryCache::writer(self.place(), options, Arc::clone(store))
    }

    fn manifest(&self, tag: &str) -> Option<Manifest> {
        let held = self.held.lock().unwrap();
        serde_json::from_slice(&held.manifests.get(tag)?.1).ok()
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.server.seen().into_iter();
        seen.map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }
}

fn serve(held: &mut Held, seen: &Seen) -> Reply {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let path = path.strip_prefix("/v2/cache/").unwrap_or_default();
    if path == "tags/list" {
        let list = serde_json::json!({ "name": "cache", "tags": held.tags });
        return Reply::new(200, list.to_string());
    }
    if let Some(name) = path.strip_prefix("manifests/") {
        return manifest(held, seen, name);
    }
    if path.starts_with("blobs/uploads/") {
        if seen.method == "POST" {
            return Reply::new(202, "").header("Location", "/v2/cache/blobs/uploads/1");
        }
        let digest = Digest::of(&seen.body);
        assert!(query.ends_with(&digest.hex()), "{query}");
        held.blobs.insert(digest.to_string(), seen.body.clone());
        return Reply::new(201, "");
    }
    match path
        .strip_prefix("blobs/")
        .and_then(|digest| held.blobs.get(digest))
    {
        Some(bytes) => Reply::new(200, bytes.clone()),
        None => Reply::new(404, ""),
    }
}

fn manifest(held: &mut Held, seen: &Seen, name: &str) -> Reply {
    if seen.method == "PUT" {
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&seen.body) {
            let mut named = manifest.layers.iter().chain([&manifest.config]);
            if !named.all(|blob| held.blobs.contains_key(&blob.digest.to_string())) {
                let text = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
                return Reply::new(404, text);
            }
        }
        put(held, name, seen.header("content-type").unwrap(), &seen.body);
        return Reply::new(201, "");
    }
    match held.manifests.get(name) {
        Some((kind, bytes)) => Reply::new(200, bytes.clone())
            .header("Content-Type", kind)
            .header("Docker-Content-Digest", Digest::of(bytes).to_string()),
        None => Reply::new(404, ""),
    }
}

fn put(held: &mut Held, name: &str, kind: &str, bytes: &[u8]) {
    for name in [name, &Digest::of(bytes).to_string()] {
        let content = (kind.to_owned(), bytes.to_vec());
        held.manifests.insert(name.to_owned(), content);
    }
    if !held.tags.iter().any(|tag| tag == name) {
        held.tags.push(name.to_owned());
    }
}

impl Place for Registry {
    fn open(&self, store: &Arc<Store>) -> Box<dyn SharedCache> {
        Box::new(self.writer(store))
    }

    fn spoil(&self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        let mut held = self.held.lock().unwrap();
        let blobs = std::mem::take(&mut held.blobs).into_iter();
        held.blobs = blobs
            .filter_map(|(digest, bytes)| {
                if bytes.starts_with(b"{") {
                    return Some((digest, bytes));
                }
                Some((digest, change(&bytes)?))
            })
            .collect();
    }

    fn is_checked_by_clients(&self) -> bool {
        false
    }

    fn age(&self) {
        let mut held = self.held.lock().unwrap();
        let (kind, mut bytes) = held.manifests["main"].clone();
        replace(&mut bytes, b"cache.config.v1+json", b"cache.config.v9+json");
        put(&mut held, "main", &kind, &bytes);
    }
}

async fn finds(cache: &RegistryCache, name: &str) -> bool {
    cache.lookup(&[definition(name)]).await[0].is_some()
}

fn reader(registry: &Registry, missing: Missing) -> (tempfile::TempDir, RegistryCache) {
    let (dir, store) = store();
    (dir, RegistryCache::reader(registry.place(), missing, store))
}

#[tokio::test]
async fn the_tag_and_the_writers_own_lead_to_one_image_manifest() {
    let ((_dir, store), registry) = (store(), Registry::new());
    let mut given = publication("a", &[&noise(1, 5000), &noise(2, 5000)]);
    given.keys.push(content("a"));
    publish(&registry.writer(&store), &given).await;
    let tags = registry.held.lock().unwrap().tags.clone();
    let own: Vec<&String> = tags
        .iter()
        .filter(|tag| tag.starts_with("main--w-"))
        .collect();
    assert_eq!(own.len(), 1, "{tags:?}");
    let manifest = registry.manifest("main").unwrap();
    assert_eq!(registry.manifest(own[0]).unwrap(), manifest);
    assert_eq!(manifest.layers.len(), 2);
    let last = registry
        .lines()
        .into_iter()
        .rfind(|line| line.starts_with("PUT"));
    assert_eq!(last.as_deref(), Some("PUT /v2/cache/manifests/main"));
}

#[tokio::test]
async fn a_look_up_is_a_manifest_its_config_and_the_tags() {
    let ((_dir, store), registry) = (store(), Registry::new());
    publish(
        &registry.writer(&store),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    let before = registry.lines().len();
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(finds(&cache, "a").await && !finds(&cache, "b").await);
    let mut lines = registry.lines().split_off(before);
    lines.sort();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| &line[..line.len().min(26)])
        .collect();
    let expected = [
        "GET /v2/cache/blobs/sha256",
        "GET /v2/cache/manifests/ma",
        "GET /v2/cache/tags/list?n=",
        // Whether the writer's tag leads to the same.
        "HEAD /v2/cache/manifests/m",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(cache.close().await.warnings, []);
}

/// A writer that read before others wrote, and writes after them.
#[tokio::test]
async fn a_tag_that_is_written_over_by_who_did_not_see_it_loses_nothing() {
    let ((_a, one), (_b, two), registry) = (store(), store(), Registry::new());
    publish(
        &registry.writer(&one),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    let before = registry.held.lock().unwrap().manifests["main"].clone();
    publish(
        &registry.writer(&two),
        &publication("b", &[&noise(2, 5000)]),
    )
    .await;
    let (kind, bytes) = before;
    put(&mut registry.held.lock().unwrap(), "main", &kind, &bytes);
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(finds(&cache, "a").await && finds(&cache, "b").await);
    // The next one that writes brings all together.
    publish(
        &registry.writer(&one),
        &publication("c", &[&noise(3, 5000)]),
    )
    .await;
    assert_eq!(registry.manifest("main").unwrap().layers.len(), 3);
    registry.edit(|held| held.tags.retain(|tag| tag == "main"));
    let (_dir, cache) = reader(&registry, Missing::Warned);
    for name in ["a", "b", "c"] {
        assert!(finds(&cache, name).await, "{name}");
    }
}

#[tokio::test]
async fn a_writers_tag_that_somebody_else_takes_meanwhile_is_written_again() {
    let ((_a, one), registry) = (store(), Registry::new());
    let (_b, two) = store();
    publish(
        &registry.writer(&two),
        &publication("b", &[&noise(2, 5000)]),
    )
    .await;
    let (kind, other) = registry.held.lock().unwrap().manifests["main"].clone();
    let mut n_puts = 0;
    // Right after the tag of the writer was put, once, it leads to something else, and so does `main`.
    registry.script(move |held, seen| {
        let is_main = seen.method == "PUT" && seen.target.ends_with("/manifests/main");
        if !is_main {
            return None;
        }
        n_puts += 1;
        let reply = serve(held, seen);
        if n_puts == 1 {
            let own: Vec<String> = held.tags.clone();
            for tag in own.iter().filter(|tag| !tag.starts_with("sha256")) {
                put(held, tag, &kind, &other);
            }
        }
        Some(reply)
    });
    publish(
        &registry.writer(&one),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(finds(&cache, "a").await && finds(&cache, "b").await);
}

#[tokio::test]
async fn many_writers_share_eight_tags_and_lose_nothing() {
    let registry = Registry::new();
    for n in 0..12 {
        let (_dir, store) = store();
        let name = format!("step-{n}");
        let layer = noise(n, 3000);
        let published = publish(&registry.writer(&store), &publication(&name, &[&layer])).await;
        assert!(matches!(published, Published::Done(_)));
    }
    let tags = registry.held.lock().unwrap().tags.clone();
    let n_writers = tags
        .iter()
        .filter(|tag| tag.starts_with("main--w-"))
        .count();
    assert_eq!(n_writers, 8, "{tags:?}");
    let (_dir, cache) = reader(&registry, Missing::Warned);
    for n in 0..12 {
        assert!(finds(&cache, &format!("step-{n}")).await, "{n}");
    }
}

#[tokio::test]
async fn records_whose_layers_the_registry_lost_are_dropped() {
    let ((_a, one), (_b, two), registry) = (store(), store(), Registry::new());
    publish(
        &registry.writer(&one),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    registry.spoil(|_| None);
    let cache = registry.writer(&two);
    publish(&cache, &publication("b", &[&noise(2, 5000)])).await;
    assert_eq!(cache.close().await.warnings, []);
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(!finds(&cache, "a").await && finds(&cache, "b").await);
}

#[tokio::test]
async fn records_that_are_gone_cost_a_line_and_are_made_anew() {
    let ((_dir, store), registry) = (store(), Registry::new());
    publish(
        &registry.writer(&store),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    registry.edit(|held| held.blobs.retain(|_, bytes| !bytes.starts_with(b"{")));
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(!finds(&cache, "a").await);
    assert_eq!(cache.close().await.warnings.len(), 1);
    let given = publication("a", &[&noise(1, 5000)]);
    publish(&registry.writer(&store), &given).await;
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(finds(&cache, "a").await);
    assert_eq!(cache.close().await.warnings, []);
}

#[tokio::test]
async fn layers_that_another_repository_has_are_mounted() {
    let ((_dir, store), registry) = (store(), Registry::new());
    let layer = noise(1, 5000);
    registry.script(|held, seen| {
        let (_, query) = seen.target.split_once("?mount=")?;
        let (digest, from) = query.split_once("&from=")?;
        assert_eq!(from, "app");
        // Its bytes do not matter here.
        held.blobs.insert(digest.replace("%3A", ":"), vec![1]);
        Some(Reply::new(201, ""))
    });
    let app: Reference = format!("{}/app:1", registry.server.host()).parse().unwrap();
    let options = RegistryOptions {
        mount_from: vec![acetate_registry::Repository::from(&app)],
        ..RegistryOptions::default()
    };
    let cache = registry.writer_with(&store, options);
    cache.publish(&publication("a", &[&layer])).await;
    let report = cache.close().await;
    assert_eq!((report.stats.bytes_up, report.stats.published), (0, 1));
    assert_eq!(report.warnings, []);
}

#[tokio::test]
async fn what_is_not_there_is_told_where_it_was_expected() {
    let registry = Registry::new();
    let (_dir, cache) = reader(&registry, Missing::Expected);
    assert!(!finds(&cache, "a").await);
    assert_eq!(cache.close().await.warnings, []);
    let (_dir, cache) = reader(&registry, Missing::Warned);
    assert!(!finds(&cache, "a").await);
    let warnings = cache.close().await.warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].text.contains("there is no tag `main`"),
        "{}",
        warnings[0].text
    );
}

#[tokio::test]
async fn images_stay_and_caches_of_buildkit_are_replaced() {
    let ((_dir, store), registry) = (store(), Registry::new());
    let root = |config: &str| {
        let digest = Digest::of(b"");
        let config = format!(r#"{{"mediaType":"{config}","digest":"{digest}","size":0}}"#);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#)
    };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let image = root("application/vnd.oci.image.config.v1+json");
    put(
        &mut registry.held.lock().unwrap(),
        "main",
        kind,
        image.as_bytes(),
    );
    let cache = registry.writer(&store);
    assert!(cache.is_image().await);
    let given = publication("a", &[&noise(1, 5000)]);
    let published = cache.publish(&given).await;
    assert_eq!(published, Published::Skipped(Skip::Cache(Cause::Failing)));
    assert_eq!(cache.close().await.warnings.len(), 1);
    assert_eq!(
        registry.held.lock().unwrap().manifests["main"].1,
        image.as_bytes()
    );

    let theirs = root("application/vnd.buildkit.cacheconfig.v0");
    put(
        &mut registry.held.lock().unwrap(),
        "main",
        kind,
        theirs.as_bytes(),
    );
    let cache = registry.writer(&store);
    publish(&cache, &given).await;
    assert_eq!(cache.close().await.warnings, []);
    assert_eq!(registry.manifest("main").unwrap().layers.len(), 1);
}

#[tokio::test]
async fn an_index_of_layers_is_read_as_well() {
    for form in [Form::Index, Form::DockerList] {
        let ((_dir, store), registry) = (store(), Registry::new());
        let options = RegistryOptions {
            form,
            ..RegistryOptions::default()
        };
        let given = publication("a", &[&noise(1, 5000)]);
        publish(&registry.writer_with(&store, options), &given).await;
        let (_dir, cache) = reader(&registry, Missing::Warned);
        let hit = cache
            .lookup(&[definition("a")])
            .await
            .pop()
            .flatten()
            .unwrap();
        assert!(cache.fetch(&hit.record.layers[0]).await.is_ok(), "{form:?}");
    }
}

#[tokio::test]
async fn a_registry_that_takes_nothing_is_asked_once() {
    let ((_dir, store), registry) = (store(), Registry::new());
    registry.script(|_, seen| {
        let is_write = seen.method == "POST" || seen.method == "PUT";
        is_write.then(|| Reply::new(403, r#"{"errors":[{"code":"DENIED"}]}"#))
    });
    let cache = registry.writer(&store);
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let given = publication(name, &[&noise(n as u64, 5000)]);
        let published = cache.publish(&given).await;
        assert_eq!(published, Published::Skipped(Skip::Cache(Cause::Forbidden)));
    }
    let warnings = cache.close().await.warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let writes = registry.lines();
    assert_eq!(
        writes
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count(),
        1
    );
}

#[tokio::test]
async fn writing_the_records_ends_in_time() {
    let ((_dir, store), registry) = (store(), Registry::new());
    let options = RegistryOptions {
        patience: Duration::from_millis(300),
        ..RegistryOptions::default()
    };
    let cache = registry.writer_with(&store, options);
    cache.publish(&publication("a", &[&noise(1, 5000)])).await;
    registry.script(|_, seen| {
        let is_tag = seen.method == "PUT" && seen.target.contains("/manifests/");
        is_tag.then(|| Reply::new(201, "").silence(Duration::from_secs(3)))
    });
    let began = std::time::Instant::now();
    let warnings = cache.close().await.warnings;
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].text.contains("took longer"),
        "{}",
        warnings[0].text
    );
}

#[tokio::test]
async fn a_mirror_that_gives_wrong_layers_is_passed_over() {
    let ((_dir, store), registry) = (store(), Registry::new());
    let bytes = noise(1, 5000);
    publish(&registry.writer(&store), &publication("a", &[&bytes])).await;
    let held = Arc::clone(&registry.held);
    let mirror = FakeServer::start(move |seen, _| {
        let mut reply = serve(&mut held.lock().unwrap(), seen);
        // Documents are as they should be, layers are not.
        if !reply.body.starts_with(b"{") && !reply.body.is_empty() {
            *reply.body.last_mut().unwrap() ^= 1;
        }
        reply
    });
    let mut access = Access::anonymous();
    let host = access
        .settings
        .registries
        .entry(registry.server.host())
        .or_default();
    host.mirrors = vec![Mirror::try_from(mirror.host()).unwrap()];
    let (_dir, store) = self::store();
    let cache = RegistryCache::reader(registry.place_by(access), Missing::Warned, store);
    let hit = cache.lookup(&[definition("a")]).await.pop().flatten();
    let hit = hit.expect("the registry itself has the records");
    assert!(cache.fetch(&hit.record.layers[0]).await.is_ok());
    assert_eq!(cache.close().await.warnings, []);
    let asked = |server: &FakeServer| {
        let seen = server.seen().into_iter();
        seen.filter(|seen| seen.method == "GET" && seen.target.contains("/blobs/"))
            .count()
    };
    assert_eq!((asked(&mirror), asked(&registry.server)), (2, 1));
}
