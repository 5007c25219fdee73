//! The `acetate-cache-server` program: flags, tokens, signals.

use acetate_cache_api::Namespace;
use acetate_cache_server::auth::{Policy, Scope, Token, TokenHash};
use acetate_cache_server::gc::Marks;
use acetate_cache_server::{App, Config, open, serve};
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
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where objects are kept
    #[arg(long, value_name = "DIR", default_value = "acetate-cache")]
    dir: PathBuf,

    /// A file of tokens, one a line: NAME sha256:HASH SCOPE...; without it one token is made in DIR
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,

    /// What requests without a token may do, such as public:read; may be repeated
    #[arg(long, value_name = "SCOPE")]
    anonymous: Vec<Scope>,

    /// Ask for no token at all; only on loopback
    #[arg(long, conflicts_with = "auth")]
    insecure_open: bool,

    /// Bytes that all objects may use together, such as 200GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// A namespace whose records are opaque bytes, as ccache and sccache keep them; may be repeated
    #[arg(long, value_name = "NAMESPACE", default_value = "ccache")]
    opaque: Vec<Namespace>,

    /// Remove the longest unused first, whatever it saves
    #[arg(long)]
    lru: bool,
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start")?;
    runtime.block_on(async {
        let app = app(flags)?;
        let listener = TcpListener::bind(flags.listen)
            .await
            .with_context(|| format!("failed to listen on {}", flags.listen))?;
        let address = listener.local_addr().context("failed to listen")?;
        print(&format!("listening on http://{address}\n"))?;
        serve(app, listener, ended()).await;
        Ok(())
    })
}

fn app(flags: &ServeFlags) -> Result<Arc<App>> {
    let config = Config {
        dir: flags.dir.clone(),
        max_bytes: flags.max_size,
        marks: Marks {
            lru: flags.lru,
            ..Marks::default()
        },
        policy: policy(flags)?,
        opaque: flags.opaque.clone(),
        only_hosts: flags.insecure_open.then(loopback_names),
    };
    let clock = Arc::new(SystemClock);
    open(config, clock).context("failed to open the cache")
}

fn loopback_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec()
}

fn policy(flags: &ServeFlags) -> Result<Policy> {
    if flags.insecure_open {
        if !flags.listen.ip().is_loopback() {
            bail!(
                "--insecure-open is for loopback only, and {} is not: give --auth FILE",
                flags.listen
            );
        }
        return Ok(Policy::Open);
    }
    let tokens = match &flags.auth {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("failed to read `{}`", path.display()))?;
            Token::parse_all(&text).with_context(|| path.display().to_string())?
        }
        None => vec![own_token(&flags.dir)?],
    };
    Ok(Policy::Tokens {
        tokens,
        anonymous: flags.anonymous.clone(),
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

/// Ready when somebody wants the server to end.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// `512`, `20M`, `1.5GiB`: powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => {
            return Err(format!(
                "`{text}` is no size: expected a number and K, M, G or T"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no size"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("`{text}` is too large"))
}
