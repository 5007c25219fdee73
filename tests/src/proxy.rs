use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done to one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// This status is answered, and the server never sees the request.
    Status(u16),
    /// The byte with this number of the body is another one, counted around.
    Flip(usize),
    /// The body ends after so many bytes, and the connection with it.
    Truncate(usize),
    /// The body stands still after so many bytes, until the client leaves.
    Stall(usize),
    /// The connection is reset before anything is answered.
    Reset,
    /// The server gets the request, and nobody gets its answer.
    Swallow,
    /// The answer comes later.
    Delay(Duration),
    /// The body comes in a hundred pieces, so far apart.
    Trickle(Duration),
}

/// A request as the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// How many there were before it.
    pub n: usize,
    /// Its method.
    pub method: String,
    /// Its path with its query.
    pub path: String,
}

impl Asked {
    /// True for content, of which the path names the digest.
    pub fn is_content(&self) -> bool {
        self.path.contains("/cas/")
    }

    /// A number that follows from a seed and the path alone.
    pub fn lot(&self, seed: u64) -> u64 {
        let mut lot = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        for byte in self.path.bytes() {
            lot = (lot ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        lot >> 16
    }
}

type Script = Arc<dyn Fn(&Asked) -> Fault + Send + Sync>;

/// A way to a server on which a script decides what goes wrong.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    /// Opens a way to `server`, a `HOST:PORT`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn to(server: &str, script: impl Fn(&Asked) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self {
            address,
            seen: Arc::clone(&seen),
        };
        let (script, server): (Script, String) = (Arc::new(script), server.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, server) = (Arc::clone(&script), server.clone());
                let seen = Arc::clone(&seen);
                // A client that leaves needs no answer.
                std::thread::spawn(move || drop(serve(&stream, &server, &script, &seen)));
            }
        });
        proxy
    }

    /// The address of a namespace behind the proxy.
    pub fn url(&self, namespace: &str) -> String {
        format!("http://{}/{namespace}", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Asked> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The head of a request or an answer, and its body.
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &TcpStream, has_body: impl Fn(&str) -> bool) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => break,
            }
        }
        let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let mut body = Vec::new();
        if find("transfer-encoding").is_some_and(|value| value == "chunked") {
            read_chunks(&mut reader, &mut body)?;
        } else if let Some(length) = find("content-length").and_then(|value| value.parse().ok()) {
            if has_body(&first) {
                reader.take(length).read_to_end(&mut body)?;
            }
        } else if first.starts_with("HTTP/") && has_body(&first) {
            reader.read_to_end(&mut body)?;
        }
        Ok(Some(Self {
            first: first.trim_end().to_owned(),
            headers,
            body,
        }))
    }

    /// Writes the head, announcing so many bytes.
    fn write_head(&self, out: &mut impl Write, length: Option<usize>) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            if !matches!(
                name.as_str(),
                "connection" | "transfer-encoding" | "content-length" | "expect"
            ) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        if let Some(length) = length {
            text += &format!("content-length: {length}\r\n");
        }
        text += "connection: close\r\n\r\n";
        out.write_all(text.as_bytes())
    }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
        reader.take(length).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn serve(
    mut client: &TcpStream,
    server: &str,
    script: &Script,
    seen: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let Some(request) = Message::read(client, |_| true)? else {
        return Ok(());
    };
    let mut words = request.first.split(' ');
    let (method, path) = (words.next(), words.next());
    let asked = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Asked {
            n: seen.len(),
            method: method.unwrap_or_default().to_owned(),
            path: path.unwrap_or_default().to_owned(),
        };
        seen.push(asked.clone());
        asked
    };
    let fault = script(&asked);
    match fault {
        Fault::Status(status) => {
            let answer = format!(
                "HTTP/1.1 {status} Scripted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return client.write_all(answer.as_bytes());
        }
        Fault::Reset => return reset(client),
        _ => {}
    }
    let is_head = asked.method == "HEAD";
    let answer = forward(server, &request, is_head)?;
    let Some(mut answer) = answer else {
        return reset(client);
    };
    let length = answer.body.len();
    let announced = announced(&answer, is_head);
    match fault {
        Fault::Swallow => return reset(client),
        Fault::Delay(time) => std::thread::sleep(time),
        Fault::Flip(n) if length > 0 => answer.body[n % length] ^= 1,
        Fault::Truncate(n) => {
            answer.write_head(&mut client, announced)?;
            client.write_all(&answer.body[..n.min(length.saturating_sub(1))])?;
            return client.shutdown(Shutdown::Both);
        }
        Fault::Stall(n) => {
            answer.write_head(&mut client, announced)?;
            client.write_all(&answer.body[..n.min(length.saturating_sub(1))])?;
            client.flush()?;
            let mut rest = Vec::new();
            client.read_to_end(&mut rest)?;
            return Ok(());
        }
        _ => {}
    }
    answer.write_head(&mut client, announced)?;
    if let Fault::Trickle(time) = fault {
        for piece in answer.body.chunks(length.div_ceil(100).max(1)) {
            client.write_all(piece)?;
            std::thread::sleep(time);
        }
        return Ok(());
    }
    client.write_all(&answer.body)
}

fn forward(server: &str, request: &Message, is_head: bool) -> io::Result<Option<Message>> {
    let Ok(mut upstream) = TcpStream::connect(server) else {
        return Ok(None);
    };
    request.write_head(&mut upstream, Some(request.body.len()))?;
    upstream.write_all(&request.body)?;
    Message::read(&upstream, |first| {
        let has_none = [" 204", " 304"].iter().any(|status| first.contains(status));
        !is_head && !has_none
    })
}

/// The length that an answer announces: of a HEAD it is that of what a GET would bring.
fn announced(answer: &Message, is_head: bool) -> Option<usize> {
    if !is_head {
        return Some(answer.body.len());
    }
    let length = answer
        .headers
        .iter()
        .find(|(name, _)| name == "content-length");
    length.and_then(|(_, value)| value.parse().ok())
}

/// Ends a connection so that the other side sees a reset.
fn reset(client: &TcpStream) -> io::Result<()> {
    let linger = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(client, linger)?;
    Ok(())
}
