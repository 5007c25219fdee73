use crate::tool;
use acetate_oci::Digest;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// A web server of the files of a directory, on a free port of loopback. It has an `ETag` and a time
/// for each, and answers `304` to whoever knows it.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    dir: PathBuf,
    log: Log,
}

type Log = Arc<Mutex<Vec<String>>>;

impl Web {
    /// `Last-Modified` of every file, and the same in seconds.
    pub const DATE: (&'static str, u64) = ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777);

    /// Serves a directory.
    ///
    /// # Panics
    /// When no port is free.
    pub fn serve(dir: &Path) -> Self {
        Self::start(dir, None)
    }

    /// Serves a directory to those who send this value of `Authorization`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn guarded(dir: &Path, authorization: &str) -> Self {
        Self::start(dir, Some(authorization.to_owned()))
    }

    fn start(dir: &Path, authorization: Option<String>) -> Self {
        std::fs::create_dir_all(dir).expect("the directory is made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let log = Log::default();
        let web = Self {
            address,
            dir: dir.to_owned(),
            log: Arc::clone(&log),
        };
        let dir = dir.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that left needs no answer.
                drop(answer(&stream, &dir, authorization.as_deref(), &log));
            }
        });
        web
    }

    /// Puts a file where it is served, and returns its address.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, path: &str, bytes: &[u8]) -> String {
        let place = self.dir.join(path);
        std::fs::create_dir_all(place.parent().expect("a parent")).expect("directories are made");
        std::fs::write(place, bytes).expect("a file is written");
        self.url(path)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `STATUS PATH` of each request since the last time that this was asked.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes a repository as files alone, under `NAME.git`, and returns its address.
    ///
    /// # Panics
    /// When git fails.
    pub fn publish(&self, repository: &Repository, name: &str) -> String {
        let place = self.dir.join(format!("{name}.git"));
        if place.exists() {
            std::fs::remove_dir_all(&place).expect("the old copy is removed");
        }
        let (from, to) = (
            repository.dir.display().to_string(),
            place.display().to_string(),
        );
        tool("git", &["clone", "-q", "--bare", &from, &to]);
        tool("git", &["-C", &to, "update-server-info"]);
        self.url(&format!("{name}.git"))
    }
}

fn answer(
    stream: &TcpStream,
    dir: &Path,
    authorization: Option<&str>,
    log: &Log,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let target = first.split(' ').nth(1).unwrap_or("/");
    let path = target.split('?').next().unwrap_or_default();
    let (mut known, mut sent) = (None, None);
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "if-none-match" => known = Some(value.to_owned()),
            "authorization" => sent = Some(value.to_owned()),
            _ => {}
        }
    }
    let file = dir.join(path.trim_start_matches('/'));
    let (status, body) = match std::fs::read(file) {
        _ if authorization.is_some() && sent.as_deref() != authorization => (401, Vec::new()),
        Ok(body) => (200, body),
        Err(_) => (404, Vec::new()),
    };
    let etag = format!("\"{}\"", Digest::of(&body).hex());
    let is_known = status == 200 && known.as_ref() == Some(&etag);
    let (status, body) = if is_known {
        (304, Vec::new())
    } else {
        (status, body)
    };
    let line = format!("{status} {target}");
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line);
    let (date, length) = (Web::DATE.0, body.len());
    let mut out = stream;
    write!(
        out,
        "HTTP/1.1 {status} Served\r\nConnection: close\r\nContent-Length: {length}\r\n"
    )?;
    if matches!(status, 200 | 304) {
        write!(out, "ETag: {etag}\r\nLast-Modified: {date}\r\n")?;
    }
    out.write_all(b"\r\n")?;
    out.write_all(&body)
}

/// A git repository with a working tree.
#[derive(Debug)]
pub struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// The time of each commit, in seconds.
    pub const TIME: u64 = 1_700_000_000;

    /// Makes an empty repository.
    ///
    /// # Panics
    /// When git fails.
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("the directory is made");
        let repository = Self {
            dir: dir.to_owned(),
        };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories are made");
        std::fs::write(path, text).expect("a file is written");
        self
    }

    /// Commits everything and returns the name of the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in it and returns what it wrote.
    ///
    /// # Panics
    /// When git fails.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(&self.dir).args(args);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "a")
                .env(format!("GIT_{who}_EMAIL"), "a@example.org")
                .env(format!("GIT_{who}_DATE"), format!("{} +0000", Self::TIME));
        }
        let output = command.output().expect("git starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
