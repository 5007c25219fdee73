use crate::cache_mounts::{self, Taking};
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
        let mut repairs = 0;
        loop {
            if vertex.op != Op::Merge {
                for input in inputs {
                    self.blobs.ensure_usable(&input.files().snapshot).await?;
                }
            }
            let result = self.attempt(vertex, digest, inputs, held, ctx).await;
            match result {
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
