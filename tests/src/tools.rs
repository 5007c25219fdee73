use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// True for the user that may mount; tests that need it skip otherwise.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test is skipped for want of root; in CI that is a failure.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub fn needs_root() -> bool {
    if is_root() {
        return false;
    }
    assert!(!is_ci(), "this test needs root, and CI has it");
    eprintln!("skipped: needs root");
    true
}

/// True when a tool is installed; where it is not, the test is skipped, in CI it fails.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub fn have(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    assert!(!is_ci(), "`{tool}` is missing, and CI must have it");
    eprintln!("skipped: `{tool}` is not installed");
    false
}

/// A Go program that the setup of the suite builds; where it is not, the test is skipped, and in
/// CI it fails if it could be built.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub fn peer(name: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let program = workspace.join("target/peers/bin").join(name);
    if program.is_file() {
        return Some(program);
    }
    let can_be_built = Command::new("go").arg("version").output().is_ok()
        || Path::new("/usr/local/go/bin/go").exists();
    assert!(
        !(is_ci() && can_be_built),
        "`cargo xtask test setup` builds `{name}`"
    );
    eprintln!("skipped: needs target/peers/bin/{name}, which `cargo xtask peers` builds");
    None
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests ask whether they run in CI"
)]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// A `docker-registry` on a free port of loopback, ended with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Server {
    /// Starts a registry that keeps its blobs below `dir`.
    ///
    /// # Panics
    /// When it does not answer within ten seconds.
    pub fn registry(dir: &Path) -> Self {
        Self::start("docker-registry".as_ref(), dir, "")
    }

    /// The same with another program that takes the same file.
    ///
    /// # Panics
    /// When it does not answer within ten seconds.
    pub fn registry_by(program: &Path, dir: &Path) -> Self {
        Self::start(program, dir, "")
    }

    /// The same, which lets in only who has the password `secret` of the user `user`.
    ///
    /// # Panics
    /// When it does not answer within ten seconds.
    pub fn guarded_registry(dir: &Path) -> Self {
        let users = dir.join("users");
        // What `htpasswd -B` gives.
        let line = "user:$2b$12$GULnMBLWe2whVDgulHjyludTh1YnUyEcWzFRD8LX4fe9JgKrx9S3u\n";
        std::fs::write(&users, line).expect("the users are written");
        let path = users.display();
        Self::start(
            "docker-registry".as_ref(),
            dir,
            &format!("auth: {{htpasswd: {{realm: r, path: {path}}}}}\n"),
        )
    }

    /// A registry behind TLS, with a certificate that nobody has signed.
    pub fn registry_with_unknown_certificate(dir: &Path) -> Self {
        let at = |name: &str| dir.join(name).display().to_string();
        let (key, certificate) = (at("registry.key"), at("registry.crt"));
        let args = [
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-days",
            "1",
            "-subj",
            "/CN=registry",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        tool("openssl", &args);
        let tls = format!(", tls: {{certificate: {certificate}, key: {key}}}");
        Self::start_at("docker-registry".as_ref(), dir, &tls, "")
    }

    fn start(program: &Path, dir: &Path, more: &str) -> Self {
        Self::start_at(program, dir, "", more)
    }

    fn start_at(program: &Path, dir: &Path, http: &str, more: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let address = format!("127.0.0.1:{port}");
        let config = dir.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}{http}}}\n{more}",
            dir.join("registry").display()
        );
        std::fs::write(&config, text).expect("the registry's config is written");
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the registry starts");
        let server = Self { child, address };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&server.address).is_err() {
            assert!(Instant::now() < end, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a tool to its end and gives its standard output.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn tool(name: &str, args: &[&str]) -> String {
    let output = Command::new(name)
        .args(args)
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A small file system, unmounted with this value.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// Mounts a tmpfs of so many MiB at a new directory.
    ///
    /// # Panics
    /// When that is refused.
    pub fn tmpfs(path: &Path, mib: u32) -> Self {
        std::fs::create_dir(path).expect("a mount point");
        let at = path.to_str().expect("UTF-8");
        tool(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mib}m,mode=755"),
                "acetate-test",
                at,
            ],
        );
        Self {
            path: path.to_owned(),
        }
    }

    /// Mounts it again with other options.
    pub fn again(&self, options: &str) {
        let at = self.path.to_str().expect("UTF-8");
        tool("mount", &["-o", &format!("remount,{options}"), at]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.path).status());
    }
}
