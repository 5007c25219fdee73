use acetate_graph::{Known, VertexId};

/// What the caches said before the build, per vertex by its index.
///
/// Vertices behind the end of a list have nothing recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits<C> {
    /// The candidates under the definition key, best first.
    pub candidates: Vec<Vec<C>>,
    /// Whether a record with the vertex's op exists, so that a question by content can hit.
    pub hints: Vec<bool>,
}

impl<C> Hits<C> {
    /// No cache knows anything.
    pub fn none() -> Self {
        Self {
            candidates: Vec::new(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn known(&self, vertex: VertexId) -> Known {
        Known {
            definition: self
                .candidates
                .get(vertex.idx())
                .is_some_and(|list| !list.is_empty()),
            hint: self.hints.get(vertex.idx()).copied().unwrap_or(false),
        }
    }
}

/// Which kind of slot a step takes while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Class {
    /// A process of its own that wants a processor.
    #[default]
    Heavy,
    /// Short work on files or metadata; it does not wait for the slots of processes.
    Light,
}

/// What is known of a step before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// The slot it takes.
    pub class: Class,
    /// How long it is expected to take, in any unit that is the same for all steps.
    pub cost: u64,
}

/// How much happens at the same time. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps of class [`Class::Heavy`].
    pub max_parallel: usize,
    /// Steps of class [`Class::Light`].
    pub max_light: usize,
    /// Candidates being loaded.
    pub max_loads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_parallel: 4,
            max_light: 16,
            max_loads: 16,
        }
    }
}
