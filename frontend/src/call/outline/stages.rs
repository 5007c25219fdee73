//! Which stages a target stands on.

use crate::ast::{Dockerfile, From, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::request::PlanRequest;

/// A stage as written.
pub(super) struct Stage<'a> {
    /// The FROM.
    pub(super) item: &'a Instruction,
    pub(super) from: &'a From,
    /// What follows it.
    pub(super) body: &'a [Instruction],
}

impl Stage<'_> {
    pub(super) fn name(&self) -> &str {
        self.from.name.as_ref().map_or("", |name| name.as_str())
    }
}

/// The stages of a file.
pub(super) struct Stages<'a> {
    pub(super) list: Vec<Stage<'a>>,
}

impl<'a> Stages<'a> {
    /// Cuts the file at its FROMs. A stage that a named context replaces has nothing in it.
    pub(super) fn new(ast: &'a Dockerfile, request: &PlanRequest) -> Self {
        let is_from = |item: &Instruction| matches!(item.kind, InstructionKind::From(_));
        let chunks = ast.items.chunk_by(|_, next| !is_from(next));
        let stages = chunks.filter_map(|chunk| {
            let (item, body) = chunk.split_first()?;
            let InstructionKind::From(from) = &item.kind else {
                return None;
            };
            let name = from.name.as_ref().map_or("", |name| name.as_str());
            let mut contexts = request.contexts.keys();
            let is_replaced =
                contexts.any(|key| !name.is_empty() && key.eq_ignore_ascii_case(name));
            Some(Stage {
                item,
                from,
                body: if is_replaced { &[] } else { body },
            })
        });
        Self {
            list: stages.collect(),
        }
    }

    /// The last stage of a name in front of stage `before`.
    pub(super) fn find(&self, name: &str, before: usize) -> Option<usize> {
        let earlier = &self.list[..before.min(self.list.len())];
        earlier
            .iter()
            .rposition(|stage| !name.is_empty() && stage.name().eq_ignore_ascii_case(name))
    }

    /// The stage wanted, or the last one.
    pub(super) fn target(&self, wanted: Option<&str>) -> Result<usize, Diagnostic> {
        let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
            return Ok(self.list.len().saturating_sub(1));
        };
        self.find(wanted, self.list.len()).ok_or_else(|| {
            let message = format!("target stage \"{wanted}\" could not be found");
            let names = self.list.iter().map(Stage::name);
            Diagnostic::error("unknown-target", message).suggest(wanted, names)
        })
    }
}
