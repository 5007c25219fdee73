//! Why steps ran, as servers are told: without any value of a variable and any address, since
//! everybody who may read the server's page sees it.

use super::reason::{Explanation, Reason};
use crate::shared::SharedCaches;
use acetate_cache::remote::told::Miss;
use acetate_cache::story::Difference;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server has to take it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the servers that results are taken from why steps had to run.
pub(super) async fn tell(caches: &SharedCaches, explanations: &[Explanation]) {
    let misses: Vec<Miss> = explanations
        .iter()
        .map(|explanation| Miss {
            step: explanation.name.clone(),
            reason: words(&explanation.reason),
            key: explanation.vertex.hex(),
        })
        .collect();
    for import in &caches.imports {
        if let Some(server) = &import.opened.server {
            // It is for people who watch: the build does not wait for it.
            if timeout(PATIENCE, server.post_misses(&misses))
                .await
                .is_err()
            {
                tracing::debug!("a server was not told why steps ran");
            }
        }
    }
}

fn words(reason: &Reason) -> String {
    match reason {
        Reason::Forced { flag } => format!("forced by {flag}"),
        Reason::NoRecord => "no earlier record".to_owned(),
        Reason::Removed => "the result was removed".to_owned(),
        Reason::Stale => "the record was made of other results".to_owned(),
        Reason::Unknown => "nothing that is kept differs".to_owned(),
        Reason::Input { step, because, .. } => {
            format!("{step} ran with another result: {}", words(because))
        }
        Reason::Differs { differences } => {
            let first = differences.first().map(difference);
            first.unwrap_or_else(|| "something differs".to_owned())
        }
    }
}

fn difference(difference: &Difference) -> String {
    match difference {
        Difference::Instruction { .. } => "the instruction changed".to_owned(),
        Difference::Variable { name, is_arg, .. } => {
            let kind = if *is_arg { "ARG" } else { "ENV" };
            format!("{kind} {name} changed")
        }
        Difference::Setting { name, .. } => format!("{name} changed"),
        Difference::ImageMoved { .. } => "the base image moved".to_owned(),
        Difference::OtherImage { .. } => "another base image is named".to_owned(),
        Difference::Files { .. } => "files of the context changed".to_owned(),
        Difference::Fetched { .. } => "what an address gives changed".to_owned(),
        _ => "what it is made of changed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_cache::story::{Change, Rank, Value};

    #[test]
    fn no_value_is_told() {
        let variable = Difference::Variable {
            rank: Rank::Variable,
            name: "TOKEN_FILE".to_owned(),
            is_arg: true,
            change: Change {
                then: Some(Value::plain("hidden-1")),
                now: Some(Value::plain("hidden-2")),
            },
        };
        let own = Reason::Differs {
            differences: vec![variable],
        };
        let reason = Reason::Input {
            step: "[build 2/4] RUN make".to_owned(),
            root: "[build 2/4] RUN make".to_owned(),
            because: Box::new(own),
        };
        assert_eq!(
            words(&reason),
            "[build 2/4] RUN make ran with another result: ARG TOKEN_FILE changed"
        );
    }
}
