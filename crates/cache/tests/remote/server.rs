//! Our own server, in this process.

use std::sync::Arc;

use acetate_cache::remote::{RemoteCache, RemoteConfig};
use acetate_cache_api::Namespace;
use acetate_cache_server::auth::{Policy, Token, TokenHash, Trust};
use acetate_cache_server::{App, Config, Limits, open, serve};
use acetate_stdx::atomic::Durability;
use acetate_stdx::clock::SystemClock;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a free port of loopback; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) app: Arc<App>,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Server {
    /// Everybody may do everything.
    pub(crate) async fn open() -> Self {
        Self::start(Policy::Open, None).await
    }

    /// A server with one token, `secret`, for `org`, which may read or write there.
    pub(crate) async fn with_token(access: &str) -> Self {
        let hash = TokenHash::of("secret");
        let tokens = Token::parse_all(&format!("ci {hash} org:{access}")).unwrap();
        let anonymous = Vec::new();
        Self::start(Policy::Tokens { tokens, anonymous }, None).await
    }

    pub(crate) async fn with_room(max_bytes: u64) -> Self {
        Self::start(Policy::Open, Some(max_bytes)).await
    }

    async fn start(policy: Policy, max_bytes: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            dir: dir.path().join("cache"),
            max_bytes,
            marks: acetate_cache_server::gc::Marks::default(),
            policy,
            trust: Trust::default(),
            opaque: Vec::<Namespace>::new(),
            raw: Vec::new(),
            only_hosts: None,
            limits: Limits::default(),
            durability: Durability::Fast,
        };
        let app = open(config, Arc::new(SystemClock)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = serve(Arc::clone(&app), listener, None, std::future::pending());
        Self {
            url,
            app,
            task: tokio::spawn(serving),
            _dir: dir,
        }
    }

    /// A client of a namespace.
    pub(crate) fn client(&self, namespace: &str) -> RemoteCache {
        RemoteCache::open(&self.config(namespace)).unwrap()
    }

    /// A client that sends a token.
    pub(crate) fn client_with(&self, namespace: &str, token: &str) -> RemoteCache {
        let config = RemoteConfig {
            token: Some(token.to_owned().into()),
            ..self.config(namespace)
        };
        RemoteCache::open(&config).unwrap()
    }

    pub(crate) fn config(&self, namespace: &str) -> RemoteConfig {
        RemoteConfig::new(format!("{}/{namespace}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
