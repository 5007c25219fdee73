use std::collections::VecDeque;

/// Where the scheduler stands with one vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has been done for it.
    Idle,
    /// It will load its next candidate when a slot is free.
    LoadQueued,
    /// A candidate is being loaded.
    Loading,
    /// A candidate is being loaded that a running input has made worthless.
    LoadingInVain,
    /// It waits for inputs.
    Waiting,
    /// It is to be asked by content with the next request.
    AskQueued,
    /// The question by content is out.
    Asking,
    /// It will run when a slot is free.
    Ready,
    /// It runs.
    Running,
    /// Somebody else has what it needs; it waits for that, without a slot.
    Parked,
    /// It has its result.
    Done,
}

/// All that is known of one vertex besides its demand.
#[derive(Debug)]
pub(super) struct Step<O, C> {
    pub(super) phase: Phase,
    /// Candidates not tried yet: under the definition key, then under the content key.
    pub(super) by_definition: VecDeque<C>,
    pub(super) by_content: VecDeque<C>,
    pub(super) is_asked: bool,
    /// Whether something may be kept for it, since it waited and has not run again.
    pub(super) is_kept: bool,
    pub(super) output: Option<O>,
    /// Whether the result was made by running, not by loading.
    pub(super) is_own: bool,
    /// How many inputs have no result; counts only while waiting.
    pub(super) n_missing: usize,
    /// How often a result that was made by running has been lost.
    pub(super) n_losses: u32,
    /// When the result was made and the last run started, by the count of events.
    pub(super) made_at: u64,
    pub(super) started_at: u64,
    pub(super) priority: u64,
}

impl<O, C> Step<O, C> {
    pub(super) fn new(candidates: Vec<C>) -> Self {
        Self {
            phase: Phase::Idle,
            by_definition: candidates.into(),
            by_content: VecDeque::new(),
            is_asked: false,
            is_kept: false,
            output: None,
            is_own: false,
            n_missing: 0,
            n_losses: 0,
            made_at: 0,
            started_at: 0,
            priority: 0,
        }
    }
}
