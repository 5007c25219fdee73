use acetate_graph::VertexId;
use tokio_util::sync::CancellationToken;

use crate::Profile;

/// Does what the scheduler decides: the single boundary between order and work.
///
/// `load`, `ask` and `wait` may be dropped before they end, when the build stops. `run` never is: it
/// is told through its context and must then end soon. A panic in `load` or `ask` counts as a miss,
/// one in `run` or `wait` fails the build.
pub trait Runner: Send + Sync + 'static {
    /// The handle of a vertex's result, with all its outputs; cheap to clone.
    type Output: Clone + Send + Sync + 'static;
    /// A recorded result that may be usable.
    type Candidate: Send + 'static;
    /// Why a step failed.
    type Error: Send + 'static;

    /// Says what is known of a step beforehand. Called once per vertex, before anything runs.
    fn profile(&self, vertex: VertexId) -> Profile;

    /// Makes a candidate usable; `None` when its bytes are missing, damaged or not trusted.
    fn load(
        &self,
        vertex: VertexId,
        candidate: Self::Candidate,
    ) -> impl Future<Output = Option<Self::Output>> + Send;

    /// Looks up vertices by what their inputs hold, all in one request; one list of candidates per
    /// question, in the same order, best first. What is missing at the end counts as no candidate.
    fn ask(
        &self,
        questions: Vec<Question<Self::Output>>,
    ) -> impl Future<Output = Vec<Vec<Self::Candidate>>> + Send;

    /// Runs a step on its inputs, one per edge of the vertex in edge order.
    ///
    /// It has a slot, so it must not wait here for anybody else: it returns [`RunError::Taken`] and
    /// remembers what to wait for. It is called again after each [`wait`](Self::wait), perhaps with
    /// other inputs.
    fn run(
        &self,
        vertex: VertexId,
        inputs: Vec<Self::Output>,
        ctx: JobCtx,
    ) -> impl Future<Output = Result<Self::Output, RunError<Self::Error>>> + Send;

    /// Waits, without a slot, until running a step that was taken makes sense again.
    ///
    /// Any number of steps wait at the same time. Must not end before something may have changed:
    /// `run` follows at once where a slot is free, and would be told the same. What was waited for
    /// is better kept for that call than looked at and let go, or others overtake for ever.
    /// The context tells the end of the build to work that being dropped does not reach.
    fn wait(&self, vertex: VertexId, ctx: JobCtx) -> impl Future<Output = ()> + Send;

    /// Lets go of what was kept for a step since its [`wait`](Self::wait), at once: an input was lost,
    /// and making it again may take just that. Whoever keeps nothing does nothing.
    fn let_go(&self, _vertex: VertexId) {}
}

/// A vertex whose inputs exist, to be looked up by their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<O> {
    /// Which vertex.
    pub vertex: VertexId,
    /// Its inputs, one per edge in edge order.
    pub inputs: Vec<O>,
}

/// What a step that runs or waits gets from the scheduler.
#[derive(Debug, Clone)]
pub struct JobCtx {
    /// Set when the step is to end at once, since another one failed or the build was cancelled.
    pub cancel: CancellationToken,
}

/// Why a step has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError<E> {
    /// It failed; so does the build.
    #[error("step failed")]
    Failed(#[source] E),
    /// The bytes of these inputs (indices of edges) are gone; they are made again, then the step
    /// is run again.
    #[error("inputs {0:?} are lost")]
    InputsLost(Vec<usize>),
    /// Somebody else is making it, or holds what it needs. The step gives its slot back,
    /// [waits](Runner::wait), and is run again.
    #[error("step is taken by somebody else")]
    Taken,
}

impl<E> From<E> for RunError<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}
