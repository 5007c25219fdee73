//! Which vertices a build needs, and how each of them gets its result.
//!
//! The rules, repeated until nothing changes:
//!
//! 1. *Forced* is every vertex with `no_cache` that a target reaches. It runs.
//! 2. A target is needed. A needed vertex with a usable definition hit is loaded, and needs
//!    nothing. Any other needed vertex needs its inputs.
//! 3. *Running* is every forced vertex and every needed vertex without a usable definition hit.
//!    Every descendant of a running vertex loses its definition hit: what the record was made
//!    from is not what this build holds. It is asked by content once its inputs exist.
//!
//! A Source is an exception to rule 3: its op names the digest of what it yields, so fetching it
//! again gives what the records were made from. (Otherwise one missing step on a base image would
//! take away every hit on that base.)
//!
//! Every vertex becomes needed, expanded and tainted at most once, so the cost over the life of a
//! [`Demand`] is linear in vertices and edges. Nothing recurses.

use std::sync::Arc;

use crate::{BuildGraph, Shape, VertexId, VertexKind};

/// What the caches said about one vertex before anything ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// A record stands under the vertex's definition key.
    pub definition: bool,
    /// Some record stands under the vertex's op alone, so that a question by content can hit.
    pub hint: bool,
}

/// How a vertex gets its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Nothing that is wanted depends on it.
    NotNeeded,
    /// A record under its definition key is taken; its inputs are not needed for it.
    Load,
    /// Its inputs are needed, then a record by content is looked for, then it runs.
    AskContent,
    /// Its inputs are needed, then it runs.
    Run,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent marks of one fixpoint, each set at most once; not the states of a machine"
)]
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    known: Known,
    /// A target reaches it.
    reached: bool,
    /// It has to have a result.
    needed: bool,
    /// Its inputs are needed, since it cannot be loaded.
    expanded: bool,
    /// Something below it runs.
    tainted: bool,
    /// It has its result.
    settled: bool,
}

/// The demand on a graph. It only grows, except that a result can be settled and lost again.
#[derive(Debug, Clone)]
pub struct Demand {
    shape: Arc<Shape>,
    facts: Vec<Facts>,
    changed: Vec<VertexId>,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Need(VertexId),
    Taint(VertexId),
}

/// Decides what building `targets` takes, given what the caches know of each vertex.
///
/// ```text
/// decision(v) = NotNeeded | Load | AskContent | Run
/// ```
pub fn prune(
    graph: &BuildGraph,
    targets: &[VertexId],
    known: &dyn Fn(VertexId) -> Known,
) -> Demand {
    let mut demand = Demand::new(Arc::new(Shape::of(graph)), known);
    demand.require(targets);
    demand
}

impl Demand {
    /// Starts with nothing needed.
    pub fn new(shape: Arc<Shape>, known: impl Fn(VertexId) -> Known) -> Self {
        let facts = shape
            .ids()
            .map(|id| Facts {
                known: known(id),
                ..Facts::default()
            })
            .collect();
        Self {
            shape,
            facts,
            changed: Vec::new(),
        }
    }

    /// The wiring this demand works on.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// How `vertex` gets its result, as far as is known now.
    pub fn decision(&self, vertex: VertexId) -> Decision {
        let facts = &self.facts[vertex.idx()];
        if !facts.needed {
            Decision::NotNeeded
        } else if self.is_loadable(vertex) {
            Decision::Load
        } else if facts.known.hint && self.shape.kind(vertex) == VertexKind::Plain {
            Decision::AskContent
        } else {
            Decision::Run
        }
    }

