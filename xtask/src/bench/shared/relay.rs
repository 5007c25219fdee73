//! Counts the bytes between a client and a server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;

const PIECE: usize = 256 << 10;

/// A port of loopback whose connections end at a server. Its thread ends with the process.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) address: String,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Relay {
    pub(super) fn to(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Self {
            address: listener.local_addr()?.to_string(),
            up: Arc::default(),
            down: Arc::default(),
        };
        let (up, down) = (Arc::clone(&relay.up), Arc::clone(&relay.down));
        let server = server.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = pair(client, &server, &up, &down) {
                    println!("bench: a connection to {server} is not relayed: {error}");
                }
            }
        });
        Ok(relay)
    }

    /// Bytes that went to the server and came from it since the last call.
    pub(super) fn take(&self) -> (u64, u64) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::SeqCst);
        (take(&self.up), take(&self.down))
    }
}

fn pair(
    client: TcpStream,
    server: &str,
    up: &Arc<AtomicU64>,
    down: &Arc<AtomicU64>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let ways = [
        (client.try_clone()?, server.try_clone()?, Arc::clone(up)),
        (server, client, Arc::clone(down)),
    ];
    for (from, to, counter) in ways {
        thread::spawn(move || {
            // A connection that breaks ends for both, as it would without a relay.
            if let Err(error) = copy(&from, &to, &counter) {
                drop(error);
                drop(from.shutdown(Shutdown::Both));
            }
            drop(to.shutdown(Shutdown::Write));
        });
    }
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, counter: &AtomicU64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let n = from.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        // Counted first: whoever has read an answer finds all of it counted.
        counter.fetch_add(n as u64, Ordering::SeqCst);
        to.write_all(&piece[..n])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 5];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(b"an answer").unwrap();
            question
        });
        let mut client = TcpStream::connect(&relay.address).unwrap();
        client.write_all(b"hello").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(&server.join().unwrap(), b"hello");
        assert_eq!(answer, "an answer");
        assert_eq!(relay.take(), (5, 9));
        assert_eq!(relay.take(), (0, 0));
    }
}
