//! The mounts of a RUN.

use super::model::{Input, RunCache, RunMount, RunMountSource};
use super::resolve::Origin;
use super::triggers::Item;
use super::walk::Walk;
use super::{copy_parts, path, wanted};
use crate::ast::{Mount, MountKind, MountSharing, MountSpec};
use crate::diagnostic::Diagnostic;
use crate::request::MainContext;
use crate::span::Span;
use acetate_graph::{CacheSharing, MountAccess, SecretEnv, SecretMount};

/// What the `--mount`s of a RUN come to.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) list: Vec<RunMount>,
    pub(super) secret_env: Vec<SecretEnv>,
    /// Where the first agent is.
    pub(super) agent: Option<String>,
    n_agents: usize,
}

impl Walk<'_, '_> {
    pub(super) fn mounts(
        &mut self,
        item: &Item<'_>,
        specs: &[MountSpec],
    ) -> Result<Mounts, Diagnostic> {
        let mut mounts = Mounts::default();
        for spec in specs {
            let span = spec.raw.span;
            let mut expander = self.expander();
            let expanded = spec.resolve(|text| {
                let word = expander.word(text, span);
                word.map_err(|error| error.message)
            });
            let unset = expander.into_unset();
            let mount = expanded
                .map_err(|error| Diagnostic::error("invalid-mount", error.message).at(span))?;
            self.warn_unset(item, unset);
            self.mount(&mut mounts, &mount, span)?;
            let added = mounts.list.last().and_then(|mount| match &mount.source {
                RunMountSource::Bind(input) => Some(input),
                RunMountSource::Cache(cache) => Some(&cache.base),
                _ => None,
            });
            if let Some(input) = added {
                self.wanted.want(input, item.place(span));
            }
        }
        Ok(mounts)
    }

    fn mount(&self, mounts: &mut Mounts, mount: &Mount, span: Span) -> Result<(), Diagnostic> {
        let source = match mount.kind {
            MountKind::Secret => return self.secret(mounts, mount, span),
            MountKind::Ssh => return self.agent(mounts, mount, span),
            MountKind::Bind => RunMountSource::Bind(self.bound(mount, span)?),
            MountKind::Cache => RunMountSource::Cache(self.cache(mount)),
            MountKind::Tmpfs => RunMountSource::Tmpfs { size: mount.size },
        };
        let access = match mount.kind {
            _ if mount.read_only => MountAccess::ReadOnly,
            MountKind::Bind => MountAccess::Discard,
            _ => MountAccess::ReadWrite,
        };
        let selector = match mount.kind {
            MountKind::Tmpfs => String::new(),
            _ => selector(mount.source.as_deref()),
        };
        mounts.list.push(RunMount {
            target: self.target(mount.target.as_deref().unwrap_or_default(), span)?,
            selector,
            source,
            access,
        });
        Ok(())
    }

    /// Makes a target absolute; the root itself cannot be one.
    fn target(&self, target: &str, span: Span) -> Result<String, Diagnostic> {
        let target = path::join(&self.state.workdir(), target);
        if target == "/" {
            return Err(invalid(format!("invalid mount target {target:?}"), span));
        }
        Ok(target)
    }

    /// The files of a bind; only the ones that are shown are selected in a local context.
    fn bound(&self, mount: &Mount, span: Span) -> Result<Input, Diagnostic> {
        let source = path::source(mount.source.as_deref().unwrap_or_default());
        let selected = |context: &str| wanted::one(context, &path::literal(&source));
        if let Some(origin) = self.mount_origin(mount) {
            return Ok(match origin {
                Origin::Local(name) => selected(name),
                origin => self.whole(origin),
            });
        }
        match self.ctx.request.context {
            MainContext::Local => Ok(selected("")),
            MainContext::Remote => Ok(wanted::fetched("")),
            MainContext::Empty if source == "." => Ok(Input::Empty),
            MainContext::Empty => Err(copy_parts::not_found(&source, span)),
        }
    }

