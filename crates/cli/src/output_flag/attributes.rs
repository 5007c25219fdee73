use crate::csv;
use acetate_frontend::did_you_mean;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// The attributes of one output, which are taken out one by one; what is left is unknown.
#[derive(Debug)]
pub(super) struct Attributes {
    given: BTreeMap<String, String>,
    /// What was asked for so far: all that this type of output knows.
    known: BTreeSet<&'static str>,
}

impl Attributes {
    /// Splits a text; of two attributes with one key the later holds.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut given = BTreeMap::new();
        for attribute in csv::attributes(text)? {
            let value = attribute.value()?.to_owned();
            given.insert(attribute.key, value);
        }
        Ok(Self {
            given,
            known: BTreeSet::new(),
        })
    }

    /// Whether a value was given and not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Takes a value.
    #[expect(clippy::unnecessary_wraps, reason = "alike for all kinds of values")]
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.known.insert(key);
        Ok(self.given.remove(key))
    }

    /// Takes a truth, in the spellings that Go programs take.
    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match crate::flags::boolean(&text) {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("`{key}` is true or false, not `{text}`"),
        }
    }

    /// Takes a whole number.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<i32>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => bail!("`{key}` is a number, not `{text}`"),
        }
    }

    /// Takes all whose key begins like this; gives what follows in the key, and the values.
    pub(super) fn beginning(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (found, rest) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(key, _)| key.starts_with(prefix));
        self.given = rest;
        let found: BTreeMap<String, String> = found;
        found
            .into_iter()
            .map(|(key, value)| (key[prefix.len()..].to_owned(), value))
            .collect()
    }

    /// Refuses what nobody took: it was meant to have an effect.
    pub(super) fn finish(self, kind: &str) -> Result<()> {
        let Some(key) = self.given.keys().next() else {
            return Ok(());
        };
        let known: Vec<&str> = self
            .known
            .into_iter()
            .filter(|key| *key != "type")
            .collect();
        let hint = match did_you_mean(key, known.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None if known.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", known.join(", ")),
        };
        bail!("type={kind} has no attribute `{key}`; {hint}");
    }
}
