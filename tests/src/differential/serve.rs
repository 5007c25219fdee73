use acetate_oci::Digest;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// When every file of the server was changed last, which is the time of the other files too.
const MODIFIED: &str = "Tue, 09 Nov 2004 11:33:20 GMT";

/// Serves the files of a directory on loopback, with names and times to ask for them again.
#[derive(Debug)]
pub(super) struct Http {
    /// `http://127.0.0.1:PORT`.
    pub(super) address: String,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    pub(super) fn serve(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let over = Arc::new(AtomicBool::new(false));
        let (dir, ended) = (dir.to_owned(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no concern of the server.
                drop(stream.map(|stream| answer(&stream, &dir)));
            }
        });
        Self {
            address,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let address = self.address.trim_start_matches("http://");
        // One more connection wakes the thread up.
        drop(TcpStream::connect(address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(stream: &TcpStream, dir: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let headers: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let path = path.split('?').next().unwrap_or("/").trim_matches('/');
    let name = if path.is_empty() { "index" } else { path };
    let mut out = stream;
    let Ok(body) = std::fs::read(dir.join(name)) else {
        return out.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let tag = format!("\"{}\"", &Digest::of(&body).hex()[..16]);
    let known = headers
        .iter()
        .any(|line| line.to_lowercase().starts_with("if-none-match:") && line.contains(&tag));
    let status = if known { "304 Not Modified" } else { "200 OK" };
    let length = if known { 0 } else { body.len() };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLast-Modified: {MODIFIED}\r\n\
         ETag: {tag}\r\nConnection: close\r\n\r\n"
    );
    out.write_all(head.as_bytes())?;
    if method == "GET" && !known {
        out.write_all(&body)?;
    }
    out.flush()
}

/// Serves the repositories below a directory by git's own protocol.
#[derive(Debug)]
pub(super) struct Git {
    /// `git://127.0.0.1:PORT`.
    pub(super) address: String,
    child: Child,
}

impl Git {
    pub(super) fn serve(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("a directory for repositories");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let base = |before: &str, path: PathBuf| format!("{before}{}", path.display());
        let child = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr"])
            .args(["--listen=127.0.0.1", &format!("--port={port}")])
            .arg(base("--base-path=", dir.to_owned()))
            .arg(base("", dir.to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("git is installed");
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "git's daemon does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            address: format!("git://127.0.0.1:{port}"),
            child,
        }
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        // The daemon is a child of `git`, and ends with it when asked to.
        let id = self.child.id().to_string();
        drop(Command::new("kill").args(["-TERM", &id]).status());
        drop(self.child.wait());
    }
}
