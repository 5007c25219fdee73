use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The `acetate-cache-server` program under test, built once for all tests of this process.
///
/// # Panics
/// When it cannot be built.
pub fn cache_server_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let (package, name) = ("acetate-cache-server", "acetate-cache-server");
        crate::program::built(package, name, "ACETATE_TEST_CACHE_SERVER")
    })
}

/// A cache server on a free port of loopback, killed with this value.
#[derive(Debug)]
pub struct CacheServer {
    child: Child,
    dir: PathBuf,
    address: String,
}

impl CacheServer {
    /// Starts a server that everybody on this machine may use.
    ///
    /// # Panics
    /// When it does not start.
    pub fn open(dir: &Path) -> Self {
        Self::with(dir, &["--insecure-open"])
    }

    /// Starts a server with more flags.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(dir: &Path, flags: &[&str]) -> Self {
        Self::at(dir, "127.0.0.1:0", flags)
    }

    fn at(dir: &Path, address: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(cache_server_path());
        command.args(["--listen", address, "--dir"]).arg(dir);
        let child = command
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("acetate-cache-server starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let address = first.strip_prefix("listening on http://");
        let address = address
            .expect("the first line names the address")
            .to_owned();
        // Nobody waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            dir: dir.to_owned(),
            address,
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of a namespace.
    pub fn url(&self, namespace: &str) -> String {
        format!("http://{}/{namespace}", self.address)
    }

    /// Kills the server and starts it again at the same address.
    pub fn restart(&mut self, flags: &[&str]) {
        self.kill();
        *self = Self::at(&self.dir.clone(), &self.address.clone(), flags);
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// The body that a path answers.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let host = &self.address;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        body.unwrap_or_default().to_owned()
    }

    /// Everything below the directory of the server, by kind: `cas` or `ac`.
    pub fn files(&self, kind: &str) -> Vec<PathBuf> {
        let below = crate::files_below(&self.dir.join(kind));
        let is_object = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.len() == 64
        };
        let objects = below.into_iter().filter(is_object);
        objects.map(|path| self.dir.join(kind).join(path)).collect()
    }
}

impl Drop for CacheServer {
    fn drop(&mut self) {
        self.kill();
    }
}
