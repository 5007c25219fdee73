//! The `acetate-cache-server` program: flags, tokens, signals.

mod behind;

use acetate_cache_api::Namespace;
use acetate_cache_server::auth::{Policy, Scope, Token, TokenFile, TokenHash};
use acetate_cache_server::gc::Marks;
use acetate_cache_server::settings::{Settings, size};
use acetate_cache_server::storage::BucketUrl;
use acetate_cache_server::upstream::UpstreamUrl;
use acetate_cache_server::{App, Config, Files, LOOK, Reloader, Tls, open_with, serve};
use acetate_stdx::clock::SystemClock;
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves a cache of build steps to a fleet, over HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "acetate-cache-server",
    version,
    args_conflicts_with_subcommands = true
)]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it once; its hash is added to the file
    Token(TokenFlags),
    /// Hash all content and remove what is damaged
    Verify(VerifyFlags),
}

#[derive(Debug, Args)]
struct ServeFlags {
    /// A file of settings in TOML, with the names of these flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Where objects are kept, or copies of some with --storage [default: acetate-cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    #[arg(
        long,
        value_name = "URL",
        help = "A bucket that holds all objects, for any number of servers: \
                s3://BUCKET/PREFIX?endpoint=URL, gs://BUCKET/PREFIX or \
                az://CONTAINER/PREFIX?account=NAME; credentials come from the environment"
    )]
    storage: Option<BucketUrl>,

    /// Another acetate-cache-server, which is asked for what is missing here and told what is new
    #[arg(long, value_name = "URL")]
    upstream: Option<UpstreamUrl>,

    /// A file with the token for the upstream
    #[arg(long, value_name = "FILE")]
    upstream_token_file: Option<PathBuf>,

    /// A file of tokens, one a line: NAME sha256:HASH SCOPE...; without it one token is made in DIR
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,

    /// What requests without a token may do, such as public:read; may be repeated
    #[arg(long, value_name = "SCOPE")]
    anonymous: Vec<Scope>,

    /// Ask for no token at all; only on loopback
    #[arg(long, conflicts_with = "auth")]
    insecure_open: bool,

    /// The certificate to answer HTTPS with, and those above it, in PEM; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Certificates that sign those of clients, in PEM; what a client may then do is said by
    /// `[[certificate]]` in the file of settings
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// Bytes that all objects may use together, such as 200GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// A namespace whose records are opaque bytes, as ccache keeps them; may be repeated
    /// [default: ccache]
    #[arg(long, value_name = "NAMESPACE")]
    opaque: Vec<Namespace>,

    /// A namespace in which every path is an object, as `sccache` keeps them by `WebDAV`; may be repeated
    /// [default: sccache]
    #[arg(long, value_name = "NAMESPACE")]
    raw: Vec<Namespace>,

    /// Remove the longest unused first, whatever it saves
    #[arg(long)]
    lru: bool,

    /// Answer an upload of content before its bytes are on the disk
    #[arg(long)]
    no_sync: bool,

    /// Connections at a time [default: 4096]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,

    /// Uploads of one token at a time [default: 512]
    #[arg(long, value_name = "N")]
    max_uploads: Option<usize>,

    /// Bytes that the open uploads of one token may be long together [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_upload_size: Option<u64>,

    /// Bytes a second that a body must make on the average [default: 1K]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_rate: Option<u64>,
}

impl ServeFlags {
    /// What the flags say, and the file where they are silent.
    fn settings(&self) -> Result<Settings> {
        let file = match &self.config {
            None => Settings::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("failed to read `{}`", path.display()))?;
                Settings::parse(&text).with_context(|| path.display().to_string())?
            }
        };
        let listed = |list: bool| list.then_some(true);
        let flags = Settings {
            listen: self.listen,
            dir: self.dir.clone(),
            storage: self.storage.clone(),
            upstream: self.upstream.clone(),
            upstream_token_file: self.upstream_token_file.clone(),
            auth: self.auth.clone(),
            anonymous: (!self.anonymous.is_empty()).then(|| self.anonymous.clone()),
            insecure_open: listed(self.insecure_open),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            tls_client_ca: self.tls_client_ca.clone(),
            oidc: None,
            certificate: None,
            max_size: self.max_size,
            opaque: (!self.opaque.is_empty()).then(|| self.opaque.clone()),
            raw: (!self.raw.is_empty()).then(|| self.raw.clone()),
            lru: listed(self.lru),
            no_sync: listed(self.no_sync),
            max_connections: self.max_connections,
            max_uploads: self.max_uploads,
            max_upload_size: self.max_upload_size,
            min_rate: self.min_rate,
        };
        Ok(flags.or(file)?)
    }
}

#[derive(Debug, Args)]
struct TokenFlags {
    /// The file of tokens
    #[arg(long, value_name = "FILE")]
    auth: PathBuf,
    /// What people call it
    #[arg(long)]
    name: String,
    /// What it allows, such as org/repo:write; may be repeated
    #[arg(long, required = true)]
    scope: Vec<String>,
}

#[derive(Debug, Args)]
struct VerifyFlags {
    /// Where objects are kept
    #[arg(long, value_name = "DIR", default_value = "acetate-cache")]
    dir: PathBuf,
}

fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    let flags = Flags::parse();
    let done = match flags.command {
        Some(Command::Token(token)) => make_token(&token),
        Some(Command::Verify(verify)) => verify_all(&verify.dir),
        None => run(&flags.serve),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(flags: &ServeFlags) -> Result<()> {
    let settings = flags.settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start")?;
    runtime.block_on(async {
        let tls = tls(&settings)?;
        let app = app(&settings).await?;
        let listen = settings.listen();
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("failed to listen on {listen}"))?;
        let address = listener.local_addr().context("failed to listen")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tokens = token_file(&settings);
        let end = ended(Reloader::new(Arc::clone(&app), tls.clone(), tokens))?;
        print(&format!("listening on {scheme}://{address}\n"))?;
        serve(app, listener, tls, end).await;
        Ok(())
    })
}

fn tls(settings: &Settings) -> Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
        return Ok(None);
    };
    let files = Files {
        certificate: certificate.clone(),
        key: key.clone(),
        client_ca: settings.tls_client_ca.clone(),
    };
    Ok(Some(Tls::open(files)?))
}

async fn app(settings: &Settings) -> Result<Arc<App>> {
    let config = Config {
        dir: settings.dir(),
        max_bytes: settings.max_size,
        marks: Marks {
            lru: settings.lru == Some(true),
            ..Marks::default()
        },
        policy: policy(settings)?,
        trust: settings.trust(),
        opaque: settings.opaque(),
        raw: settings.raw(),
        only_hosts: (settings.insecure_open == Some(true)).then(loopback_names),
        limits: settings.limits(),
        durability: settings.durability(),
    };
    let (backing, upstream) = (behind::backing(settings)?, behind::upstream(settings)?);
    let clock = Arc::new(SystemClock);
    let app = open_with(config, backing, upstream, clock).await;
    app.context("failed to open the cache")
}

fn loopback_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec()
}

fn policy(settings: &Settings) -> Result<Policy> {
    if settings.insecure_open == Some(true) {
        let listen = settings.listen();
        if !listen.ip().is_loopback() {
            bail!("--insecure-open is for loopback only, and {listen} is not: give --auth FILE");
        }
        return Ok(Policy::Open);
    }
    if let Some(file) = token_file(settings) {
        return Ok(file.read()?);
    }
    let tokens = vec![own_token(&settings.dir())?];
    let anonymous = settings.anonymous.clone().unwrap_or_default();
    Ok(Policy::Tokens { tokens, anonymous })
}

fn token_file(settings: &Settings) -> Option<TokenFile> {
    Some(TokenFile {
        path: settings.auth.clone()?,
        anonymous: settings.anonymous.clone().unwrap_or_default(),
    })
}

/// The token of a server that was given none: made once, kept in a file that only its owner reads.
fn own_token(dir: &Path) -> Result<Token> {
    std::fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    let path = dir.join("token");
    let secret = match std::fs::read_to_string(&path) {
        Ok(secret) => secret.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = random_secret()?;
            let mut file = std::fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("failed to make `{}`", path.display()))?;
            writeln!(file, "{secret}").context("failed to write the token")?;
            secret
        }
        Err(error) => return Err(error).context(format!("failed to read `{}`", path.display())),
    };
    tracing::info!(path = %path.display(), "the token is in a file");
    Ok(Token {
        name: "owner".to_owned(),
        hash: TokenHash::of(&secret),
        scopes: vec![":admin".parse().context("a scope")?],
    })
}

fn random_secret() -> Result<String> {
    let mut bytes = [0_u8; 32];
    let flags = rustix::rand::GetRandomFlags::empty();
    let n = rustix::rand::getrandom(&mut bytes, flags).context("failed to make a token")?;
    if n != bytes.len() {
        bail!("failed to make a token");
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn make_token(flags: &TokenFlags) -> Result<()> {
    let secret = random_secret()?;
    let line = format!(
        "{} {} {}\n",
        flags.name,
        TokenHash::of(&secret),
        flags.scope.join(" ")
    );
    Token::parse_all(&line).context("the token cannot be used")?;
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&flags.auth)
        .with_context(|| format!("failed to open `{}`", flags.auth.display()))?;
    file.write_all(line.as_bytes())
        .context("failed to write the token")?;
    print(&format!("{secret}\n"))
}

fn verify_all(dir: &Path) -> Result<()> {
    let disk = acetate_cache_server::storage::Disk::open(dir, None, Arc::new(SystemClock))?;
    let (sound, damaged) = disk.verify()?;
    disk.close()?;
    print(&format!("{sound} sound, {damaged} damaged and removed\n"))?;
    if damaged > 0 {
        bail!("{damaged} objects were damaged");
    }
    Ok(())
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("failed to write to standard output")
}

/// Ready when somebody wants the server to end; until then files are read again when they change or
/// at a hang-up.
fn ended(mut files: Reloader) -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).context("failed to listen to signals");
    let mut term = listen(SignalKind::terminate())?;
    let mut int = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => return,
                _ = int.recv() => return,
                _ = hangup.recv() => files.hang_up().await,
                _ = every.tick() => files.look().await,
            }
        }
    })
}
