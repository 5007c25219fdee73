//! Explanations as text and as JSON.

use acetate_engine::Explanation;
use serde_json::{Value, json};

/// One line a step: where it stands, what it is, why it runs, and who keeps the nearest record.
pub(crate) fn text(explanations: &[Explanation]) -> String {
    explanations.iter().map(line).collect()
}

fn line(explanation: &Explanation) -> String {
    let place = explanation.origin.as_ref();
    let place = place.map(|it| format!("{}:{}: ", it.file, it.first_line));
    let from = explanation.from.as_ref();
    let from = from.map(|from| format!(" (nearest record: {from})"));
    format!(
        "{}{}: {}{}\n",
        place.unwrap_or_default(),
        explanation.name,
        explanation.words,
        from.unwrap_or_default()
    )
}

/// A list of objects, one a step.
pub(crate) fn json(explanations: &[Explanation]) -> Value {
    explanations.iter().map(object).collect()
}

/// One step.
pub(crate) fn object(explanation: &Explanation) -> Value {
    let origin = explanation.origin.as_ref().map(|origin| {
        json!({ "file": origin.file, "first_line": origin.first_line, "last_line": origin.last_line })
    });
    json!({
        "vertex": explanation.vertex,
        "name": explanation.name,
        "origin": origin,
        "reason": explanation.reason,
        "nearest_record": explanation.from,
        "words": explanation.words,
    })
}