    /// All vertices that are needed with their decisions, in topological order.
    pub fn needed(&self) -> impl Iterator<Item = (VertexId, Decision)> + '_ {
        self.shape
            .ids()
            .filter(|id| self.facts[id.idx()].needed)
            .map(|id| (id, self.decision(id)))
    }

    /// Adds targets. Forced vertices below them run from now on.
    pub fn require(&mut self, targets: &[VertexId]) {
        let mut work: Vec<Work> = targets.iter().rev().map(|id| Work::Need(*id)).collect();
        // Taints come off the stack first, so that no hit is taken that a forced vertex voids.
        for forced in self.reach(targets) {
            work.extend(
                self.shape
                    .dependents(forced)
                    .iter()
                    .map(|id| Work::Taint(*id)),
            );
        }
        self.work_off(work);
    }

    /// Says that no candidate under the definition key of `vertex` could be used.
    ///
    /// The vertex now counts as running, so its descendants lose their definition hits, but those
    /// that are settled stay as they are.
    pub fn drop_hit(&mut self, vertex: VertexId) {
        self.facts[vertex.idx()].known.definition = false;
        self.reopen(vertex);
    }

    /// Says that `vertex` has its result. A settled vertex keeps it, whatever runs below.
    pub fn settle(&mut self, vertex: VertexId) {
        self.facts[vertex.idx()].settled = true;
    }

    /// Says that the result of a settled vertex is gone; returns how it gets a new one.
    pub fn lose(&mut self, vertex: VertexId) -> Decision {
        self.facts[vertex.idx()].settled = false;
        self.reopen(vertex);
        self.decision(vertex)
    }

    /// Vertices whose decision changed since the last call, ascending, each once.
    pub fn take_changed(&mut self) -> Vec<VertexId> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    fn is_loadable(&self, vertex: VertexId) -> bool {
        let facts = &self.facts[vertex.idx()];
        facts.known.definition && !facts.tainted && self.shape.kind(vertex) != VertexKind::Forced
    }

    /// Marks what the targets reach; returns the forced vertices among what is newly reached.
    fn reach(&mut self, targets: &[VertexId]) -> Vec<VertexId> {
        let mut forced = Vec::new();
        let mut stack = targets.to_vec();
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut self.facts[id.idx()].reached, true) {
                continue;
            }
            if self.shape.kind(id) == VertexKind::Forced {
                forced.push(id);
            }
            stack.extend_from_slice(self.shape.inputs(id));
        }
        forced
    }

    fn reopen(&mut self, vertex: VertexId) {
        let facts = &self.facts[vertex.idx()];
        if facts.needed && !facts.settled && !self.is_loadable(vertex) {
            let mut work = Vec::new();
            self.expand(vertex, &mut work);
            self.changed.push(vertex);
            self.work_off(work);
        }
    }

    fn work_off(&mut self, mut work: Vec<Work>) {
        while let Some(item) = work.pop() {
            match item {
                Work::Need(id) => self.need(id, &mut work),
                Work::Taint(id) => self.taint(id, &mut work),
            }
        }
    }

    fn need(&mut self, vertex: VertexId, work: &mut Vec<Work>) {
        if std::mem::replace(&mut self.facts[vertex.idx()].needed, true) {
            return;
        }
        self.changed.push(vertex);
        if !self.is_loadable(vertex) {
            self.expand(vertex, work);
        }
    }

    fn taint(&mut self, vertex: VertexId, work: &mut Vec<Work>) {
        let facts = &mut self.facts[vertex.idx()];
        if std::mem::replace(&mut facts.tainted, true) {
            return;
        }
        let was_loading = facts.needed && facts.known.definition && !facts.settled;
        work.extend(
            self.shape
                .dependents(vertex)
                .iter()
                .map(|id| Work::Taint(*id)),
        );
        if was_loading && self.shape.kind(vertex) != VertexKind::Forced {
            self.changed.push(vertex);
            self.expand(vertex, work);
        }
    }

    /// Demands the inputs of a vertex that cannot be loaded, and voids the hits above it.
    fn expand(&mut self, vertex: VertexId, work: &mut Vec<Work>) {
        if std::mem::replace(&mut self.facts[vertex.idx()].expanded, true) {
            return;
        }
        work.extend(self.shape.inputs(vertex).iter().map(|id| Work::Need(*id)));
        if self.shape.kind(vertex) != VertexKind::Pinned {
            work.extend(
                self.shape
                    .dependents(vertex)
                    .iter()
                    .map(|id| Work::Taint(*id)),
            );
        }
    }
}

#[cfg(test)]
mod tests;
