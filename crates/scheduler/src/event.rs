use acetate_graph::VertexId;

/// Something that happened, told to the [`State`](crate::State).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<O, C, E> {
    /// These vertices are wanted. The first one starts the build; more may follow at any time.
    Demand(Vec<VertexId>),
    /// The candidate that was to be loaded is there.
    Loaded(VertexId, O),
    /// The candidate that was to be loaded is missing, damaged or not to be trusted.
    LoadFailed(VertexId),
    /// The candidates by content for each vertex of a question, best first.
    ContentAnswer(Vec<(VertexId, Vec<C>)>),
    /// A step ended well.
    Finished(VertexId, O),
    /// A step ended badly.
    Failed(VertexId, E),
    /// A step, or the waiting for it, broke off by a panic, with this message.
    Panicked(VertexId, String),
    /// A step could not begin: somebody else is making it, or holds what it needs.
    Taken(VertexId),
    /// What a step waits for may have become free.
    Free(VertexId),
    /// A step could not run since the bytes of these inputs are gone.
    InputsLost(VertexId, Vec<VertexId>),
    /// An exporter found the bytes of a result gone.
    Lost(VertexId),
    /// The build is to stop.
    Cancel,
}

/// Something to do, told by the [`State`](crate::State).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<C> {
    /// Make a recorded result usable. Answered by `Loaded` or `LoadFailed`.
    Load(VertexId, C),
    /// Look these vertices up by what their inputs hold, in one request. Answered by
    /// `ContentAnswer`.
    AskContent(Vec<VertexId>),
    /// Run a step. Answered by `Finished`, `Failed`, `Panicked`, `InputsLost` or `Taken`.
    Run(VertexId),
    /// Wait until a step that was `Taken` may be free. Answered by `Free` or `Panicked`.
    Wait(VertexId),
    /// Let go of what was kept for a step that waited: an input was lost, so it will not run soon.
    LetGo(VertexId),
    /// Cut short everything that was started. Each command is still answered.
    CancelRunning,
    /// Everything that was demanded so far has its result.
    Done,
    /// The build failed or was cancelled, and everything that was started has been answered.
    Abort,
}
