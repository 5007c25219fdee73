use crate::blobs::Blobs;
use crate::pulls::Pulls;
use crate::shared::MOUNT_FACT;
use crate::{
    BuildError, BuildReport, BuildRequest, CallKind, CallReport, EventSink, ExplainReport,
    Isolation, RunRequest, VerifyReport, build, call, container, explain, names, verify,
};
use acetate_cache::LocalCache;
use acetate_cache::story::LocalStories;
use acetate_exec::{Executor, NativeExecutor, OciExecutor, Runtime};
use acetate_graph::{BuildGraph, Op};
use acetate_image::Puller;
use acetate_net::{Limits, NetClient};
use acetate_registry::{Access, Environment, Registries, RegistryError};
use acetate_remote::Programs;
use acetate_scheduler::CancellationToken;
use acetate_snapshot::{OverlayXattrs, SnapshotOptions, Snapshots};
use acetate_stdx::clock::{Clock, SystemClock};
use acetate_store::{CacheMountRule, Object, PruneOptions, PruneReport, Store, Usage};
use std::path::Path;
use std::sync::Arc;

/// Kinds of facts that an ordinary prune leaves: else nobody could say what was here, nor whether a
/// cache mount, which it leaves too, is as it was shared.
const SPARED: [&str; 5] = {
    let [first, second, third, fourth] = LocalStories::KINDS;
    [first, second, third, fourth, MOUNT_FACT]
};

/// Everything that works on one state directory.
///
/// Any number of engines, in one process or in several, may work on one directory.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) snapshots: Snapshots,
    pub(crate) puller: Arc<Puller>,
    pub(crate) registries: Arc<Registries>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How other programs are found, and what they are told of the environment.
    pub(crate) programs: Programs,
    /// Where the engines of other programs are.
    pub(crate) daemons: crate::DaemonEnvironment,
}

impl Engine {
    /// Opens the state directory, making it when it is missing. `search_path` is where OCI
    /// runtimes are looked for.
    pub fn open(root: &Path, search_path: &str) -> Result<Self, BuildError> {
        acetate_stdx::offload::prepare_pool();
        let store = Store::open(root)?;
        let overlay = if acetate_exec::id_maps().0.is_identity() {
            OverlayXattrs::Trusted
        } else {
            OverlayXattrs::User
        };
        let options = SnapshotOptions {
            overlay,
            ..SnapshotOptions::default()
        };
        let snapshots = Snapshots::with_options(Arc::clone(&store), options);
        let net = NetClient::new(Limits::default());
        let registries = Arc::new(Registries::new(net, Access::anonymous()));
        let puller = Arc::new(Puller::new(Arc::clone(&store), Arc::clone(&registries)));
        let programs = Programs {
            search_path: search_path.to_owned(),
            environment: Vec::new(),
        };
        Ok(Self {
            store,
            snapshots,
            puller,
            registries,
            clock: Arc::new(SystemClock),
            programs,
            daemons: crate::DaemonEnvironment::default(),
        })
    }

