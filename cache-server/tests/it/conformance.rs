//! Level 0 as any server of it must behave, ours and those of others: one list of checks.

use crate::s3::S3;
use crate::server::{Server, ac, have, record};
use acetate_oci::Digest;
use reqwest::{Client, Method};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a server promises besides keeping files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// It keeps what it is given.
    Files,
    /// It looks at digests, and at what records name.
    Checked,
}

/// A server under test.
struct Peer {
    url: String,
    care: Care,
    client: Client,
}

impl Peer {
    fn new(url: &str, care: Care) -> Self {
        let client = Client::builder().build().unwrap();
        let url = url.to_owned();
        Self { url, care, client }
    }

    async fn ask(&self, method: Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.body(body.to_vec()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    }

    async fn put(&self, path: &str, body: &[u8]) -> bool {
        let status = self.ask(Method::PUT, path, body).await.0;
        (200..300).contains(&status)
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let (status, body) = self.ask(Method::GET, path, b"").await;
        assert!(status == 200 || status == 404, "{path}: {status}");
        (status == 200).then_some(body)
    }

    async fn length(&self, path: &str) -> Option<u64> {
        let url = format!("{}{path}", self.url);
        let answer = self.client.head(url).send().await.unwrap();
        let length = answer.headers().get("content-length");
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        answer.status().is_success().then_some(length).flatten()
    }
}

fn cas(bytes: &[u8]) -> String {
    format!("/cas/{}", Digest::of(bytes).hex())
}

/// All that clients of level 0 rely on.
async fn check(peer: &Peer) {
    content(peer).await;
    records(peer).await;
    many_at_once(peer).await;
    if peer.care == Care::Checked {
        care(peer).await;
    }
}

async fn content(peer: &Peer) {
    assert_eq!(peer.get(&cas(b"absent")).await, None);
    assert_eq!(peer.length(&cas(b"absent")).await, None);
    for size in [1, 4096, 1_000_003] {
        let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
        let path = cas(&bytes);
        assert!(peer.put(&path, &bytes).await, "{size}");
        assert_eq!(peer.get(&path).await.as_ref(), Some(&bytes), "{size}");
        assert_eq!(peer.length(&path).await, Some(size as u64));
        assert!(peer.put(&path, &bytes).await, "once more, {size}");
        assert_eq!(peer.get(&path).await, Some(bytes), "{size}");
    }
}

async fn records(peer: &Peer) {
    assert!(peer.put(&cas(b"output"), b"output").await);
    assert_eq!(peer.get(&ac("", "absent")).await, None);
    for namespace in ["", "org/repo"] {
        let path = ac(namespace, "key");
        let (first, second) = (record(&[b"output"], 1), record(&[b"output"], 2));
        assert!(peer.put(&path, &first).await, "{path}");
        assert_eq!(peer.get(&path).await, Some(first), "{path}");
        assert!(peer.put(&path, &second).await, "{path}");
        assert_eq!(peer.get(&path).await, Some(second), "the last writer wins");
    }
}

async fn many_at_once(peer: &Peer) {
    let one = async |n: u32| {
        let bytes = format!("content {n}").into_bytes();
        assert!(peer.put(&cas(&bytes), &bytes).await);
        assert_eq!(peer.get(&cas(&bytes)).await, Some(bytes));
    };
    futures_util::future::join_all((0..100).map(one)).await;
}

async fn care(peer: &Peer) {
    let path = cas(b"right");
    assert!(!peer.put(&path, b"wrong").await);
    assert_eq!(peer.get(&path).await, None);
    // Refused at once or kept and never served: a client cannot tell.
    let path = ac("", "incomplete");
    peer.put(&path, &record(&[b"nobody has this"], 1)).await;
    assert_eq!(peer.get(&path).await, None);
}

#[tokio::test]
async fn our_own_server() {
    let server = Server::open();
    check(&Peer::new(&server.url, Care::Checked)).await;
}

#[tokio::test]
async fn our_own_server_over_a_bucket() {
    let Some(s3) = S3::start() else { return };
    let server = s3.server();
    check(&Peer::new(&server.url, Care::Checked)).await;
}

#[tokio::test]
async fn our_own_server_below_another_one() {
    let region = Server::open();
    let flags = ["--insecure-open", "--upstream", &region.url];
    let server = Server::with(&flags);
    check(&Peer::new(&server.url, Care::Checked)).await;
}

/// Another server's process and its directory.
struct Other {
    child: Child,
    _dir: TempDir,
}

impl Drop for Other {
    fn drop(&mut self) {
        // Nginx's workers end with the process that is asked to end, and not with one that is killed.
        let id = self.child.id().to_string();
        let _gone = Command::new("kill").args(["-s", "TERM", &id]).status();
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn start(command: &mut Command, port: u16, dir: TempDir) -> Other {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let other = Other { child, _dir: dir };
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "{command:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    other
}

fn nginx_config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\npid {dir}/pid;\nerror_log {dir}/errors;\nuser root;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log off;\n  client_max_body_size 0;\n\
         client_body_temp_path {dir}/bodies;\n  proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\n\
         server {{\n  listen 127.0.0.1:{port};\n  root {dir}/files;\n\
         location / {{ dav_methods PUT DELETE; create_full_put_path on; }}\n  }}\n}}\n"
    )
}

#[tokio::test]
async fn nginx_with_dav() {
    if !have("nginx") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = port();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    let config = dir.path().join("nginx.conf");
    std::fs::write(&config, nginx_config(dir.path(), port)).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&config).arg("-p").arg(dir.path());
    command.args(["-e", "stderr"]);
    let _nginx = start(&mut command, port, dir);
    check(&Peer::new(&format!("http://127.0.0.1:{port}"), Care::Files)).await;
}

#[tokio::test]
async fn bazel_remote() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program: PathBuf = workspace.join("target/peers/bin/bazel-remote");
    if !program.exists() {
        // `cargo xtask peers` cannot make it, so that this is no failure in CI either.
        eprintln!("skipped: needs target/peers/bin/bazel-remote");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = port();
    let mut command = Command::new(program);
    command
        .arg("--dir")
        .arg(dir.path())
        .args(["--max_size", "1"]);
    command.args(["--http_address", &format!("127.0.0.1:{port}")]);
    command.args(["--grpc_address", "none"]);
    let _peer = start(&mut command, port, dir);
    check(&Peer::new(
        &format!("http://127.0.0.1:{port}"),
        Care::Checked,
    ))
    .await;
}
