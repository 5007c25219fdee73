//! What is known of each step that is to be explained.

use super::reason::Case;
use super::teller::Teller;
use crate::BuildRequest;
use crate::progress::vertex_digest;
use acetate_cache::story::{Finders, Nearest, Story};
use acetate_graph::VertexId;

/// A step with its story.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) id: VertexId,
    pub(super) story: Story,
    pub(super) finders: Finders,
}

impl Told {
    pub(super) fn of(teller: &Teller<'_>, id: VertexId, finders: Finders) -> Option<Self> {
        let story = teller.story(id)?;
        Some(Self { id, story, finders })
    }
}

/// Puts together what the reasons follow from, in the order of the graph.
pub(super) fn cases(
    teller: &Teller<'_>,
    request: &BuildRequest,
    told: Vec<Told>,
    nearest: Vec<Option<Nearest>>,
    has_record: &dyn Fn(VertexId) -> bool,
) -> Vec<Case> {
    let graph = teller.graph;
    let case = |(told, nearest): (Told, Option<Nearest>)| {
        let meta = &graph.vertex(told.id).meta;
        let below = teller.steps_below(told.id);
        Case {
            id: told.id,
            vertex: vertex_digest(graph, told.id),
            key: told.story.key,
            flag: meta
                .no_cache
                .then(|| flag(request, &told.story.instruction.stage)),
            name: told.story.name,
            origin: meta.origin.clone(),
            has_record: has_record(told.id),
            nearest,
            below: below
                .into_iter()
                .map(|id| (id, *graph.key(id).digest()))
                .collect(),
        }
    };
    told.into_iter().zip(nearest).map(case).collect()
}

/// The flag that forces the steps of a stage.
fn flag(request: &BuildRequest, stage: &str) -> String {
    if request.no_cache {
        "--no-cache".to_owned()
    } else {
        format!("--no-cache-filter={stage}")
    }
}