    /// Gives the programs that fetch repositories variables of the environment: those that name
    /// proxies and certificates. They see no others.
    pub fn with_environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.programs.environment = variables;
        self
    }

    /// Is let into registries by the files that the environment leads to; without this, as nobody.
    ///
    /// # Errors
    /// A file of settings that is there and cannot be used.
    pub fn with_registries(mut self, environment: &Environment) -> Result<Self, BuildError> {
        let access = Access::standard(environment).map_err(RegistryError::from)?;
        let registries = Registries::new(NetClient::new(Limits::default()), access);
        self.registries = Arc::new(registries);
        self.puller = Arc::new(Puller::new(
            Arc::clone(&self.store),
            Arc::clone(&self.registries),
        ));
        Ok(self)
    }

    /// Builds what the request asks for.
    ///
    /// # Errors
    /// The first thing that went wrong; everything that ran has ended then.
    pub async fn build(
        &self,
        request: BuildRequest,
        sink: Arc<dyn EventSink>,
        cancel: CancellationToken,
    ) -> Result<BuildReport, BuildError> {
        Box::pin(build::build(self, request, sink, cancel)).await
    }

    /// Answers a question about what the request would build, without building it.
    ///
    /// # Errors
    /// What cannot be read. What the checks find wrong is part of their answer.
    pub async fn call(
        &self,
        request: BuildRequest,
        kind: CallKind,
        sink: Arc<dyn EventSink>,
        cancel: CancellationToken,
    ) -> Result<CallReport, BuildError> {
        call::call(self, request, kind, sink, cancel).await
    }

    /// Says what the request would run and why, without running it.
    ///
    /// # Errors
    /// What cannot be read, and what is wrong with the Dockerfile.
    pub async fn explain(
        &self,
        request: BuildRequest,
        sink: Arc<dyn EventSink>,
        cancel: CancellationToken,
    ) -> Result<ExplainReport, BuildError> {
        Box::pin(explain::ask(self, request, sink, cancel)).await
    }

    /// Builds twice, the second time without the cache, and compares what came of it.
    ///
    /// # Errors
    /// As [`Self::build`]. That the builds differ is no error.
    pub async fn verify(
        &self,
        request: BuildRequest,
        sink: Arc<dyn EventSink>,
        cancel: CancellationToken,
    ) -> Result<VerifyReport, BuildError> {
        verify::verify(self, request, sink, cancel).await
    }

    /// Runs a command in a throw-away container and returns its exit code.
    pub async fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> Result<u8, BuildError> {
        container::run(self, request, cancel).await
    }

    /// The time by the clock of this engine, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// Measures what the state directory holds.
    pub fn usage(&self) -> Result<Usage, BuildError> {
        Ok(self.store.usage()?)
    }

    /// Removes what is not in use: all of it, or what no named image needs.
    pub fn prune(&self, scope: PruneScope) -> Result<PruneReport, BuildError> {
        let options = match scope {
            PruneScope::All => {
                names::remove_all(&self.store)?;
                PruneOptions::ALL
            }
            PruneScope::Unnamed => {
                let objects: Vec<Object> = names::objects(&self.store)?;
                self.store.live().pin(&objects)?;
                PruneOptions {
                    cache_mounts: CacheMountRule::Keep,
                    spared: &SPARED,
                    ..PruneOptions::ALL
                }
            }
        };
        let mut report = self.store.prune(&options)?;
        // What is fetched of repositories is a copy of something that is elsewhere.
        report.temporary += acetate_remote::prune(&self.store)?;
        Ok(report)
    }

    /// Fetches blobs for one build.
    pub(crate) fn blobs(&self, pulls: Pulls) -> Arc<Blobs> {
        let (store, puller) = (Arc::clone(&self.store), Arc::clone(&self.puller));
        Arc::new(Blobs::new(store, self.snapshots.clone(), puller, pulls))
    }

    pub(crate) fn cache(&self) -> LocalCache {
        LocalCache::new(Arc::clone(&self.store))
    }

    /// What runs processes; an OCI runtime is looked for only when there is something to run.
    pub(crate) fn executor(
        &self,
        isolation: Isolation,
        graph: &BuildGraph,
    ) -> Result<Arc<dyn Executor>, BuildError> {
        let runs = graph
            .vertices()
            .iter()
            .any(|vertex| matches!(vertex.op, Op::Exec(_)));
        if !runs {
            return Ok(Arc::new(NativeExecutor));
        }
        self.executor_for(isolation)
    }

    pub(crate) fn executor_for(
        &self,
        isolation: Isolation,
    ) -> Result<Arc<dyn Executor>, BuildError> {
        match isolation {
            Isolation::Native => Ok(Arc::new(NativeExecutor)),
            Isolation::Oci => {
                let dir = self.store.root().join("tmp");
                let runtime = Runtime::detect(&self.programs.search_path, &dir)
                    .map_err(|tried| no_runtime(&tried))?;
                Ok(Arc::new(OciExecutor::new(runtime)))
            }
        }
    }
}

/// What a prune removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneScope {
    /// Everything that is not in use, named images and cache mounts too.
    All,
    /// What no named image needs; cache mounts stay.
    Unnamed,
}

fn no_runtime(tried: &[(std::path::PathBuf, acetate_exec::ExecError)]) -> BuildError {
    let reasons: Vec<String> = tried
        .iter()
        .map(|(path, error)| format!("{}: {error}", path.display()))
        .collect();
    let message = if reasons.is_empty() {
        "no OCI runtime was found in PATH".to_owned()
    } else {
        format!("no OCI runtime works here: {}", reasons.join("; "))
    };
    BuildError::request_with(
        message,
        "install crun, runc or youki, or use --isolation=native",
    )
}
