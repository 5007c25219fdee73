//! The files that a plan needs, and who wants them first.

use super::model::Input;
use crate::pins::{Flavour, Need, Pins, RemoteNeed, SelectionSpec};
use crate::span::Span;
use std::collections::HashMap;

/// Selections and fetches, each with the first place that wants it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    selections: HashMap<SelectionSpec, Span>,
    remotes: HashMap<RemoteNeed, Span>,
}

impl Wanted {
    /// Notes what an input is made of.
    pub(super) fn want(&mut self, input: &Input, span: Span) {
        match input {
            Input::Selection(spec) if !self.selections.contains_key(spec) => {
                self.selections.insert(spec.clone(), span);
            }
            Input::Remote(need) if !self.remotes.contains_key(need) => {
                self.remotes.insert(need.clone(), span);
            }
            _ => {}
        }
    }

    /// What is not pinned yet, sorted.
    pub(super) fn missing(self, pins: &Pins) -> Vec<Need> {
        let selections = self.selections.into_iter();
        let remotes = self.remotes.into_iter();
        let selections = selections
            .filter(|(spec, _)| !pins.selections.contains_key(spec))
            .map(|(spec, span)| Need::Selection(spec, span));
        let remotes = remotes
            .filter(|(need, _)| !pins.remotes.contains_key(need))
            .map(|(need, span)| Need::Remote(need, span));
        let mut missing: Vec<Need> = selections.chain(remotes).collect();
        missing.sort_unstable();
        missing
    }
}

/// All files of a local context.
pub(super) fn whole(context: &str) -> Input {
    one(context, ".")
}

/// One path of a local context with all that is below it.
pub(super) fn one(context: &str, path: &str) -> Input {
    Input::Selection(SelectionSpec {
        context: context.to_owned(),
        sources: vec![path.to_owned()],
        excludes: Vec::new(),
        parents: false,
        flavour: Flavour::default(),
    })
}

/// A context that is fetched.
pub(super) fn fetched(context: &str) -> Input {
    Input::Remote(RemoteNeed::Context(context.to_owned()))
}
