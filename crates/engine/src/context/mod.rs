//! All that a build reads from the host and from what the user calls its contexts.

mod archive;
mod dockerfile;
mod local;
mod remote;
mod stdin;

pub(crate) use remote::{Fetched, RemoteOrigin};

use crate::engine::Engine;
use crate::progress::Progress;
use crate::secrets::Secrets;
use crate::{BuildError, BuildRequest, ContextInput, DockerfileInput};
use acetate_files::{HostModes, HostTree};
use acetate_frontend::{
    Diagnostic, MainContext, NamedContext, RemoteNeed, RemoteUrl, SourceFile, remote::keeps_git_dir,
};
use acetate_image::ImageSource;
use acetate_remote::{Access, Remotes};
use acetate_store::Store;
use local::LocalContext;
use remote::{Fetcher, RemoteContext};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All that a build reads from the host: the Dockerfile and the contexts.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// The Dockerfile.
    pub(crate) source: Arc<SourceFile>,
    /// Fetches what is not here.
    pub(crate) remotes: Remotes,
    /// The ignore file of the main context.
    pub(crate) ignore: Option<String>,
    main: Main,
    named: BTreeMap<String, Named>,
    store: Arc<Store>,
    keep_git_dir: bool,
}

#[derive(Debug)]
enum Main {
    Local(LocalContext),
    Remote(Box<Fetched>),
    Empty,
}

#[derive(Debug)]
enum Named {
    Image(String),
    Layout(ImageSource),
    Local(LocalContext),
    /// Fetched when something is taken from it.
    Remote(RemoteUrl),
}

/// A Dockerfile longer than this is some other file.
const MAX_DOCKERFILE: u64 = 16 << 20;

/// The Dockerfile, the main context, and its ignore file.
struct Opened {
    source: SourceFile,
    main: Main,
    ignore: Option<String>,
}

impl Contexts {
    /// Opens everything that the request names. What is remote is fetched only as far as the
    /// Dockerfile needs it.
    pub(crate) async fn open(
        request: &BuildRequest,
        engine: &Engine,
        progress: &Progress,
    ) -> Result<Self, BuildError> {
        let store = Arc::clone(&engine.store);
        let remotes = Remotes::new(
            Arc::clone(&store),
            engine.programs.clone(),
            access(request)?,
        );
        let keep_git_dir = keeps_git_dir(&request.build_args);
        let mut named = BTreeMap::new();
        for (name, value) in &request.build_contexts {
            let modes = request.context_modes;
            named.insert(name.clone(), Named::new(name, value, modes)?);
        }
        let fetcher = Fetcher {
            remotes: &remotes,
            store: &store,
            progress,
            keep_git_dir,
        };
        let opened = match &request.context {
            ContextInput::Directory(dir) => local(dir, request, &fetcher).await?,
            ContextInput::Stdin => stdin(&request.dockerfile, &fetcher).await?,
            ContextInput::Url(url) => remote(url, &request.dockerfile, &fetcher).await?,
        };
        Ok(Self {
            source: Arc::new(opened.source),
            remotes,
            ignore: opened.ignore,
            main: opened.main,
            named,
            store,
            keep_git_dir,
        })
    }

    /// An error in the Dockerfile.
    pub(crate) fn blame(&self, diagnostics: Vec<Diagnostic>) -> BuildError {
        BuildError::Dockerfile {
            file: Arc::clone(&self.source),
            diagnostics,
        }
    }

    /// The tree of a local context that was opened; the empty name is the main one.
    pub(crate) fn tree(&self, name: &str) -> Option<&HostTree> {
        self.directory(name)?.tree()
    }

    /// Opens the tree of a local context; none for a context of another kind.
    pub(crate) fn open_tree(&self, name: &str) -> Result<Option<&HostTree>, BuildError> {
        self.directory(name).map(LocalContext::open).transpose()
    }

    fn directory(&self, name: &str) -> Option<&LocalContext> {
        match (self.named.get(name), &self.main) {
            (Some(Named::Local(local)), _) => Some(local),
            (None, Main::Local(local)) if name.is_empty() => Some(local),
            _ => None,
        }
    }

    /// The layout that a named context stands for.
    pub(crate) fn layout(&self, name: &str) -> Option<&ImageSource> {
        match self.named.get(name) {
            Some(Named::Layout(source)) => Some(source),
            _ => None,
        }
    }

