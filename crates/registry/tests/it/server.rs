//! Starts registries, with accounts and with certificates that are made here.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use acetate_net::{Limits, NetClient};
use acetate_oci::{Descriptor, Digest, Index, Manifest, MediaType, canonical_json};
use acetate_registry::{
    Access, MemorySource, Push, PushBlob, PushManifest, Registries, Repository,
};

/// The account `user` with the password `s3cret`; bcrypt, the only kind that registries take.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";
/// The same for a `config.json`.
pub(crate) const AUTH: &str = "dXNlcjpzM2NyZXQ=";

/// The programs that are registries; the second one is built by the setup of the suite.
pub(crate) fn programs() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if have("docker-registry") {
        found.push("docker-registry".into());
    }
    found.extend(peer("registry"));
    found
}

/// A Go program that the setup of the suite builds; where it is not, the test goes without it, and
/// in CI it fails if it could be built.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../../target/peers/bin").join(name);
    if path.is_file() {
        return Some(path);
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

/// True when a tool is installed; where it is not, the test is skipped, in CI it fails.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
pub(crate) fn have(tool: &str) -> bool {
    let mut command = Command::new(tool);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return true,
    }
    assert!(!is_ci(), "`{tool}` is missing, and CI must have it");
    eprintln!("skipped: `{tool}` is not installed");
    false
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests ask whether they run in CI"
)]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Runs a tool to its end and gives its standard output.
#[track_caller]
pub(crate) fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    let output = Command::new(&program).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let name = program.as_ref().to_string_lossy();
    assert!(output.status.success(), "{name} {args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a registry asks of those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Open,
    /// A password, over TLS.
    Secured,
    /// Also a certificate.
    Certified,
}

/// A registry on a free port of loopback, ended with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: String,
}

impl Server {
    pub(crate) fn start(program: &Path, kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        drop(listener);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut http = format!("addr: {host}");
        let mut auth = String::new();
        if kind != Kind::Open {
            certificates(dir.path());
            std::fs::write(path("htpasswd"), HTPASSWD).unwrap();
            auth = format!(
                "auth: {{htpasswd: {{realm: here, path: {}}}}}\n",
                path("htpasswd")
            );
            let cas = match kind {
                Kind::Certified => format!(", clientcas: [{}]", path("ca.pem")),
                _ => String::new(),
            };
            http += &format!(
                ", tls: {{certificate: {}, key: {}{cas}}}",
                path("server.pem"),
                path("server.key")
            );
        }
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n{auth}storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{{http}}}\n",
            path("registry")
        );
        std::fs::write(path("registry.yml"), text).unwrap();
        let child = Command::new(program)
            .args(["serve", &path("registry.yml")])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, dir, host };
        let start = Instant::now();
        while TcpStream::connect(&server.host).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "it does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        Repository::from(&format!("{}/{path}", self.host).parse().unwrap())
    }

    /// A client that knows what these files say: `config.json` and `registries.toml`.
    pub(crate) fn client(&self, config: &str, settings: &str) -> Registries {
        let (auth, toml) = (self.path("config.json"), self.path("registries.toml"));
        std::fs::write(&auth, config).unwrap();
        let settings = settings.replace("DIR", &self.dir.path().display().to_string());
        let header = format!("[registry.\"{}\"]\n{settings}\n", self.host);
        std::fs::write(&toml, header).unwrap();
        let mut access = Access::anonymous();
        access.auth.files = vec![auth];
        access.settings = acetate_registry::Settings::read(&[toml]).unwrap();
        Registries::new(net(), access)
    }

    pub(crate) fn login(&self) -> String {
        format!(r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#, self.host)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn net() -> NetClient {
    NetClient::new(Limits {
        n_retries: 2,
        first_backoff: Duration::from_millis(10),
        ..Limits::default()
    })
}

/// An authority, and a server and a client that it vouches for.
fn certificates(dir: &Path) {
    let run = |args: &[&str]| {
        let made = Command::new("openssl").args(args).current_dir(dir).output();
        let made = made.unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let own = [
        "req", "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem",
    ];
    run(&[&own[..], &key].concat());
    for name in ["server", "client"] {
        let (subject, key_file) = (format!("/CN={name}"), format!("{name}.key"));
        let request = [
            "req",
            "-new",
            "-subj",
            &subject,
            "-keyout",
            &key_file,
            "-out",
            "request.pem",
        ];
        run(&[&request[..], &key].concat());
        std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        let cert = format!("{name}.pem");
        run(&[
            "x509",
            "-req",
            "-in",
            "request.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "san",
            "-out",
            &cert,
        ]);
    }
}

/// An image of two platforms that share a layer, and one with a subject.
pub(crate) struct Sample {
    pub(crate) push: Push,
    pub(crate) index: Index,
    pub(crate) layers: Vec<Vec<u8>>,
}

pub(crate) fn sample(tags: &[&str]) -> Sample {
    let mut blobs = Vec::new();
    let mut layers = Vec::new();
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    let mut add = |kind: MediaType, bytes: Vec<u8>| {
        let descriptor = Descriptor::of(kind, &bytes);
        blobs.push(PushBlob {
            descriptor: descriptor.clone(),
            source: std::sync::Arc::new(MemorySource(bytes.as_slice().into())),
            mount_from: Vec::new(),
        });
        layers.push(bytes);
        descriptor
    };
    let large = vec![0; 3_000_000];
    for (n, arch) in [(1, "amd64"), (2, "arm64")] {
        // Zero blocks end a tar: these are ones without files.
        let tars = [large.clone(), vec![0; n * 10_240]];
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = format!(
            r#"{{"architecture":"{arch}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":{}}}}}"#,
            serde_json::to_string(&diff_ids).unwrap()
        );
        let of_layers = tars
            .map(|tar| add(MediaType::OCI_LAYER_GZIP, gzip(&tar)))
            .to_vec();
        let config = add(MediaType::OCI_CONFIG, config.into_bytes());
        let bytes = canonical_json(&Manifest::oci(config, of_layers));
        let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, &bytes);
        entry.platform = Some(format!("linux/{arch}").parse().unwrap());
        entries.push(entry);
        manifests.push(PushManifest {
            media_type: MediaType::OCI_MANIFEST,
            bytes,
        });
    }
    let index = Index::oci(entries);
    let root = PushManifest {
        media_type: MediaType::OCI_INDEX,
        bytes: canonical_json(&index),
    };
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let push = Push {
        blobs,
        manifests,
        root,
        tags,
    };
    Sample {
        push,
        index,
        layers,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Without compression, so that there is something to send.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
