//! Which directories the cache mounts of a step show, and waiting for those that others use.

use crate::obstacle::Obstacle;
use crate::output::Output;
use crate::runner::StepRunner;
use crate::shared::MountsIn;
use crate::steps::StepError;
use acetate_exec::ExecError;
use acetate_files::{
    Attributes, CopyInput, Selection, SelectionOptions, Staging, Tree, ViewTree, copy,
};
use acetate_graph::{
    Archives, CacheMount, CacheSharing, CopyAction, CopyOwner, CopySource, ExecOp, MountSource,
    Vertex,
};
use acetate_oci::{Digest, Timestamp};
use acetate_snapshot::{Snapshot, Snapshots};
use acetate_store::{CacheClaim, CacheFound, CacheHold, CacheMountName, CachePlace, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// However many steps of a build wait, it looks less than a thousand times a second.
const BETWEEN_TURNS: Duration = Duration::from_millis(1);

/// The cache directories that one build began anew, since it uses no caches (S69).
#[derive(Debug, Default)]
pub(crate) struct Renewed(Mutex<BTreeSet<Digest>>);

/// The directories of one step, in use while this lives.
#[derive(Debug, Default)]
pub(crate) struct CacheMounts {
    holds: Vec<CacheHold>,
    /// Which of them each mount shows, by the mount's index.
    mounts: BTreeMap<usize, usize>,
}

impl CacheMounts {
    /// The directory that a mount shows.
    pub(crate) fn dir(&self, mount: usize) -> Option<PathBuf> {
        let hold = self.holds.get(*self.mounts.get(&mount)?)?;
        Some(hold.path().to_owned())
    }
}

/// What came of taking the directories of a step without waiting.
pub(crate) enum Taking {
    /// It has all of them.
    All(CacheMounts),
    /// It has none, since others use one, or since caches may have what one begins with.
    Busy(Obstacle),
}

/// Takes all directories that a step needs, or none: never holding some of them while it waits, no
/// two steps wait for each other.
pub(crate) async fn take(
    runner: &StepRunner,
    op: &ExecOp,
    vertex: &Vertex,
    inputs: &[Output],
) -> Result<Taking, StepError> {
    let is_cache = |source: &MountSource| matches!(source, MountSource::Cache(_));
    if !op.mounts.iter().any(|mount| is_cache(&mount.source)) {
        return Ok(Taking::All(CacheMounts::default()));
    }
    let taker = Taker {
        store: Arc::clone(&runner.store),
        snapshots: runner.snapshots.clone(),
        incoming: MountsIn::of(runner),
        now: runner.now,
    };
    let (op, vertex, inputs) = (op.clone(), vertex.clone(), inputs.to_vec());
    let (renewed, used) = (Arc::clone(&runner.renewed), Arc::clone(&runner.used_mounts));
    acetate_stdx::blocking(move || {
        let wanted = taker.wanted(&op, &vertex, &inputs)?;
        for (identity, wanted) in &wanted {
            used.note(*identity, &wanted.id);
        }
        let why = if vertex.meta.no_cache {
            taker.renew(&wanted, &renewed)?;
            None
        } else {
            taker.vacant(&wanted)?.map(Unready::Elsewhere)
        };
        let why = match why {
            Some(why) => why,
            None => match taker.try_take(&wanted)? {
                Ok(mounts) => return Ok(Taking::All(mounts)),
                Err(InUse(id)) => Unready::InUse(id),
            },
        };
        let request = CacheRequest(Arc::new((taker, wanted)));
        Ok(Taking::Busy(Obstacle::CacheMounts { request, why }))
    })
    .await
}

/// Why a step cannot have its directories at once.
#[derive(Debug)]
pub(crate) enum Unready {
    /// Others use the directory of this id.
    InUse(String),
    /// The directory of this id may begin with what a cache has.
    Elsewhere(String),
}

/// All directories that a step wants, to be taken together.
#[derive(Debug, Clone)]
pub(crate) struct CacheRequest(Arc<(Taker, AllWanted)>);

impl CacheRequest {
    /// Lets those begin that caches may have, waits until all of them can be had, and takes them.
    /// Who waits in the same build looks in turn, so that hundreds of steps do not cost a processor.
    pub(crate) async fn take(&self, turns: &Turns) -> Result<CacheMounts, StepError> {
        self.begin().await?;
        let mut pause = FIRST_PAUSE;
        loop {
            let turn = turns.0.lock().await;
            let request = Arc::clone(&self.0);
            let taken = acetate_stdx::blocking(move || request.0.try_take(&request.1)).await?;
            if let Ok(mounts) = taken {
                return Ok(mounts);
            }
            tokio::time::sleep(BETWEEN_TURNS).await;
            drop(turn);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One after the other, holding nothing of the ones before.
    async fn begin(&self) -> Result<(), StepError> {
        let (taker, wanted) = &*self.0;
        for (identity, one) in wanted {
            let filled = taker.incoming.fill(identity, &one.name()).await?;
            if let Some(vacancy) = filled {
                let (request, identity) = (Arc::clone(&self.0), *identity);
                let make = move || match request.1.get(&identity) {
                    Some(wanted) => request.0.make(vacancy.place(), wanted),
                    None => Ok(()),
                };
                acetate_stdx::blocking(make).await?;
            }
        }
        Ok(())
    }
}

/// Whose turn it is to look whether directories are free, first come, first served.
#[derive(Debug, Default)]
pub(crate) struct Turns(tokio::sync::Mutex<()>);

/// The id of a cache mount that others use.
struct InUse(String);

/// What a step wants of one identity.
#[derive(Debug)]
struct Wanted {
    /// The name that the Dockerfile gives it.
    id: String,
    /// What a new directory begins with.
    begins: String,
    claim: CacheClaim,
    cache: CacheMount,
    base: Option<Snapshot>,
    /// The indices of the mounts that show it.
    mounts: Vec<usize>,
}

impl Wanted {
    fn name(&self) -> CacheMountName {
        CacheMountName {
            id: self.id.clone(),
            begins: self.begins.clone(),
        }
    }
}

/// By identity: the order in which directories are taken, by everybody.
type AllWanted = BTreeMap<Digest, Wanted>;

#[derive(Debug)]
struct Taker {
    store: Arc<Store>,
    snapshots: Snapshots,
    incoming: MountsIn,
    now: Timestamp,
}

impl Taker {
    /// Mounts of one identity within a step show one directory, used as the strictest of them asks.
    fn wanted(
        &self,
        op: &ExecOp,
        vertex: &Vertex,
        inputs: &[Output],
    ) -> Result<AllWanted, StepError> {
        let mut all = AllWanted::new();
        for (index, mount) in op.mounts.iter().enumerate() {
            let MountSource::Cache(cache) = &mount.source else {
                continue;
            };
            let caches = &vertex.meta.caches;
            let directory = caches.iter().find(|cache| cache.mount as usize == index);
            let directory =
                directory.ok_or_else(|| StepError::internal("a cache mount without a name"))?;
            let base = match cache.base {
                None => None,
                Some(n) => {
                    let input = inputs.get(n as usize).map(Output::files);
                    let input =
                        input.ok_or_else(|| StepError::internal("a cache mount on no input"))?;
                    Some(input.snapshot)
                }
            };
            let begins = self.begins(cache, base.as_ref())?;
            let identity = identity(&directory.id, &begins);
            let claim = claim(directory.sharing);
            let wanted = all.entry(identity).or_insert_with(|| Wanted {
                id: directory.id.clone(),
                begins,
                claim,
                cache: cache.clone(),
                base,
                mounts: Vec::new(),
            });
            wanted.claim = wanted.claim.max(claim);
            wanted.mounts.push(index);
        }
        Ok(all)
    }

    /// What a new directory begins with.
    fn begins(&self, cache: &CacheMount, base: Option<&Snapshot>) -> Result<String, StepError> {
        let Some(base) = base else {
            let CacheMount { mode, uid, gid, .. } = cache;
            return Ok(begins_empty(*mode, *uid, *gid));
        };
        let tree = ViewTree::new(self.snapshots.view(base)?);
        let all = [".".to_owned()];
        let options = SelectionOptions {
            sources: &all,
            ..SelectionOptions::default()
        };
        let mut selection = Selection::find(&tree, &options)?;
        selection.read(&tree)?;
        let digest = selection.digest(Attributes {
            owner: true,
            mode: true,
        });
        Ok(format!("base {digest}"))
    }

    /// The id of a directory that is to begin with what a cache has.
    fn vacant(&self, wanted: &AllWanted) -> Result<Option<String>, StepError> {
        for (identity, wanted) in wanted {
            if self.incoming.vacancy(identity)?.is_some() {
                return Ok(Some(wanted.id.clone()));
            }
        }
        Ok(None)
    }

    /// Begins every directory anew that this build has not yet begun.
    fn renew(&self, wanted: &AllWanted, renewed: &Renewed) -> Result<(), StepError> {
        let mut done = renewed.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (identity, wanted) in wanted {
            if !done.contains(identity) {
                let place = self.store.cache_mounts().successor(identity)?;
                self.make(place, wanted)?;
                done.insert(*identity);
            }
        }
        Ok(())
    }

    /// Takes all of them, or none when one has to be waited for.
    fn try_take(&self, wanted: &AllWanted) -> Result<Result<CacheMounts, InUse>, StepError> {
        let mut taken = CacheMounts::default();
        for (identity, wanted) in wanted {
            let hold = loop {
                match self.store.cache_mounts().claim(identity, wanted.claim)? {
                    CacheFound::Held(hold) => break hold,
                    CacheFound::Busy => return Ok(Err(InUse(wanted.id.clone()))),
                    CacheFound::Missing(place) => self.make(place, wanted)?,
                }
            };
            for mount in &wanted.mounts {
                taken.mounts.insert(*mount, taken.holds.len());
            }
            taken.holds.push(hold);
        }
        Ok(Ok(taken))
    }

    /// Makes a directory with all that it begins with.
    fn make(&self, place: CachePlace, wanted: &Wanted) -> Result<(), StepError> {
        let new = self.store.cache_mounts().create(place)?;
        new.describe(&wanted.name())?;
        let path = new.path();
        let CacheMount { mode, uid, gid, .. } = wanted.cache;
        let (mode, uid, gid) = match &wanted.base {
            None => (mode, uid, gid),
            Some(base) => self.fill(&path, base)?,
        };
        set_owner(&path, uid, gid)?;
        // The mode comes last: a change of the owner takes bits away.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o7777))
            .map_err(StepError::os("set the mode of", &path))?;
        Ok(new.publish()?)
    }

    /// Copies a whole snapshot, and returns the mode, owner and group of its root.
    fn fill(&self, path: &Path, base: &Snapshot) -> Result<(u32, u32, u32), StepError> {
        let empty = ViewTree::new(self.snapshots.view(&Snapshot::scratch())?);
        let tree = ViewTree::new(self.snapshots.view(base)?);
        let mut staging = Staging::new(&empty, path, self.now)?;
        let everything = CopyAction {
            input: 0,
            sources: vec![CopySource::Path(".".to_owned())],
            dest: "/".to_owned(),
            owner: CopyOwner::Keep,
            mode: None,
            archives: Archives::Copy,
            parents: false,
            excludes: Vec::new(),
        };
        let input = CopyInput {
            tree: &tree,
            pinned: None,
        };
        copy(&mut staging, &everything, input)?;
        staging.finish()?;
        let root = tree.lookup(Path::new(""))?;
        Ok(root.map_or((0o755, 0, 0), |root| (root.mode, root.uid, root.gid)))
    }
}

/// What an empty directory of these attributes is called to begin with.
pub(crate) fn begins_empty(mode: u32, uid: u32, gid: u32) -> String {
    format!("empty {mode} {uid} {gid}")
}

/// What makes two cache mounts the same: the name, and what a new directory begins with.
pub(crate) fn identity(id: &str, begins: &str) -> Digest {
    Digest::of(format!("acetate/cache-mount/v1\n{}\n{id}\n{begins}", id.len()).as_bytes())
}

fn claim(sharing: CacheSharing) -> CacheClaim {
    match sharing {
        CacheSharing::Shared => CacheClaim::Shared,
        CacheSharing::Private => CacheClaim::Private,
        CacheSharing::Locked => CacheClaim::Locked,
    }
}

fn set_owner(path: &Path, uid: u32, gid: u32) -> Result<(), StepError> {
    let (users, groups) = acetate_exec::id_maps();
    for (kind, map, id) in [("user", &users, uid), ("group", &groups, gid)] {
        if !map.contains(id) {
            return Err(ExecError::UnmappedId { kind, id }.into());
        }
    }
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .map_err(StepError::os("set the owner of", path))
}
