//! `run`: a throw-away container on an image.

use crate::blobs::{Blobs, FetchError};
use crate::engine::Engine;
use crate::pulls::Pulls;
use crate::steps::{StepError, exec};
use crate::{BuildError, Isolation, images, names};
use acetate_exec::{CancelToken, ExecError, ExecOutcome, ExecRequest, Executor, Stdio, UserIds};
use acetate_graph::NetworkMode;
use acetate_image::ImageSource;
use acetate_oci::{ImageConfig, Platform, Reference};
use acetate_scheduler::CancellationToken;
use acetate_snapshot::{Snapshot, Snapshots};
use acetate_store::Object;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// A name given to a build, `oci-layout://DIR[:TAG]`, or the path of a layout.
    pub image: String,
    /// The command; empty is the image's own.
    pub command: Vec<String>,
    /// The network.
    pub network: NetworkMode,
    /// What runs it.
    pub isolation: Isolation,
}

pub(crate) async fn run(
    engine: &Engine,
    request: RunRequest,
    cancel: CancellationToken,
) -> Result<u8, BuildError> {
    let (snapshot, config) = find(engine, &request.image).await?;
    let argv = argv(&config, &request)?;
    let executor = engine.executor_for(request.isolation)?;
    let token = CancelToken::new().map_err(|error| BuildError::Exec(ExecError::Spawn(error)))?;
    let watch = async {
        cancel.cancelled().await;
        token.cancel();
        std::future::pending::<()>().await;
    };
    let container = Container {
        snapshots: engine.snapshots.clone(),
        snapshot,
        config,
        argv,
        network: request.network,
        root_dir: engine.store.root().to_owned(),
        executor,
        token: token.clone(),
    };
    let outcome = tokio::select! {
        outcome = acetate_stdx::blocking(move || container.run()) => outcome?,
        () = watch => return Err(BuildError::Cancelled),
    };
    Ok(u8::try_from(outcome.status.code()).unwrap_or(u8::MAX))
}

/// Finds an image: a name in the store first, then a layout.
async fn find(engine: &Engine, image: &str) -> Result<(Snapshot, ImageConfig), BuildError> {
    let is_path = image.contains("://") || Path::new(image).join("index.json").exists();
    if !is_path && let Ok(name) = image.parse::<Reference>() {
        if let Some(found) = find_named(engine, &name)? {
            return Ok(found);
        }
        return Err(BuildError::request_with(
            format!("no image is named `{}`", name.familiar()),
            "build one with -t, or name a layout as oci-layout://DIR",
        ));
    }
    let source = if image.contains("://") {
        image
            .parse()
            .map_err(|error: acetate_image::SourceError| BuildError::request(error.to_string()))?
    } else {
        ImageSource::layout(image)
    };
    let resolved = Arc::new(engine.puller.resolve(&source, &Platform::host()).await?);
    let snapshot = engine.snapshots.from_blobs(&images::layers_of(&resolved))?;
    let (store, puller) = (Arc::clone(&engine.store), Arc::clone(&engine.puller));
    let blobs = Blobs::new(store, engine.snapshots.clone(), puller, Pulls::default());
    blobs.offer(&resolved);
    blobs.ensure_usable(&snapshot).await.map_err(fetch_error)?;
    Ok((snapshot, resolved.config.clone()))
}

fn find_named(
    engine: &Engine,
    name: &Reference,
) -> Result<Option<(Snapshot, ImageConfig)>, BuildError> {
    let Some(named) = names::find(&engine.store, name)? else {
        return Ok(None);
    };
    let host = Platform::host();
    let image = named
        .images
        .iter()
        .find(|image| image.platform.satisfies(&host));
    let image = image.ok_or_else(|| {
        BuildError::request(format!("image `{}` is not for {host}", name.familiar()))
    })?;
    let pins: Vec<Object> = image.layers.iter().copied().map(Object::Layer).collect();
    engine.store.live().pin(&pins)?;
    let config = names::config(&engine.store, image)?;
    let snapshot = engine.snapshots.from_layers(&image.layers)?;
    let snapshot = snapshot.ok_or_else(|| {
        BuildError::request_with(
            format!("layers of image `{}` are gone", name.familiar()),
            "build it again",
        )
    })?;
    Ok(Some((snapshot, config)))
}

fn argv(config: &ImageConfig, request: &RunRequest) -> Result<Vec<String>, BuildError> {
    let mut argv = config.config.entrypoint.clone().unwrap_or_default();
    if request.command.is_empty() {
        argv.extend(config.config.cmd.iter().flatten().cloned());
    } else {
        argv.extend(request.command.iter().cloned());
    }
    if argv.is_empty() {
        return Err(BuildError::request_with(
            "the image has no command",
            "give one after its name",
        ));
    }
    Ok(argv)
}

fn fetch_error(error: FetchError) -> BuildError {
    match error {
        FetchError::Image(error) => error.into(),
        FetchError::Store(error) => error.into(),
        FetchError::Snapshot(error) => error.into(),
        error @ FetchError::Write(_) => BuildError::request(crate::error::words(&error)),
        FetchError::Lost(id) => BuildError::request(format!("layer `{id}` is gone")),
    }
}

struct Container {
    snapshots: Snapshots,
    snapshot: Snapshot,
    config: ImageConfig,
    argv: Vec<String>,
    network: NetworkMode,
    root_dir: PathBuf,
    executor: Arc<dyn Executor>,
    token: CancelToken,
}

impl Container {
    /// Runs it; the writable layer is dropped with the active snapshot.
    fn run(self) -> Result<ExecOutcome, BuildError> {
        let active = self.snapshots.prepare(&self.snapshot)?;
        let config = &self.config.config;
        let account = exec::account(&self.snapshots, &self.snapshot, &config.user);
        let account = account.map_err(|error| match error {
            StepError::Files(error) => BuildError::Files(error),
            StepError::Snapshot(error) => BuildError::Snapshot(error),
            error => BuildError::request(error.to_string()),
        })?;
        let mut request = ExecRequest::new(active.root().clone(), self.argv);
        request.env = exec::environment(&config.env, &[], account.home.as_deref());
        if !request.env.iter().any(|line| line.starts_with("PATH=")) {
            request
                .env
                .push(format!("PATH={}", acetate_exec::DEFAULT_PATH));
        }
        if !config.working_dir.is_empty() {
            request.cwd.clone_from(&config.working_dir);
        }
        request.user = UserIds {
            uid: account.owner.uid,
            gid: account.owner.gid,
            groups: account.groups,
        };
        request.network = exec::network(self.network);
        request.stdio = Stdio::Inherit;
        request.mount_points = exec::mount_points(&self.root_dir);
        let mut log = |_: acetate_exec::Stream, _: &[u8]| {};
        Ok(self.executor.run(&request, &mut log, &self.token)?)
    }
}
