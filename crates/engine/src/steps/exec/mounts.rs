//! What a step sees beside its root: mounts, and variables that hold secrets.

use crate::cache_mounts::CacheMounts;
use crate::output::Output;
use crate::secrets::{SecretError, Secrets};
use crate::ssh::{Proxy, SshAgents};
use crate::steps::StepError;
use acetate_exec::{MountKind, SCRIPTS, StepMount};
use acetate_graph::{ExecOp, Mount, MountAccess, MountSource, SecretMount};
use acetate_snapshot::{ActiveSnapshot, RootMount, Snapshot, Snapshots};
use acetate_stdx::Redacted;
use acetate_store::{ScratchDir, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where mounts of a step come from.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) store: Arc<Store>,
    pub(super) snapshots: Snapshots,
    pub(super) secrets: Arc<Secrets>,
    pub(super) ssh: Arc<SshAgents>,
    pub(super) caches: CacheMounts,
    pub(super) inputs: Vec<Output>,
}

/// All mounts of a step, ready to be mounted. Dropping it throws away what was written into them,
/// and lets others have the cache directories.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) list: Vec<StepMount>,
    pub(super) secret_env: Vec<(String, Redacted<String>)>,
    /// To be served while the step runs.
    pub(super) proxies: Vec<Proxy>,
    /// Inputs that are only read: one root serves all mounts of one.
    read_only: BTreeMap<u32, RootMount>,
    kept: Kept,
}

/// What has to stay as long as the step runs.
#[derive(Debug, Default)]
struct Kept {
    roots: Vec<ActiveSnapshot>,
    sockets: Option<ScratchDir>,
    caches: CacheMounts,
}

impl Mounts {
    /// Prepares them in their order; what is optional and absent is left out (S115). Blocks.
    pub(super) fn prepare(op: &ExecOp, sources: Sources) -> Result<Self, StepError> {
        let mut mounts = Self::default();
        for secret in &op.secret_env {
            match sources.secrets.text(&secret.id)? {
                Some(value) => mounts.secret_env.push((secret.name.clone(), value)),
                None if secret.required => return Err(not_found(&secret.id)),
                // The variable is there in any case, as with BuildKit.
                None => mounts
                    .secret_env
                    .push((secret.name.clone(), Redacted::new(String::new()))),
            }
        }
        for (index, mount) in op.mounts.iter().enumerate() {
            if mount.target == "/" || mount.target == SCRIPTS {
                continue;
            }
            if let Some(source) = mounts.source(index, mount, &sources)? {
                mounts.list.push(StepMount {
                    target: mount.target.clone(),
                    source,
                    read_only: mount.access == MountAccess::ReadOnly,
                });
            }
        }
        mounts.kept.caches = sources.caches;
        Ok(mounts)
    }

    fn source(
        &mut self,
        index: usize,
        mount: &Mount,
        sources: &Sources,
    ) -> Result<Option<MountKind>, StepError> {
        Ok(Some(match &mount.source {
            MountSource::Input(input) => MountKind::Snapshot {
                root: self.input(*input, mount.access, sources)?,
                path: mount.selector.clone(),
            },
            MountSource::Scratch => MountKind::Snapshot {
                root: self.root(&Snapshot::scratch(), sources)?,
                path: mount.selector.clone(),
            },
            MountSource::Cache(_) => {
                let dir = sources.caches.dir(index);
                MountKind::Directory {
                    dir: dir
                        .ok_or_else(|| StepError::internal("a cache mount without a directory"))?,
                    path: mount.selector.clone(),
                }
            }
            MountSource::Tmpfs { size } => MountKind::Tmpfs { size: *size },
            MountSource::Secret(secret) => return secret_file(secret, &sources.secrets),
            MountSource::Ssh(socket) => return self.socket(index, socket, sources),
        }))
    }

    /// An input that is written gets a root of its own for each mount: nobody else sees what is
    /// written, and all of it is thrown away.
    fn input(
        &mut self,
        input: u32,
        access: MountAccess,
        sources: &Sources,
    ) -> Result<RootMount, StepError> {
        if let (MountAccess::ReadOnly, Some(root)) = (access, self.read_only.get(&input)) {
            return Ok(root.clone());
        }
        let files = sources.inputs.get(input as usize).map(Output::files);
        let files = files.ok_or_else(|| StepError::internal("a mount of no input"))?;
        let root = self.root(&files.snapshot, sources)?;
        if access == MountAccess::ReadOnly {
            self.read_only.insert(input, root.clone());
        }
        Ok(root)
    }

    fn root(&mut self, snapshot: &Snapshot, sources: &Sources) -> Result<RootMount, StepError> {
        let active = sources.snapshots.prepare(snapshot)?;
        let root = active.root().clone();
        self.kept.roots.push(active);
        Ok(root)
    }

    fn socket(
        &mut self,
        index: usize,
        socket: &SecretMount,
        sources: &Sources,
    ) -> Result<Option<MountKind>, StepError> {
        if let Some(missing) = sources.ssh.missing(&socket.id) {
            return if socket.required {
                Err(missing.into())
            } else {
                Ok(None)
            };
        }
        let dir = match &mut self.kept.sockets {
            Some(dir) => dir,
            empty => empty.insert(sources.store.scratch()?),
        };
        let name = index.to_string();
        let proxy = sources.ssh.listen(&socket.id, dir.path(), &name)?;
        let path = proxy.path().to_owned();
        self.proxies.push(proxy);
        Ok(Some(MountKind::Socket {
            path,
            mode: socket.mode,
            uid: socket.uid,
            gid: socket.gid,
        }))
    }
}

fn secret_file(mount: &SecretMount, secrets: &Secrets) -> Result<Option<MountKind>, StepError> {
    match secrets.get(&mount.id)? {
        Some(bytes) => Ok(Some(MountKind::File {
            bytes,
            mode: mount.mode,
            uid: mount.uid,
            gid: mount.gid,
        })),
        None if mount.required => Err(not_found(&mount.id)),
        None => Ok(None),
    }
}

fn not_found(id: &str) -> StepError {
    SecretError::NotFound(id.to_owned()).into()
}
