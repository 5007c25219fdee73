//! The variables of a stage or of the global scope.

use crate::ast::Escape;
use crate::diagnostic::Diagnostic;
use crate::expand::{self, ExpandError, Expanded, ExpandedWords, Lookup};
use crate::span::Span;
use acetate_graph::Env;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Variables in the order of their first declaration, each with its latest value.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
    /// All of them as steps see them, from when a step asked until one is changed.
    env: OnceCell<Env>,
}

/// One variable.
#[derive(Debug, Clone)]
struct Entry {
    /// `NAME=value`.
    line: Arc<str>,
    /// Where the value begins.
    value_at: usize,
}

impl Entry {
    fn new(name: &str, value: &str) -> Self {
        Self {
            line: [name, "=", value].concat().into(),
            value_at: name.len() + 1,
        }
    }

    fn name(&self) -> &str {
        &self.line[..self.value_at - 1]
    }

    fn value(&self) -> &str {
        &self.line[self.value_at..]
    }
}

impl Scope {
    /// Sets a variable; one that is there keeps its place.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if let Some(&idx) = self.index.get(name) {
            let entry = &mut self.entries[idx];
            if entry.value() != value {
                *entry = Entry::new(name, value);
                self.env.take();
            }
        } else {
            self.env.take();
            self.index.insert(name.to_owned(), self.entries.len());
            self.entries.push(Entry::new(name, value));
        }
    }

    /// Forgets a variable.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(removed) = self.index.remove(name) {
            self.env.take();
            self.entries.remove(removed);
            for idx in self.index.values_mut().filter(|idx| **idx > removed) {
                *idx -= 1;
            }
        }
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|&idx| self.entries[idx].value())
    }

    /// All as `NAME=value`; steps with the same variables share it.
    pub(super) fn env(&self) -> Env {
        let lines = || self.entries.iter().map(|entry| Arc::clone(&entry.line));
        self.env.get_or_init(|| lines().collect()).clone()
    }

    /// The names, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(Entry::name)
    }
}

impl Lookup for Scope {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.value(name).map(Cow::Borrowed)
    }
}

/// The ARGs of a stage in the order of their first declaration.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    entries: Vec<(String, Option<String>)>,
    index: BTreeMap<String, usize>,
}

impl Declared {
    /// Adds a declaration; one without a value leaves an earlier value.
    pub(super) fn declare(&mut self, name: &str, value: Option<String>) {
        if let Some(&idx) = self.index.get(name) {
            let earlier = self.entries[idx].1.take();
            self.entries[idx].1 = value.or(earlier);
        } else {
            self.index.insert(name.to_owned(), self.entries.len());
            self.entries.push((name.to_owned(), value));
        }
    }

    /// Says whether a name was declared.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The names and their last values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

/// Expands texts of one instruction and remembers which variables were missing.
#[derive(Debug)]
pub(super) struct Expander<'a> {
    scope: &'a Scope,
    escape: Escape,
    unset: Vec<(String, Span)>,
}

impl<'a> Expander<'a> {
    /// Starts with the variables as they were in front of the instruction.
    pub(super) fn new(scope: &'a Scope, escape: Escape) -> Self {
        Self {
            scope,
            escape,
            unset: Vec::new(),
        }
    }

    /// Expands one word.
    pub(super) fn word(&mut self, text: &str, span: Span) -> Result<String, Diagnostic> {
        let Expanded { text, unset } =
            expand::expand_word(text, self.escape, self.scope).map_err(|e| failed(&e, span))?;
        self.note(unset, span);
        Ok(text)
    }

    /// Expands and splits.
    pub(super) fn words(&mut self, text: &str, span: Span) -> Result<Vec<String>, Diagnostic> {
        let ExpandedWords { words, unset } =
            expand::expand_words(text, self.escape, self.scope).map_err(|e| failed(&e, span))?;
        self.note(unset, span);
        Ok(words)
    }

    /// Expands the body of a heredoc.
    pub(super) fn heredoc(&mut self, text: &str, span: Span) -> Result<String, Diagnostic> {
        let Expanded { text, unset } =
            expand::expand_heredoc(text, self.scope).map_err(|e| failed(&e, span))?;
        self.note(unset, span);
        Ok(text)
    }

    /// Expands for display: what is not set stays as written.
    pub(super) fn display(&self, text: &str) -> String {
        expand::expand_for_display(text, self.escape, self.scope)
    }

    /// The variables that were missing, in order, each once, with their first place.
    pub(super) fn into_unset(self) -> Vec<(String, Span)> {
        self.unset
    }

    fn note(&mut self, names: Vec<String>, span: Span) {
        for name in names {
            if !self.unset.iter().any(|(known, _)| *known == name) {
                self.unset.push((name, span));
            }
        }
    }
}

fn failed(error: &ExpandError, span: Span) -> Diagnostic {
    Diagnostic::error("expansion", error.message.clone()).at(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_set_again_keeps_its_place() {
        let mut scope = Scope::default();
        scope.set("a", "1");
        scope.set("b", "2");
        scope.set("a", "3");
        assert_eq!(scope.env().to_vec(), ["a=3", "b=2"]);
        assert_eq!(scope.value("c"), None);
    }

    #[test]
    fn a_variable_can_be_forgotten() {
        let mut scope = Scope::default();
        scope.set("a", "1");
        scope.set("b", "2");
        scope.set("c", "3");
        assert_eq!(scope.env().to_vec(), ["a=1", "b=2", "c=3"]);
        scope.remove("b");
        scope.remove("x");
        assert_eq!(scope.env().to_vec(), ["a=1", "c=3"]);
        scope.set("c", "4");
        assert_eq!(scope.env().to_vec(), ["a=1", "c=4"]);
        assert_eq!(scope.value("b"), None);
    }

    #[test]
    fn missing_variables_are_reported_once() {
        let mut scope = Scope::default();
        scope.set("a", "1");
        let mut expander = Expander::new(&scope, Escape::Backslash);
        let (here, there) = (Span::new(0, 1), Span::new(2, 3));
        assert_eq!(expander.word("$a$b", here).unwrap(), "1");
        assert_eq!(expander.word("$b", there).unwrap(), "");
        assert_eq!(expander.into_unset(), [("b".to_owned(), here)]);
    }
}