    /// Fetches something that is no image.
    pub(crate) async fn fetch(
        &self,
        need: &RemoteNeed,
        progress: &Progress,
    ) -> Result<Fetched, BuildError> {
        let fetcher = Fetcher {
            remotes: &self.remotes,
            store: &self.store,
            progress,
            keep_git_dir: self.keep_git_dir,
        };
        if let RemoteNeed::Context(name) = need {
            match (self.named.get(name), &self.main) {
                (Some(Named::Remote(url)), _) => return fetcher.named(url).await,
                (None, Main::Remote(fetched)) if name.is_empty() => return Ok((**fetched).clone()),
                _ => {}
            }
        }
        fetcher.need(need).await
    }

    /// Where the main context came from, when it is no directory of this machine.
    pub(crate) fn origin(&self) -> Option<&RemoteOrigin> {
        match &self.main {
            Main::Remote(fetched) => Some(&fetched.origin),
            Main::Local(_) | Main::Empty => None,
        }
    }

    /// The main context as the frontend sees it.
    pub(crate) fn main(&self) -> MainContext {
        match self.main {
            Main::Local(_) => MainContext::Local,
            Main::Remote(_) => MainContext::Remote,
            Main::Empty => MainContext::Empty,
        }
    }

    /// The named contexts as the frontend sees them, without any path.
    pub(crate) fn named(&self) -> BTreeMap<String, NamedContext> {
        let view = |named: &Named| match named {
            Named::Image(reference) => NamedContext::Image(reference.clone()),
            Named::Layout(_) => NamedContext::Layout,
            Named::Local(_) => NamedContext::Local,
            Named::Remote(_) => NamedContext::Remote,
        };
        self.named
            .iter()
            .map(|(name, named)| (name.clone(), view(named)))
            .collect()
    }
}

impl Named {
    fn new(name: &str, value: &str, modes: HostModes) -> Result<Self, BuildError> {
        if let Some(reference) = value.strip_prefix("docker-image://") {
            return Ok(Self::Image(reference.to_owned()));
        }
        if value.starts_with("oci-layout://") {
            let source = value.parse::<ImageSource>();
            return source
                .map(Self::Layout)
                .map_err(|error| BuildError::request(error.to_string()));
        }
        let dir = Path::new(value);
        if !dir.is_dir() {
            let parsed = RemoteUrl::parse(value).map_err(|error| {
                BuildError::request(format!("build context `{name}={value}`: {error}"))
            })?;
            if let Some(url) = parsed {
                return Ok(Self::Remote(url));
            }
            if value.contains("://") || value.starts_with("target:") {
                return Err(BuildError::request_with(
                    format!("build context `{name}={value}` is of an unknown kind"),
                    "give a directory, a URL, `oci-layout://DIR` or `docker-image://NAME`",
                ));
            }
        }
        LocalContext::new(dir, modes).map(Self::Local)
    }
}

async fn local(
    dir: &Path,
    request: &BuildRequest,
    fetcher: &Fetcher<'_>,
) -> Result<Opened, BuildError> {
    let (given, modes) = (&request.dockerfile, request.context_modes);
    local::check_dir(dir)?;
    let (source, beside) = match (dockerfile::local(dir, given)?, given) {
        (None, DockerfileInput::Url(url)) => {
            let source = dockerfile::fetch(fetcher.remotes, url, fetcher.progress).await?;
            (source, None)
        }
        (found, _) => found.ok_or_else(|| BuildError::request("there is no Dockerfile"))?,
    };
    let ignore = match beside {
        Some(beside) => Some(beside),
        None => local::IgnoreFile::read(dir.join(".dockerignore"))?,
    };
    let tree = local::open_tree(dir, ignore.as_ref())?.with_modes(modes);
    Ok(Opened {
        source,
        main: Main::Local(LocalContext::opened(tree)),
        ignore: ignore.map(|ignore| ignore.text),
    })
}

