use acetate_graph::VertexId;

/// Why a build ended without its results: the first thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure<E> {
    /// A step failed.
    #[error("step {} failed", .vertex.0)]
    Step {
        /// Which one.
        vertex: VertexId,
        /// What it said.
        #[source]
        error: E,
    },
    /// The code that runs a step panicked: a defect of this program.
    #[error("step {} broke off: {message}", .vertex.0)]
    Panicked {
        /// Which one.
        vertex: VertexId,
        /// The message of the panic.
        message: String,
    },
    /// The result of a step was lost each time after it was made again, or a step blamed inputs
    /// that it does not have.
    #[error("result of step {} was lost again after it was made anew", .vertex.0)]
    LostAgain {
        /// Which one.
        vertex: VertexId,
    },
    /// Whoever asked for the build cancelled it.
    #[error("build was cancelled")]
    Cancelled,
}

impl<E> Failure<E> {
    /// The vertex to point at, if one is to blame.
    pub fn vertex(&self) -> Option<VertexId> {
        match self {
            Self::Step { vertex, .. }
            | Self::Panicked { vertex, .. }
            | Self::LostAgain { vertex } => Some(*vertex),
            Self::Cancelled => None,
        }
    }
}
