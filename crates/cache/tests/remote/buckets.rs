//! Buckets: in memory, in a directory, and behind the interface of S3, scripted and real.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acetate_cache::remote::{
    BucketConfig, Cause, Existing, Lost, Publication, Published, Put, RemoteCache, RemoteLimits,
    Skip, action_key,
};
use acetate_net::fake::Reply;
use acetate_oci::Digest;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem};
use tempfile::TempDir;

use crate::scripted::{Scripted, Speaks};
use crate::support::{bucket, definition, noise, nothing, patient, publication, quick, texts};

/// Where a bucket is, and a way to look into it.
enum Place {
    Memory(Arc<InMemory>),
    Directory(TempDir),
    Scripted(Scripted),
    S3(Box<S3>),
}

impl Place {
    /// All of them; the last only where its program is.
    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Memory(Arc::new(InMemory::new())),
            Self::Directory(tempfile::tempdir().unwrap()),
            Self::Scripted(Scripted::start(Speaks::Objects)),
        ];
        all.extend(S3::start().map(|s3| Self::S3(Box::new(s3))));
        all
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Directory(_) => "directory",
            Self::Scripted(_) => "scripted",
            Self::S3(_) => "versitygw",
        }
    }

    /// A client of `s3://org/repo`.
    fn client(&self) -> RemoteCache {
        match self {
            Self::Memory(store) => over(Arc::<InMemory>::clone(store), patient()),
            Self::Directory(dir) => {
                let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
                over(Arc::new(store), patient())
            }
            Self::Scripted(server) => bucket(&server.server.url(""), patient()),
            Self::S3(s3) => bucket(&s3.url(), patient()),
        }
    }

    /// All objects by their keys.
    async fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        match self {
            Self::Memory(store) => {
                let mut all = BTreeMap::new();
                let listed = store.list_with_delimiter(None).await.unwrap();
                let mut prefixes = listed.common_prefixes;
                while let Some(prefix) = prefixes.pop() {
                    let listed = store.list_with_delimiter(Some(&prefix)).await.unwrap();
                    prefixes.extend(listed.common_prefixes);
                    for object in listed.objects {
                        let body = store.get(&object.location).await.unwrap();
                        let body = body.bytes().await.unwrap();
                        all.insert(object.location.to_string(), body.to_vec());
                    }
                }
                all
            }
            Self::Directory(dir) => files(dir.path()),
            Self::S3(s3) => files(&s3.dir.path().join("org")),
            Self::Scripted(server) => {
                let objects = server.objects.lock().unwrap().clone();
                let inside = |path: &str| path.strip_prefix("/org/").unwrap().to_owned();
                objects
                    .into_iter()
                    .map(|(path, body)| (inside(&path), body))
                    .collect()
            }
        }
    }

    async fn write(&self, key: &str, body: &[u8]) {
        match self {
            Self::Memory(store) => {
                let path = object_store::path::Path::from(key);
                store.put(&path, body.to_vec().into()).await.unwrap();
            }
            Self::Directory(dir) => std::fs::write(dir.path().join(key), body).unwrap(),
            Self::S3(s3) => std::fs::write(s3.dir.path().join("org").join(key), body).unwrap(),
            Self::Scripted(server) => server.edit(|objects| {
                objects.insert(format!("/org/{key}"), body.to_vec());
            }),
        }
    }

    async fn remove(&self, key: &str) {
        match self {
            Self::Memory(store) => store.delete(&key.into()).await.unwrap(),
            Self::Directory(dir) => std::fs::remove_file(dir.path().join(key)).unwrap(),
            Self::S3(s3) => std::fs::remove_file(s3.dir.path().join("org").join(key)).unwrap(),
            Self::Scripted(server) => server.edit(|objects| {
                objects.remove(&format!("/org/{key}"));
            }),
        }
    }
}

fn over(store: Arc<dyn ObjectStore>, limits: RemoteLimits) -> RemoteCache {
    let mut config = BucketConfig::new("s3://org/repo", Vec::new().into());
    config.remote.limits = limits;
    RemoteCache::over(store, &config).unwrap()
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let key = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.insert(key, std::fs::read(&path).unwrap());
        }
    }
    found
}

