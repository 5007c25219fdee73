//! Who carries a step out: this build, or another one at the same time.

use crate::obstacle::Obstacle;
use crate::output::Output;
use crate::progress::vertex_digest;
use crate::runner::StepRunner;
use crate::shared::lease::{self, Claimed};
use crate::steps::StepError;
use crate::waits::{Held, Parked};
use acetate_cache::{Past, PastInput};
use acetate_graph::{VertexId, op_key};
use std::pin::pin;
use std::time::Duration;

/// Shorter waits are not told of: copies and other short steps would fill the log with them.
const UNTOLD: Duration = Duration::from_millis(100);

/// What came of claiming a step.
pub(crate) enum Claim {
    /// Somebody else carried it out a moment ago.
    Result(Output),
    /// It is ours to carry out; what is held keeps others from doing the same.
    Work(Held),
    /// Somebody else carries it out just now.
    Taken(Held, Obstacle),
}

impl StepRunner {
    /// Takes the lock of a vertex, or the result of whoever had it (single flight across
    /// processes). A forced vertex joins nobody.
    pub(crate) async fn claim(&self, id: VertexId, inputs: &[Output]) -> Result<Claim, StepError> {
        let mut held = self.waits.resume(id, inputs);
        if let Some(output) = held.result.take() {
            return Ok(Claim::Result(output));
        }
        if self.graph.vertex(id).meta.no_cache {
            return Ok(Claim::Work(held));
        }
        if held.lock.is_none() {
            let name = format!("vertex-{}", self.graph.key(id).digest().hex());
            held.lock = self.store.try_lock(&name)?;
            if held.lock.is_none() {
                return Ok(Claim::Taken(held, Obstacle::StepLock(name)));
            }
        }
        if let Some(output) = self.join(id, inputs) {
            return Ok(Claim::Result(output));
        }
        Ok(self.claim_elsewhere(id, inputs, held).await)
    }

    /// Asks whether another machine makes the step, or has made it a moment ago.
    async fn claim_elsewhere(&self, id: VertexId, inputs: &[Output], mut held: Held) -> Claim {
        if held.lease.is_some() {
            return Claim::Work(held);
        }
        match lease::claim(self, id, inputs, held.waited).await {
            Claimed::Nothing => Claim::Work(held),
            Claimed::Granted(lease) => {
                held.lease = Some(lease);
                Claim::Work(held)
            }
            Claimed::Held(wait) => Claim::Taken(held, Obstacle::Lease(wait)),
            Claimed::Result(output) => Claim::Result(output),
        }
    }

    /// Remembers what a step waits for, and what it keeps meanwhile.
    pub(crate) fn park(&self, id: VertexId, inputs: Vec<Output>, held: Held, obstacle: Obstacle) {
        let parked = Parked {
            inputs,
            held,
            obstacle: Some(obstacle),
        };
        self.waits.park(id, parked);
    }

    /// Waits until what a step was parked for is gone, and keeps what it gets for the next attempt,
    /// so that nobody overtakes it for ever.
    ///
    /// Where it has waited for another build that made the result, nothing is kept but that:
    /// others wait for the same lock, and ours may have to wait for a slot.
    pub(crate) async fn wait_for_others(&self, id: VertexId) {
        let Some(mut parked) = self.waits.unpark(id) else {
            return;
        };
        if let Some(obstacle) = parked.obstacle.take() {
            let mut gone = pin!(obstacle.gone(&self.store, &self.turns));
            let got = tokio::select! {
                biased;
                got = &mut gone => got,
                () = tokio::time::sleep(UNTOLD) => {
                    self.tell_waiting(id, &obstacle);
                    gone.await
                }
            };
            match got {
                Ok(got) => parked.held.add(got),
                // The next attempt meets it too, and knows what can be done about it.
                Err(error) => tracing::debug!(error = %error.words(), "a wait ended early"),
            }
        }
        if parked.held.lock.is_some()
            && let Some(output) = self.join(id, &parked.inputs)
        {
            parked.held = Held {
                result: Some(output),
                ..Held::default()
            };
        }
        self.waits.park(id, parked);
    }

    fn tell_waiting(&self, id: VertexId, obstacle: &Obstacle) {
        let digest = vertex_digest(&self.graph, id);
        self.progress.started(digest);
        self.progress.note(digest, &obstacle.words());
    }

    /// A result that another process recorded since this build began, made of exactly these inputs.
    fn join(&self, id: VertexId, inputs: &[Output]) -> Option<Output> {
        let key = self.graph.key(id);
        let op = op_key(&self.graph.vertex(id).op);
        let ours: Vec<PastInput> = inputs.iter().map(Output::as_past).collect();
        let pasts = self.history.find(&[op]).pop()?.decode();
        let is_ours = |past: &&Past| past.definition == *key.digest() && past.inputs == ours;
        let records = self.records_of(pasts.iter().find(is_ours)?);
        records
            .iter()
            .find_map(|record| self.load_record(record))
            .map(Output::Files)
    }
}
