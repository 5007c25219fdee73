//! RUN steps to vertices.

use super::inputs::context_name;
use super::steps::{Lowering, meta};
use crate::diagnostic::Diagnostic;
use crate::pins::SelectionSpec;
use crate::plan::{Input, RunMount, RunMountSource, RunStep, Script, Step};
use acetate_graph::{
    CacheDirectory, CacheMount, Edge, ExecOp, FileAction, MkfileAction, Mount, MountAccess,
    MountSource, Op, Origin, VertexId, VertexMeta,
};
use acetate_oci::{Platform, Timestamp};

/// Where the files of a local context stand in the tree that is mounted.
const MOUNTED: &str = "m";

/// The mounts of a process and what they are made of.
#[derive(Debug, Default)]
struct Mounts {
    inputs: Vec<Edge>,
    list: Vec<Mount>,
    caches: Vec<CacheDirectory>,
}

impl Mounts {
    /// The number of an input, which is one input however often it is mounted.
    fn input(&mut self, edge: Edge) -> u32 {
        let found = self.inputs.iter().position(|input| *input == edge);
        let idx = found.unwrap_or_else(|| {
            self.inputs.push(edge);
            self.inputs.len() - 1
        });
        u32::try_from(idx).unwrap_or(u32::MAX)
    }

    fn source(&mut self, edge: Option<Edge>) -> MountSource {
        edge.map_or(MountSource::Scratch, |edge| {
            MountSource::Input(self.input(edge))
        })
    }

    fn push(&mut self, target: &str, source: MountSource, selector: &str, access: MountAccess) {
        self.list.push(Mount {
            target: target.to_owned(),
            source,
            selector: selector.to_owned(),
            access,
            output: None,
        });
    }
}

impl Lowering<'_> {
    pub(super) fn run(
        &mut self,
        step: &Step,
        run: &RunStep,
        state: Option<Edge>,
        platform: &Platform,
    ) -> Result<VertexId, Diagnostic> {
        let origin = &step.label.origin;
        let mut mounts = Mounts::default();
        let root = mounts.source(state);
        mounts.push("/", root, "", MountAccess::ReadWrite);
        mounts.list[0].output = Some(0);
        if let Some(script) = &run.script {
            let script = self.script(script, origin);
            let source = mounts.source(Some(script));
            mounts.push(RunStep::SCRIPT_DIR, source, "", MountAccess::ReadOnly);
        }
        for mount in &run.mounts {
            self.mount(&mut mounts, mount, origin)?;
        }
        let op = Op::Exec(ExecOp {
            argv: run.argv.clone(),
            env: run.env.clone(),
            cwd: run.cwd.clone(),
            user: run.user.clone(),
            network: run.network,
            security: run.security,
            hostname: self.plan.hostname.clone(),
            extra_hosts: self.host_names.clone(),
            ulimits: self.plan.ulimits.clone(),
            shm_size: self.plan.shm_size,
            secret_env: run.secret_env.clone(),
            devices: run.devices.clone(),
            mounts: mounts.list,
            platform: platform.clone(),
        });
        let meta = VertexMeta {
            extra_hosts: self.plan.extra_hosts.clone(),
            proxy_env: run.proxy_env.clone(),
            caches: mounts.caches,
            resources: self.plan.resources.clone(),
            ..meta(step)
        };
        Ok(self.builder.add(op, mounts.inputs, meta))
    }

    fn mount(
        &mut self,
        mounts: &mut Mounts,
        mount: &RunMount,
        origin: &Origin,
    ) -> Result<(), Diagnostic> {
        let mut selector = mount.selector.as_str();
        let source = match &mount.source {
            RunMountSource::Bind(Input::Selection(spec)) => {
                let tree = self.selected(spec, origin)?;
                selector = if is_whole(spec) { "" } else { MOUNTED };
                mounts.source(Some(tree))
            }
            RunMountSource::Bind(input) => {
                let edge = self.input(input, origin)?;
                mounts.source(edge)
            }
            RunMountSource::Cache(cache) => {
                let base = match &cache.base {
                    Input::Selection(spec) => Some(self.selected(spec, origin)?),
                    input => self.input(input, origin)?,
                };
                mounts.caches.push(CacheDirectory {
                    mount: u32::try_from(mounts.list.len()).unwrap_or(u32::MAX),
                    id: cache.id.clone(),
                    sharing: cache.sharing,
                });
                MountSource::Cache(CacheMount {
                    base: base.map(|edge| mounts.input(edge)),
                    mode: cache.mode,
                    uid: cache.uid,
                    gid: cache.gid,
                })
            }
            RunMountSource::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            RunMountSource::Secret(secret) => MountSource::Secret(secret.clone()),
            RunMountSource::Ssh(agent) => MountSource::Ssh(agent.clone()),
        };
        mounts.push(&mount.target, source, selector, mount.access);
        Ok(())
    }

    /// Files of a local context as a tree: all of them at its root, a single one at a fixed name, so
    /// that it is the same tree wherever the files stand in the context.
    fn selected(&mut self, spec: &SelectionSpec, origin: &Origin) -> Result<Edge, Diagnostic> {
        let dest = if is_whole(spec) { "/" } else { "/m" };
        let files = spec.sources.join(" ");
        let name = format!("[internal] mount {}: {files}", context_name(&spec.context));
        self.tree_of(spec, dest, name, origin)
    }

    /// The file that a heredoc with an interpreter becomes. Its time is fixed, so that the layer below
    /// the mount is the same wherever it is made.
    fn script(&mut self, script: &Script, origin: &Origin) -> Edge {
        let action = FileAction::Mkfile(MkfileAction {
            name: script.name.clone(),
            dest: format!("/{}", script.name),
            content: script.content.clone().into_bytes(),
            mode: Some("0755".to_owned()),
            owner: String::new(),
            mtime: Some(Timestamp::new(0, 0)),
        });
        let meta = VertexMeta {
            name: "[internal] preparing inline document".to_owned(),
            origin: Some(origin.clone()),
            ..VertexMeta::default()
        };
        Edge::first(self.file(None, Vec::new(), vec![action], meta))
    }
}

fn is_whole(spec: &SelectionSpec) -> bool {
    spec.sources.iter().all(|source| source == ".")
}
