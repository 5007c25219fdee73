use crate::cache_mounts::{self, Taking};
use crate::claims;
use crate::damage::{Damage, MAX_REPAIRS};
use crate::obstacle::Obstacle;
use crate::output::{Files, Output};
use crate::runner::StepRunner;
use crate::shared::lease::Lease;
use crate::steps::{StepError, exec, file, merge, source};
use crate::waits::Held;
use acetate_graph::{ExecOp, Mount, MountSource, Op, Vertex};
use acetate_oci::Digest;
use acetate_scheduler::JobCtx;

/// What came of trying to carry a step out.
pub(crate) enum Attempt {
    /// Its files.
    Made(Files),
    /// Somebody else has something that it needs.
    Taken(Obstacle),
}

/// What a step has to have of its inputs before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// No more than their names.
    Nothing,
    /// What is in them, and the bytes of what is copied.
    Listings,
    /// All of them, to be mounted.
    Trees,
}

impl Need {
    fn of(op: &Op) -> Self {
        match op {
            Op::Merge => Self::Nothing,
            Op::File(_) => Self::Listings,
            Op::Exec(_) | Op::Source(_) | Op::Diff => Self::Trees,
        }
    }
}

impl StepRunner {
    /// Carries a step out, again where damage was found in what it is made of.
    pub(crate) async fn carry_out(
        &self,
        vertex: &Vertex,
        digest: Digest,
        inputs: &[Output],
        held: &mut Held,
        ctx: &JobCtx,
    ) -> Result<Attempt, StepError> {
        let (mut repairs, mut need) = (0, Need::of(&vertex.op));
        loop {
            self.bring(&vertex.op, inputs, need).await?;
            let claimed = claims::claimed(inputs);
            let result = self.attempt(vertex, digest, inputs, held, ctx).await;
            if let (Need::Listings, Ok(Attempt::Made(files))) = (need, &result) {
                self.blobs.claims.note_made(&files.snapshot, claimed);
            }
            match result {
                // More was read than listings tell: what has no bytes here is fetched after all.
                Err(error) if need == Need::Listings && error.is_lost() => {
                    tracing::debug!(error = %error.words(), "a step needs more than listings");
                    need = Need::Trees;
                }
                Err(error) if error.is_damage() && repairs < MAX_REPAIRS => {
                    tracing::warn!(error = %error.words(), "a step is tried again");
                    repairs += 1;
                    let snapshots = inputs.iter().map(|input| input.files().snapshot);
                    self.blobs.repair(snapshots.collect()).await?;
                }
                result => return result,
            }
        }
    }

    /// Sees to it that what a step reads of its inputs is here.
    async fn bring(&self, op: &Op, inputs: &[Output], need: Need) -> Result<(), StepError> {
        for input in inputs {
            let snapshot = &input.files().snapshot;
            match need {
                Need::Nothing => self.blobs.check(snapshot)?,
                Need::Listings => self.blobs.ensure_listed(snapshot).await?,
                Need::Trees => self.blobs.ensure_trees(snapshot).await?,
            }
        }
        if let (Need::Listings, Op::File(op)) = (need, op) {
            let (snapshots, op, inputs) = (self.snapshots.clone(), op.clone(), inputs.to_vec());
            let find = move || file::picked(&snapshots, &op, &inputs);
            let picked = acetate_stdx::blocking(find).await;
            self.blobs.ensure_layers(picked).await?;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        vertex: &Vertex,
        digest: Digest,
        inputs: &[Output],
        held: &mut Held,
        ctx: &JobCtx,
    ) -> Result<Attempt, StepError> {
        let files = match &vertex.op {
            Op::Exec(op) => {
                let caches = match held.caches.take() {
                    Some(caches) => caches,
                    None => match cache_mounts::take(self, op, vertex, inputs).await? {
                        Taking::All(caches) => caches,
                        Taking::Busy(obstacle) => return Ok(Attempt::Taken(obstacle)),
                    },
                };
                {
                    let log = held.lease.as_ref().filter(|_| !knows_secrets(op));
                    let log = log.and_then(Lease::log);
                    let setting = exec::Setting {
                        digest,
                        caches,
                        log,
                    };
                    exec::run(self, op, vertex, inputs, setting, ctx).await?
                }
            }
            Op::File(op) => file::run(self, op, inputs).await?,
            Op::Source(_) => source::run(self, vertex, ctx).await?,
            Op::Merge => merge::run(self, inputs).await?,
            Op::Diff => return Err(StepError::internal("an op that makes no files")),
        };
        Ok(Attempt::Made(files))
    }
}

/// True for a process that is given secrets or agents: what it writes is shown here and nowhere else.
fn knows_secrets(op: &ExecOp) -> bool {
    let is_secret =
        |mount: &Mount| matches!(mount.source, MountSource::Secret(_) | MountSource::Ssh(_));
    !op.secret_env.is_empty() || op.mounts.iter().any(is_secret)
}