/// A real S3 server with the bucket `org`, killed with this value.
struct S3 {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl S3 {
    /// None where `cargo xtask peers` did not build the program.
    #[expect(clippy::print_stderr, reason = "a skip must be visible")]
    fn start() -> Option<Self> {
        let peers = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../target/peers/bin/versitygw"
        );
        if !Path::new(peers).exists() {
            eprintln!("skipped: needs target/peers/bin/versitygw");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("org")).unwrap();
        let port = free_port();
        let child = Command::new(peers)
            .args([
                "--access",
                "fleet-id",
                "--secret",
                "fleet-secret",
                "--quiet",
            ])
            .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let s3 = Self { child, port, dir };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no S3 server");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(s3)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A port on which nobody listens any more.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_bucket_gives_what_was_put_there() {
    let bytes = noise(60, 5 << 20);
    for place in Place::all() {
        let name = place.name();
        let (writer, reader) = (place.client(), place.client());
        let done = writer.publish(&publication("step", &[&bytes])).await;
        assert_eq!(
            done,
            Published::Done(vec![Put::Written]),
            "{name}: {:?}",
            texts(&writer)
        );
        let asked = ["step", "other"].map(definition);
        let hits = reader.lookup(&asked).await;
        assert!(
            hits[0].is_some() && hits[1].is_none(),
            "{name}: {:?}",
            texts(&reader)
        );
        let layer = &hits[0].as_ref().unwrap().record.layers[0];
        let came = reader.fetch_layer(layer, Vec::new(), nothing).await;
        assert!(came.unwrap() == bytes, "{name}");
        assert_eq!(reader.name(), "s3://org/repo");
        let stats = reader.stats();
        assert_eq!((stats.hits, stats.misses), (1, 1), "{name}");
        assert_eq!((texts(&writer), texts(&reader)), (vec![], vec![]), "{name}");
        // The layout of the first level, below the prefix: a web server could serve it.
        for (key, body) in place.objects().await {
            match key.strip_prefix("repo/cas/") {
                Some(hex) => assert_eq!(hex, Digest::of(&body).hex(), "{name}"),
                None => assert!(key.starts_with("repo/ac/"), "{name}: {key}"),
            }
        }
    }
}

#[tokio::test]
async fn in_a_bucket_the_first_writer_wins() {
    for place in Place::all() {
        let name = place.name();
        let first = place
            .client()
            .publish(&publication("step", &[b"one"]))
            .await;
        assert_eq!(first, Published::Done(vec![Put::Written]), "{name}");
        let client = place.client();
        let second = client.publish(&publication("step", &[b"two"])).await;
        assert_eq!(second, Published::Done(vec![Put::Kept]), "{name}");
        let hit = client
            .lookup(&[definition("step")])
            .await
            .remove(0)
            .unwrap();
        assert_eq!(hit.record.layers[0].diff_id, Digest::of(b"one"), "{name}");
        let forced = Publication {
            existing: Existing::Replace,
            ..publication("step", &[b"two"])
        };
        let done = client.publish(&forced).await;
        assert_eq!(done, Published::Done(vec![Put::Written]), "{name}");
        let hit = client
            .lookup(&[definition("step")])
            .await
            .remove(0)
            .unwrap();
        assert_eq!(hit.record.layers[0].diff_id, Digest::of(b"two"), "{name}");
    }
}

#[tokio::test]
async fn a_record_is_removed_from_a_bucket_by_name() {
    for place in Place::all() {
        let name = place.name();
        let client = place.client();
        client.publish(&publication("step", &[b"layer"])).await;
        let key = action_key(&definition("step"));
        let namespace = "repo".parse().unwrap();
        assert!(client.remove(&namespace, &key).await.unwrap(), "{name}");
        assert_eq!(client.lookup(&[definition("step")]).await, [None], "{name}");
        assert!(!client.remove(&namespace, &key).await.unwrap(), "{name}");
        let told = client.server_stats().await.unwrap_err().to_string();
        assert!(
            told.contains("it is no acetate-cache-server"),
            "{name}: {told}"
        );
    }
}

#[tokio::test]
async fn what_is_in_a_bucket_already_is_not_sent() {
    let bytes = noise(61, 3 << 20);
    for place in Place::all() {
        let name = place.name();
        let (first, second) = (place.client(), place.client());
        first.publish(&publication("a", &[&bytes])).await;
        second.publish(&publication("b", &[&bytes])).await;
        let (up, again) = (first.stats(), second.stats());
        assert_eq!(again.chunks_up, 0, "{name}: {again:?}");
        assert_eq!(again.chunks_deduped, up.chunks_up, "{name}");
    }
}

#[tokio::test]
async fn what_is_lost_or_damaged_in_a_bucket_is_noticed_and_mended() {
    let bytes = noise(62, 3 << 20);
    for place in Place::all() {
        let name = place.name();
        let client = place.client();
        client.publish(&publication("step", &[&bytes])).await;
        let hit = client
            .lookup(&[definition("step")])
            .await
            .remove(0)
            .unwrap();
        let layer = &hit.record.layers[0];
        let chunks = layer.chunks();
        let key = |n: usize| format!("repo/cas/{}", chunks[n].stored.hex());
        let first = chunks[0].stored;
        let is_damaged =
            |came: &Result<Vec<u8>, Lost>| matches!(came, Err(Lost::Damaged(of)) if *of == first);
        place.write(&key(0), &[7; 100]).await;
        let came = place.client().fetch_layer(layer, Vec::new(), nothing).await;
        assert!(is_damaged(&came), "{name}: {came:?}");
        place.write(&key(0), &vec![7; 4 << 20]).await;
        let came = place.client().fetch_layer(layer, Vec::new(), nothing).await;
        assert!(is_damaged(&came), "{name}: {came:?}");
        place.remove(&key(0)).await;
        place.remove(&key(1)).await;
        let came = place.client().fetch_layer(layer, Vec::new(), nothing).await;
        assert!(matches!(came, Err(Lost::Missing(_))), "{name}: {came:?}");
        // Who publishes the same again sends what is missing, though the record stays.
        let done = place
            .client()
            .publish(&publication("step", &[&bytes]))
            .await;
        assert_eq!(done, Published::Done(vec![Put::Kept]), "{name}");
        let came = place.client().fetch_layer(layer, Vec::new(), nothing).await;
        assert!(came.unwrap() == bytes, "{name}");
    }
}

#[tokio::test]
async fn where_nothing_can_be_created_conditionally_the_last_writer_wins() {
    let server = Scripted::start(Speaks::Objects);
    server.spoil(|seen, reply| {
        if seen.header("if-none-match").is_some() {
            return Reply::new(501, "<Error><Code>NotImplemented</Code></Error>");
        }
        reply
    });
    let client = bucket(&server.server.url(""), patient());
    for (layer, n_conditional) in [(b"one", 1), (b"two", 1)] {
        let done = client.publish(&publication("step", &[layer])).await;
        assert_eq!(done, Published::Done(vec![Put::Written]));
        let seen = server.server.seen();
        let conditional = seen
            .iter()
            .filter(|seen| seen.header("if-none-match").is_some());
        assert_eq!(conditional.count(), n_conditional);
    }
    let hit = client
        .lookup(&[definition("step")])
        .await
        .remove(0)
        .unwrap();
    assert_eq!(hit.record.layers[0].diff_id, Digest::of(b"two"));
    assert_eq!(texts(&client), [""; 0]);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_of_once() {
    let mut places = vec![];
    places.extend(S3::start().map(|s3| (s3.url(), Some(s3))));
    let server = Scripted::start(Speaks::Objects);
    server.spoil(|seen, _| {
        let body = if seen.method == "HEAD" {
            ""
        } else {
            "<Code>NoSuchBucket</Code>"
        };
        Reply::new(404, body)
    });
    places.push((server.server.url(""), None));
    for (url, _s3) in places {
        let mut config = crate::support::bucket_config(&url);
        config.remote.url = "s3://gone/repo".to_owned();
        config.remote.limits = patient();
        let client = RemoteCache::open_bucket(&config).unwrap();
        assert_eq!(client.lookup(&[definition("step")]).await, [None]);
        let done = client.publish(&publication("step", &[b"layer"])).await;
        let skipped = Published::Skipped(Skip::Cache(Cause::Unreachable));
        assert_eq!(done, skipped);
        let stats = client.stats();
        assert_eq!((stats.misses, stats.errors), (0, 1));
        let expected = "the cache s3://gone/repo is not used: there is no such bucket, or nobody \
                        may know of it";
        assert_eq!(texts(&client), [expected]);
    }
}

#[tokio::test]
async fn wrong_keys_cost_one_warning_that_does_not_show_them() {
    let mut places = vec![];
    places.extend(S3::start().map(|s3| (s3.url(), Some(s3))));
    let server = Scripted::start(Speaks::Objects);
    server.spoil(|_, _| Reply::new(403, "fleet-secret is wrong"));
    places.push((server.server.url(""), None));
    for (url, _s3) in places {
        let mut config = crate::support::bucket_config(&url);
        config.remote.limits = patient();
        let wrong = ("aws_secret_access_key".to_owned(), "hunter2".to_owned());
        config.options = [config.options.expose().clone(), vec![wrong]]
            .concat()
            .into();
        let client = RemoteCache::open_bucket(&config).unwrap();
        assert_eq!(client.lookup(&[definition("step")]).await, [None]);
        let done = client.publish(&publication("step", &[b"layer"])).await;
        assert!(
            matches!(done, Published::Skipped(Skip::Cache(_))),
            "{done:?}"
        );
        let told = texts(&client);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("does not allow reading"), "{told:?}");
        assert!(!format!("{told:?} {config:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_left_alone() {
    // Nobody listens there.
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let client = bucket(&url, quick());
    let keys: Vec<_> = (0..20).map(|n| definition(&format!("step {n}"))).collect();
    let begin = Instant::now();
    assert_eq!(client.lookup(&keys).await, vec![None; 20]);
    assert_eq!(client.lookup(&keys).await, vec![None; 20]);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let stats = client.stats();
    assert!(stats.not_asked >= 20, "{stats:?}");
    let told = texts(&client);
    assert_eq!(told.len(), 1, "{told:?}");
    let start = "the cache s3://org/repo is not used: ";
    assert!(told[0].starts_with(start), "{told:?}");
    assert!(told[0].contains("refused"), "{told:?}");
}
