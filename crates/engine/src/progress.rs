use crate::transfer::Transfer;
use crate::{BuildError, BuildEvent, EventSink, VertexInfo, VertexOutcome};
use acetate_graph::{BuildGraph, VertexId};
use acetate_oci::{Digest, Timestamp};
use acetate_stdx::clock::Clock;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells what happens, with the time at which it does.
#[derive(Clone)]
pub(crate) struct Progress {
    sink: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    /// What was begun and has not ended.
    open: Arc<Mutex<BTreeSet<Digest>>>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// A step of the engine itself that has begun.
pub(crate) struct InternalStep {
    progress: Progress,
    vertex: Digest,
}

impl Progress {
    pub(crate) fn new(sink: Arc<dyn EventSink>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            clock,
            open: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let (secs, nanos) = self.clock.now();
        Timestamp::new(secs, nanos)
    }

    pub(crate) fn emit(&self, event: BuildEvent) {
        self.sink.event(event);
    }

    /// Announces the vertices of a graph.
    pub(crate) fn graph(&self, graph: &BuildGraph) {
        for id in graph.ids() {
            let vertex = graph.vertex(id);
            self.emit(BuildEvent::Vertex(VertexInfo {
                digest: vertex_digest(graph, id),
                inputs: vertex
                    .inputs
                    .iter()
                    .map(|edge| vertex_digest(graph, edge.vertex))
                    .collect(),
                name: vertex.meta.name.clone(),
                origin: vertex.meta.origin.clone(),
            }));
        }
    }

    /// Begins a step. One that was begun already goes on, such as one that had to wait for others.
    pub(crate) fn started(&self, vertex: Digest) {
        if !self.open().insert(vertex) {
            return;
        }
        self.emit(BuildEvent::Started {
            vertex,
            at: self.now(),
        });
    }

    /// Says something about a step in a line of its own, beside what its process says.
    pub(crate) fn note(&self, vertex: Digest, words: &str) {
        self.emit(BuildEvent::Log {
            vertex,
            at: self.now(),
            stream: 2,
            data: format!("{words}\n").into_bytes(),
        });
    }

    /// Ends all that was begun and not ended, when nobody is there any more to do it: what waits for
    /// others is dropped when the build stops.
    pub(crate) fn close(&self) {
        let open = std::mem::take(&mut *self.open());
        for vertex in open {
            self.finished(vertex, VertexOutcome::Cancelled);
        }
    }

    pub(crate) fn finished(&self, vertex: Digest, outcome: VertexOutcome) {
        self.open().remove(&vertex);
        self.emit(BuildEvent::Finished {
            vertex,
            at: self.now(),
            outcome,
        });
    }

    /// A vertex whose result was taken from a record.
    pub(crate) fn cached(&self, graph: &BuildGraph, id: VertexId) {
        let vertex = vertex_digest(graph, id);
        self.started(vertex);
        self.finished(vertex, VertexOutcome::Cached);
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a step of the engine itself.
    pub(crate) fn internal(&self, name: &str) -> InternalStep {
        let vertex = Digest::of(name.as_bytes());
        self.emit(BuildEvent::Vertex(VertexInfo {
            digest: vertex,
            inputs: Vec::new(),
            name: name.to_owned(),
            origin: None,
        }));
        self.started(vertex);
        InternalStep {
            progress: self.clone(),
            vertex,
        }
    }
}

impl InternalStep {
    /// Says something about the step in a line of its own.
    pub(crate) fn note(&self, words: &str) {
        self.progress.note(self.vertex, words);
    }

    /// Hears of blobs to which `name` happens in this step.
    pub(crate) fn transfer(&self, name: &'static str) -> Arc<dyn acetate_registry::Progress> {
        Arc::new(Transfer::new(&self.progress, self.vertex, name))
    }

    /// What events call it by.
    pub(crate) fn vertex(&self) -> Digest {
        self.vertex
    }

    /// Ends the step as `result` says.
    pub(crate) fn end<T>(self, result: &Result<T, BuildError>) {
        let outcome = match result {
            Ok(_) => VertexOutcome::Done,
            Err(error) => VertexOutcome::Failed(error.words()),
        };
        self.end_as(outcome);
    }

    /// Ends the step.
    pub(crate) fn end_as(self, outcome: VertexOutcome) {
        self.progress.finished(self.vertex, outcome);
    }
}

/// What events call a vertex: its key, told apart where a forced step and its twin share one.
pub(crate) fn vertex_digest(graph: &BuildGraph, id: VertexId) -> Digest {
    let key = *graph.key(id).digest();
    if graph.vertex(id).meta.no_cache {
        let mut forced = key.as_bytes().to_vec();
        forced.extend(id.0.to_le_bytes());
        return Digest::of(&forced);
    }
    key
}
