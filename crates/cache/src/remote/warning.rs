//! What is worth one line to whoever started the build.

use std::collections::BTreeMap;
use std::fmt;

/// Why a shared cache was of less use than it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It cannot be reached, or not in time.
    Unreachable,
    /// It answers that it is broken.
    Failing,
    /// It asks to be left alone for a while.
    Busy,
    /// It takes no token, or not this one.
    Unauthorized,
    /// The token does not allow this here.
    Forbidden,
    /// It has no room left.
    Full,
    /// What it gave is not what it should be.
    Damaged,
    /// What it gave is not signed as it should be.
    Untrusted,
    /// It is not asked any more.
    Off,
}

/// A warning: its cause, and a sentence that says what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Why.
    pub cause: Cause,
    /// What happened, for people.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// At most one warning for each cause, until they are taken and after.
#[derive(Debug, Default)]
pub(crate) struct Warnings(BTreeMap<Cause, Option<Warning>>);

impl Warnings {
    pub(crate) fn add(&mut self, cause: Cause, text: impl FnOnce() -> String) {
        self.0.entry(cause).or_insert_with(|| {
            Some(Warning {
                cause,
                text: text(),
            })
        });
    }

    pub(crate) fn take(&mut self) -> Vec<Warning> {
        self.0.values_mut().filter_map(Option::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_warns_once() {
        let mut warnings = Warnings::default();
        warnings.add(Cause::Full, || "full".to_owned());
        warnings.add(Cause::Full, || "again".to_owned());
        let texts: Vec<String> = warnings.take().iter().map(Warning::to_string).collect();
        assert_eq!(texts, ["full"]);
        warnings.add(Cause::Full, || "later".to_owned());
        assert_eq!(warnings.take(), []);
    }
}
