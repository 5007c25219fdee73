//! Questions about a Dockerfile: nothing runs and nothing is written.

use crate::build::unless;
use crate::context::Contexts;
use crate::engine::Engine;
use crate::pin::{self, Pinned};
use crate::progress::Progress;
use crate::{BuildError, BuildEvent, BuildRequest, EventSink};
use acetate_frontend::call::{self, LintResult, Linted, Outline, Targets};
use acetate_frontend::{Diagnostic, PlanRequest, SourceFile};
use acetate_scheduler::CancellationToken;
use std::sync::Arc;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// What the checks find.
    Check,
    /// What the target can be given.
    Outline,
    /// Which stages there are.
    Targets,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct CallReport {
    /// The Dockerfile that it is about.
    pub file: Arc<SourceFile>,
    /// The answer itself.
    pub answer: CallAnswer,
}

/// The answer to each question.
#[derive(Debug, Clone)]
pub enum CallAnswer {
    /// To [`CallKind::Check`].
    Check(LintResult),
    /// To [`CallKind::Outline`].
    Outline(Outline),
    /// To [`CallKind::Targets`].
    Targets(Targets),
}

/// A round resolves at least one image; a Dockerfile that needs more than this is at fault.
const MAX_ROUNDS: usize = 64;

pub(crate) async fn call(
    engine: &Engine,
    request: BuildRequest,
    kind: CallKind,
    sink: Arc<dyn EventSink>,
    cancel: CancellationToken,
) -> Result<CallReport, BuildError> {
    let progress = Progress::new(sink, Arc::clone(&engine.clock));
    let opening = Contexts::open(&request, engine, &progress);
    let contexts = Arc::new(unless(&cancel, opening).await?);
    progress.emit(BuildEvent::Dockerfile(Arc::clone(&contexts.source)));
    let plan_request = pin::plan_request(&request, &contexts);
    let source = &contexts.source;
    let blame = |diagnostics| contexts.blame(diagnostics);
    let answer = match kind {
        CallKind::Check => {
            let linting = lint(engine, &plan_request, &contexts, &progress);
            CallAnswer::Check(unless(&cancel, Box::pin(linting)).await?)
        }
        CallKind::Outline => {
            let pinned = Pinned::default();
            let outline = call::outline(source, &plan_request, &pinned.pins);
            CallAnswer::Outline(outline.map_err(blame)?)
        }
        CallKind::Targets => CallAnswer::Targets(call::targets(source).map_err(blame)?),
    };
    Ok(CallReport {
        file: Arc::clone(source),
        answer,
    })
}

/// Checks and resolves images in turn. An image that cannot be resolved is the error that the checks
/// end with, and no failure of the question.
async fn lint(
    engine: &Engine,
    request: &PlanRequest,
    contexts: &Arc<Contexts>,
    progress: &Progress,
) -> Result<LintResult, BuildError> {
    let mut pinned = Pinned::default();
    for _ in 0..MAX_ROUNDS {
        let (needs, known) = match call::lint(&contexts.source, request, &pinned.pins) {
            Linted::Done(result) => return Ok(result),
            Linted::Needs(needs, known) => (needs, known),
        };
        let names = pin::Names::KeptFirst(&request.platforms);
        let satisfied = pin::satisfy(needs, &mut pinned, names, contexts, engine, progress).await;
        match satisfied {
            Ok(()) => {}
            Err(BuildError::Dockerfile { diagnostics, .. }) => {
                let error = diagnostics.into_iter().find(Diagnostic::is_error);
                return Ok(match error {
                    Some(error) => known.failed(&contexts.source, &error),
                    None => known,
                });
            }
            Err(error) => return Err(error),
        }
    }
    Err(BuildError::request(
        "the Dockerfile asks for ever more images",
    ))
}
