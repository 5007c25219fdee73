//! Repositories over HTTP: `git http-backend` behind a few lines of a web server.

use super::support::search_path;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Serves every repository below a directory.
pub(super) struct GitServer {
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Rules {
    dir: PathBuf,
    /// Without this value of `Authorization` there is nothing to see.
    authorization: Option<String>,
    /// Files alone, as a server without git would give.
    is_dumb: bool,
}

impl GitServer {
    pub(super) fn start(dir: &Path) -> Self {
        Self::serve(dir, None, false)
    }

    pub(super) fn with_authorization(dir: &Path, value: &str) -> Self {
        Self::serve(dir, Some(value.to_owned()), false)
    }

    pub(super) fn dumb(dir: &Path) -> Self {
        Self::serve(dir, None, true)
    }

    fn serve(dir: &Path, authorization: Option<String>, is_dumb: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let rules = Rules {
            dir: dir.to_owned(),
            authorization,
            is_dumb,
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (rules, lines) = (rules.clone(), Arc::clone(&lines));
                std::thread::spawn(move || answer(&stream, &rules, &lines));
            }
        });
        Self { address, log }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `METHOD PATH` of each request, and its `Authorization`.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(stream: &TcpStream, rules: &Rules, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    for line in reader
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    log.lock()
        .unwrap()
        .push(format!("{method} {target} {}", header("authorization")));
    if rules
        .authorization
        .as_ref()
        .is_some_and(|value| *value != header("authorization"))
    {
        return respond(stream, "401 Unauthorized", b"");
    }
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if rules.is_dumb {
        return match std::fs::read(rules.dir.join(path.trim_start_matches('/'))) {
            Ok(bytes) => respond(stream, "200 OK", &bytes),
            Err(_) => respond(stream, "404 Not Found", b""),
        };
    }
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", search_path())
        .env("GIT_PROJECT_ROOT", &rules.dir)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&body).ok()?;
    let output = child.wait_with_output().ok()?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let content_type = head
        .lines()
        .find(|line| line.starts_with("Content-Type"))
        .unwrap_or("X-No: type");
    let mut out = stream;
    let length = output.len() - end - 4;
    write!(
        out,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{content_type}\r\n\r\n"
    )
    .ok()?;
    out.write_all(&output[end + 4..]).ok()
}

fn respond(mut stream: &TcpStream, status: &str, body: &[u8]) -> Option<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
    .ok()?;
    stream.write_all(body).ok()
}
