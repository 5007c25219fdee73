use crate::{
    BuildError, BuildReport, BuildRequest, EventSink, Isolation, RunRequest, build, container,
    names,
};
use acetate_cache::LocalCache;
use acetate_exec::{Executor, NativeExecutor, OciExecutor, Runtime};
use acetate_graph::{BuildGraph, Op};
use acetate_image::Puller;
use acetate_net::{Limits, NetClient};
use acetate_scheduler::CancellationToken;
use acetate_snapshot::{OverlayXattrs, SnapshotOptions, Snapshots};
use acetate_stdx::clock::{Clock, SystemClock};
use acetate_store::{Object, PruneOptions, PruneReport, Store, Usage};
use std::path::Path;
use std::sync::Arc;

/// Everything that works on one state directory.
///
/// Any number of engines, in one process or in several, may work on one directory.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) snapshots: Snapshots,
    pub(crate) puller: Arc<Puller>,
    pub(crate) clock: Arc<dyn Clock>,
    search_path: String,
}

impl Engine {
    /// Opens the state directory, making it when it is missing. `search_path` is where OCI
    /// runtimes are looked for.
    pub fn open(root: &Path, search_path: &str) -> Result<Self, BuildError> {
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
        let puller = Arc::new(Puller::new(Arc::clone(&store), net));
        let search_path = search_path.to_owned();
        Ok(Self {
            store,
            snapshots,
            puller,
            clock: Arc::new(SystemClock),
            search_path,
        })
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
        build::build(self, request, sink, cancel).await
    }

    /// Runs a command in a throw-away container and returns its exit code.
    pub async fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> Result<u8, BuildError> {
        container::run(self, request, cancel).await
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
                PruneOptions::ALL
            }
        };
        Ok(self.store.prune(&options)?)
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
                let runtime =
                    Runtime::detect(&self.search_path, &dir).map_err(|tried| no_runtime(&tried))?;
                Ok(Arc::new(OciExecutor::new(runtime)))
            }
        }
    }
}

/// What a prune removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneScope {
    /// Everything that is not in use, named images too.
    All,
    /// What no named image needs.
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
