//! A scripted HTTP/1.1 server on a loopback port, for tests of this and other crates.
//!
//! One closure answers all requests; it sees each with its number, so a script is a `match`. An
//! answer may be cut off in its body, be silent, or announce a size that is not true.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body, as long as `Content-Length` said.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte asked for by `Range: bytes=N-`, if any.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status; 0 closes the connection without an answer.
    pub status: u16,
    /// Headers beside `Content-Length` and `Connection`.
    pub headers: Vec<(String, String)>,
    /// The body, which sets `Content-Length`.
    pub body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub cut_after: Option<usize>,
    /// Says nothing for so long before the answer.
    pub silence: Duration,
}

impl Reply {
    /// An answer with a status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut_after: None,
            silence: Duration::ZERO,
        }
    }

    /// No answer at all: the connection is closed.
    pub fn closed() -> Self {
        Self::new(0, [])
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Closes the connection after `n` bytes of the body.
    pub fn cut_after(mut self, n: usize) -> Self {
        self.cut_after = Some(n);
        self
    }

    /// Waits before the answer.
    pub fn silence(mut self, wait: Duration) -> Self {
        self.silence = wait;
        self
    }
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl FakeServer {
    /// Starts a server whose answers come from `script(request, number of the request from 0)`.
    pub fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_cutting(|_| None, script)
    }

    /// As [`Self::start`]; where `cut` gives a number for the head of a request, the connection is
    /// closed after so many bytes of its body, and nobody is asked for an answer.
    pub fn start_cutting(
        cut: impl Fn(&Seen) -> Option<u64> + Send + Sync + 'static,
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, halt, script) = (Arc::clone(&seen), Arc::clone(&stop), Arc::new(script));
        let cut = Arc::new(cut);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if halt.load(Ordering::Relaxed) {
                    return;
                }
                let (log, script, cut) = (Arc::clone(&log), Arc::clone(&script), Arc::clone(&cut));
                std::thread::spawn(move || serve(&stream, &log, &*cut, &*script));
            }
        });
        Self {
            address,
            seen,
            stop,
        }
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:port` followed by `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    stream: &TcpStream,
    log: &Mutex<Vec<Seen>>,
    cut: &(dyn Fn(&Seen) -> Option<u64> + Send + Sync),
    script: &(dyn Fn(&Seen, usize) -> Reply + Send + Sync),
) {
    let Some((seen, is_cut)) = read_request(stream, cut) else {
        return;
    };
    let number = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(seen.clone());
        log.len() - 1
    };
    if is_cut {
        return;
    }
    let reply = script(&seen, number);
    std::thread::sleep(reply.silence);
    // The client may be gone already, which is its right.
    if let Err(error) = write_reply(stream, &seen, &reply) {
        tracing::debug!(%error, "fake server: the client left");
    }
}

/// A request, and whether it was cut.
fn read_request(
    stream: &TcpStream,
    cut: &(dyn Fn(&Seen) -> Option<u64> + Send + Sync),
) -> Option<(Seen, bool)> {
    let mut reader = BufReader::new(stream.take(64 << 10));
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let mut seen = Seen {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = seen.header("content-length").map(str::parse::<u64>);
    let end = cut(&seen);
    if let Some(Ok(length)) = length {
        let length = length.min(end.unwrap_or(length));
        reader.get_mut().set_limit(length);
        reader.take(length).read_to_end(&mut seen.body).ok()?;
    }
    Some((seen, end.is_some()))
}

fn write_reply(mut stream: &TcpStream, seen: &Seen, reply: &Reply) -> std::io::Result<()> {
    if reply.status == 0 {
        return Ok(());
    }
    let mut head = Vec::new();
    write!(
        head,
        "HTTP/1.1 {} Scripted\r\nConnection: close\r\n",
        reply.status
    )?;
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    {
        write!(head, "Content-Length: {}\r\n", reply.body.len())?;
    }
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    if seen.method != "HEAD" {
        let end = reply
            .cut_after
            .unwrap_or(reply.body.len())
            .min(reply.body.len());
        stream.write_all(&reply.body[..end])?;
    }
    stream.flush()
}
