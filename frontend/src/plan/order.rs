//! The order of stages: whatever is referred to comes first.

use super::resolve::Instance;
use super::stages::StageTable;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Sorts the instances below `roots`; the error names a stage that needs itself (S22).
///
/// The walk keeps its own stack: a chain of stages can be as long as the file.
pub(super) fn sort(
    table: &StageTable<'_>,
    instances: &[Instance<'_>],
    roots: &[usize],
) -> Result<Vec<usize>, Diagnostic> {
    let mut marks = vec![Mark::New; instances.len()];
    let mut order = Vec::with_capacity(instances.len());
    for root in roots {
        let mut stack: Vec<(usize, usize)> = Vec::new();
        if marks[*root] == Mark::New {
            marks[*root] = Mark::Open;
            stack.push((*root, 0));
        }
        while let Some((instance, next)) = stack.last_mut() {
            let Some((dep, span)) = instances[*instance].deps.get(*next).copied() else {
                marks[*instance] = Mark::Done;
                order.push(*instance);
                stack.pop();
                continue;
            };
            *next += 1;
            match marks[dep] {
                Mark::Done => {}
                Mark::Open => return Err(cycle(table, instances, &stack, dep, span)),
                Mark::New => {
                    marks[dep] = Mark::Open;
                    stack.push((dep, 0));
                }
            }
        }
    }
    Ok(order)
}

/// Names the first stage of the file that lies on the cycle, and points at the line that closes it.
fn cycle(
    table: &StageTable<'_>,
    instances: &[Instance<'_>],
    stack: &[(usize, usize)],
    closes_at: usize,
    span: Span,
) -> Diagnostic {
    let on_cycle = stack
        .iter()
        .map(|(instance, _)| *instance)
        .skip_while(|i| *i != closes_at);
    let first = on_cycle
        .map(|i| instances[i].stage)
        .min()
        .unwrap_or(instances[closes_at].stage);
    let message = format!(
        "circular dependency detected on stage: {}",
        table.label(first)
    );
    Diagnostic::error("stage-cycle", message).at(span)
}