async fn stdin(given: &DockerfileInput, fetcher: &Fetcher<'_>) -> Result<Opened, BuildError> {
    let step = fetcher
        .progress
        .internal("[internal] load build context from standard input");
    let store = Arc::clone(fetcher.store);
    let spooled = acetate_stdx::blocking(move || stdin::spool(&store, io::stdin().lock())).await;
    step.end(&spooled);
    let content = match spooled? {
        stdin::Spooled::Archive(content) => content,
        stdin::Spooled::Text(text) => {
            if *given != DockerfileInput::InContext {
                return Err(BuildError::request_with(
                    "ambiguous Dockerfile source: both standard input and --file give a Dockerfile",
                    "give a directory or an archive as the context, or leave --file out",
                ));
            }
            return dockerfile_alone(&text, "standard input");
        }
    };
    let archive = fetcher.archive(content, None).await?;
    let fetched = archive.ok_or_else(|| no_context("standard input"))?;
    with_files(fetched, given, fetcher).await
}

async fn remote(
    url: &str,
    given: &DockerfileInput,
    fetcher: &Fetcher<'_>,
) -> Result<Opened, BuildError> {
    let parsed = RemoteUrl::parse_context(url);
    let parsed = parsed.map_err(|error| BuildError::request(format!("context: {error}")))?;
    let parsed = parsed.ok_or_else(|| BuildError::request("the context is no URL"))?;
    match fetcher.main(&parsed).await? {
        RemoteContext::Files(fetched) => with_files(fetched, given, fetcher).await,
        RemoteContext::Dockerfile(text) => {
            dockerfile_alone(&text, &format!("`{}`", acetate_remote::redacted(url)))
        }
    }
}

async fn with_files(
    fetched: Fetched,
    given: &DockerfileInput,
    fetcher: &Fetcher<'_>,
) -> Result<Opened, BuildError> {
    let source = dockerfile::remote(fetcher.remotes, &fetched, given, fetcher.progress).await?;
    Ok(Opened {
        source,
        main: Main::Remote(Box::new(fetched)),
        ignore: None,
    })
}

/// A Dockerfile without a context; no text has a NUL in it.
fn dockerfile_alone(text: &[u8], from: &str) -> Result<Opened, BuildError> {
    if text.contains(&0) {
        return Err(no_context(from));
    }
    Ok(Opened {
        source: SourceFile::from_bytes("Dockerfile", text),
        main: Main::Empty,
        ignore: None,
    })
}

fn no_context(from: &str) -> BuildError {
    BuildError::request_with(
        format!("{from} holds neither an archive nor a Dockerfile"),
        "send a tar, plain or compressed by gzip, bzip2, xz or zstd, or a text",
    )
}

/// The secrets that are meant for fetching, and what `--ssh default` names.
fn access(request: &BuildRequest) -> Result<Access, BuildError> {
    let secrets = Secrets::new(&request.secrets);
    let mut access = Access::default();
    for id in secrets.ids().filter(|id| Access::wants(id)) {
        let text = secrets.text(id);
        let text = text.map_err(|error| BuildError::request(crate::error::words(&error)))?;
        access
            .secrets
            .extend(text.map(|text| (id.to_owned(), text)));
    }
    let ssh = request.ssh.iter().find(|ssh| ssh.id == "default");
    access.ssh = ssh.map(|ssh| ssh.paths.clone()).unwrap_or_default();
    Ok(access)
}

fn input(action: &'static str, path: &Path, source: io::Error) -> BuildError {
    BuildError::Input {
        action,
        path: PathBuf::from(path),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_files::Tree;

    pub(super) fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    pub(super) fn names(tree: &HostTree) -> Vec<String> {
        let nodes = tree.read_dir(Path::new("")).unwrap();
        nodes
            .iter()
            .map(|node| node.name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn named_contexts_are_told_apart() {
        let dir = dir(&[]);
        let local = dir.path().to_str().unwrap();
        for (value, kind) in [
            (local, "Local"),
            ("docker-image://scratch", "Image"),
            ("oci-layout:///x", "Layout"),
            ("https://example.org/x.git#v1:sub", "Remote"),
            ("git@example.org:x", "Remote"),
            ("http://example.org/x.tar", "Remote"),
        ] {
            let named = format!("{:?}", Named::new("n", value, HostModes::Exact).unwrap());
            assert!(named.starts_with(kind), "{value}: {named}");
        }
        for value in ["target:y", "ftp://example.org/x"] {
            let error = Named::new("n", value, HostModes::Exact)
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                format!("build context `n={value}` is of an unknown kind")
            );
        }
        let missing = Named::new("n", "/no/such/dir", HostModes::Exact)
            .unwrap_err()
            .to_string();
        let words = "failed to open the context `/no/such/dir`";
        assert!(missing.starts_with(words), "{missing}");
    }
}