    fn mount_origin(&self, mount: &Mount) -> Option<&Origin> {
        let from = mount.from.as_ref().filter(|from| !from.is_empty())?;
        self.instance.mounts.get(from)
    }

    fn whole(&self, origin: &Origin) -> Input {
        match origin {
            Origin::Scratch => Input::Empty,
            Origin::Stage(instance) => Input::Stage(self.ids[*instance]),
            Origin::Image(need) => Input::Image(need.clone()),
            Origin::Local(name) => wanted::whole(name),
            Origin::Remote(name) => wanted::fetched(name),
        }
    }

    fn cache(&self, mount: &Mount) -> RunCache {
        let target = mount.target.as_deref().unwrap_or_default();
        let id = mount.id.clone().filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| path::join(&self.state.workdir(), target));
        let namespace = self.ctx.request.build_args.get("BUILDKIT_CACHE_MOUNT_NS");
        let origin = self.mount_origin(mount);
        RunCache {
            id: match namespace.filter(|namespace| !namespace.is_empty()) {
                Some(namespace) => format!("{namespace}/{id}"),
                None => id,
            },
            sharing: match mount.sharing {
                MountSharing::Shared => CacheSharing::Shared,
                MountSharing::Private => CacheSharing::Private,
                MountSharing::Locked => CacheSharing::Locked,
            },
            base: origin.map_or(Input::Empty, |origin| self.whole(origin)),
            mode: mount.mode.unwrap_or(0o755),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        }
    }

    /// A secret is a file unless it is only a variable.
    fn secret(&self, mounts: &mut Mounts, mount: &Mount, span: Span) -> Result<(), Diagnostic> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let target = given(&mount.target);
        let base = |path: &str| {
            let name = path.trim_end_matches('/').rsplit('/').next();
            name.unwrap_or_default().to_owned()
        };
        let id = given(&mount.source)
            .or_else(|| given(&mount.id))
            .or_else(|| target.as_deref().map(base));
        let Some(id) = id else {
            let message = "one of source, target required".to_owned();
            return Err(invalid(message, span).with_hint("name the secret: `id=...`"));
        };
        if let Some(name) = given(&mount.env) {
            mounts.secret_env.push(SecretEnv {
                name,
                id: id.clone(),
                required: mount.required,
            });
            if target.is_none() {
                return Ok(());
            }
        }
        let target = target.unwrap_or_else(|| format!("/run/secrets/{}", base(&id)));
        mounts.list.push(RunMount {
            target: self.target(&target, span)?,
            selector: String::new(),
            source: RunMountSource::Secret(shown(mount, id, 0o400)),
            access: MountAccess::ReadOnly,
        });
        Ok(())
    }

    fn agent(&self, mounts: &mut Mounts, mount: &Mount, span: Span) -> Result<(), Diagnostic> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let default = || format!("/run/buildkit/ssh_agent.{}", mounts.n_agents);
        let target = given(&mount.target).unwrap_or_else(default);
        let target = self.target(&target, span)?;
        mounts.n_agents += 1;
        mounts.agent.get_or_insert_with(|| target.clone());
        let id = given(&mount.id).unwrap_or_else(|| "default".to_owned());
        mounts.list.push(RunMount {
            target,
            selector: String::new(),
            source: RunMountSource::Ssh(shown(mount, id, 0o600)),
            access: MountAccess::ReadOnly,
        });
        Ok(())
    }
}

fn shown(mount: &Mount, id: String, mode: u32) -> SecretMount {
    SecretMount {
        id,
        mode: mount.mode.unwrap_or(mode),
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
        required: mount.required,
    }
}

/// A source relative to its root; empty is all of it.
fn selector(source: Option<&str>) -> String {
    match path::source(source.unwrap_or_default()) {
        whole if whole == "." => String::new(),
        part => part,
    }
}

fn invalid(message: String, span: Span) -> Diagnostic {
    Diagnostic::error("invalid-mount", message).at(span)
}
