use crate::server::record;
use acetate_cache_server::auth::{Policy, Trust};
use acetate_cache_server::gc::Marks;
use acetate_cache_server::storage::Backing;
use acetate_cache_server::upstream::UpstreamConfig;
use acetate_cache_server::{App, Config, Limits, open_with, serve};
use acetate_oci::Digest;
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::SystemClock;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use reqwest::{Client, Method, Response};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a node is started.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    pub(crate) backing: Backing,
    pub(crate) upstream: Option<UpstreamConfig>,
    pub(crate) max_bytes: Option<u64>,
    /// The port of one that was there before.
    pub(crate) port: u16,
}

/// A server in this process, on a free port of loopback.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) app: Arc<App>,
    pub(crate) dir: TempDir,
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// One of many servers over a store.
    pub(crate) async fn over(store: &Arc<dyn ObjectStore>) -> Self {
        Self::start(Setup {
            backing: backing(store, 600),
            ..Setup::default()
        })
        .await
    }

    /// Ends it, so that its port is free.
    pub(crate) async fn ended(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }

    /// A server with nothing but its directory.
    pub(crate) async fn alone() -> Self {
        Self::start(Setup::default()).await
    }

    /// A server below another one.
    pub(crate) async fn below(url: &str) -> Self {
        Self::start(Setup {
            upstream: Some(upstream(url)),
            ..Setup::default()
        })
        .await
    }

    pub(crate) async fn start(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            dir: dir.path().join("cache"),
            max_bytes: setup.max_bytes,
            marks: Marks::default(),
            policy: Policy::Open,
            trust: Trust::default(),
            opaque: vec!["ccache".parse().unwrap()],
            raw: vec!["sccache".parse().unwrap()],
            only_hosts: None,
            limits: Limits::default(),
            durability: Durability::Fast,
        };
        let clock = Arc::new(SystemClock);
        let app = open_with(config, setup.backing, setup.upstream, clock);
        let app = app.await.unwrap();
        let listener = listen(setup.port).await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = serve(Arc::clone(&app), listener, None, std::future::pending());
        let task = tokio::spawn(serving);
        let client = Client::builder().build().unwrap();
        Self {
            url,
            app,
            dir,
            client,
            task,
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &[u8]) -> Response {
        self.send_if(method, path, &[], body).await
    }

    pub(crate) async fn send_if(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body.to_vec()).send().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> u16 {
        self.send(Method::PUT, path, body).await.status().as_u16()
    }

    pub(crate) async fn put_new(&self, path: &str, body: &[u8]) -> u16 {
        let only_new = [("if-none-match", "*")];
        let answer = self.send_if(Method::PUT, path, &only_new, body).await;
        answer.status().as_u16()
    }

    pub(crate) async fn put_content(&self, bytes: &[u8]) {
        let status = self.put(&cas(bytes), bytes).await;
        assert!(status == 200 || status == 201, "{status}");
    }

    /// Content and a record in the namespace `org` that names it.
    pub(crate) async fn put_result(&self, key: &str, content: &[u8]) -> Vec<u8> {
        self.put_content(content).await;
        let body = record(&[content], 1);
        assert_eq!(self.put(&crate::server::ac("org", key), &body).await, 200);
        body
    }

    /// The status and the body; none when it broke off.
    pub(crate) async fn get(&self, path: &str) -> (u16, Option<Vec<u8>>) {
        let answer = self.send(Method::GET, path, b"").await;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok();
        (status, body.map(|body| body.to_vec()))
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.0
    }

    /// True when a copy of content is in the directory.
    pub(crate) fn has_copy(&self, bytes: &[u8]) -> bool {
        let hex = Digest::of(bytes).hex();
        let path = self.dir.path().join("cache/cas").join(&hex[..2]).join(&hex);
        path.exists()
    }

    /// What of this is missing, as it says.
    pub(crate) async fn missing(&self, contents: &[&[u8]]) -> usize {
        let named = contents.iter().map(|bytes| {
            let hex = Digest::of(bytes).hex();
            format!(r#"{{"hash":"{hex}","sizeBytes":"{}"}}"#, bytes.len())
        });
        let body = format!(
            r#"{{"blobDigests":[{}]}}"#,
            named.collect::<Vec<_>>().join(",")
        );
        let path = "/v2/org/blobs:findMissing";
        let answer = self.send(Method::POST, path, body.as_bytes()).await;
        assert_eq!(answer.status().as_u16(), 200);
        answer.text().await.unwrap().matches("\"hash\"").count()
    }
}

pub(crate) fn backing(store: &Arc<dyn ObjectStore>, known_for_secs: u64) -> Backing {
    Backing::Bucket {
        store: Arc::clone(store),
        prefix: Path::from("fleet/cache"),
        known_for: Duration::from_secs(known_for_secs),
    }
}

pub(crate) fn upstream(url: &str) -> UpstreamConfig {
    UpstreamConfig {
        url: url.parse().unwrap(),
        token: None,
    }
}

pub(crate) fn cas(bytes: &[u8]) -> String {
    format!("/cas/{}", Digest::of(bytes).hex())
}

/// Where content is in a store.
pub(crate) fn place(bytes: &[u8]) -> Path {
    let hex = Digest::of(bytes).hex();
    Path::from(format!("fleet/cache/cas/{}/{hex}", &hex[..2]))
}

pub(crate) async fn is_stored(store: &Arc<dyn ObjectStore>, bytes: &[u8]) -> bool {
    match store.head(&place(bytes)).await {
        Ok(_) => true,
        Err(object_store::Error::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until something holds that another task brings about.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// So many bytes that are unlike those of any other number.
pub(crate) fn bytes(n: u8, len: usize) -> Vec<u8> {
    let mut state = u32::from(n) + 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Listens; on a port that was one's own before, once a connection of another test that has it meanwhile
/// is over.
async fn listen(port: u16) -> TcpListener {
    for _ in 0..200 {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return listener,
            Err(_) if port != 0 => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("no port is free: {error}"),
        }
    }
    panic!("the port {port} stays in use");
}
