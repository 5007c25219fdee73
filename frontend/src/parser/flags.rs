//! Which flags an instruction knows, and reading their values.

use crate::ast::Flag;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, `true` or `false`.
    Bool,
    /// One value, once.
    Value,
    /// One value, any number of times.
    Values,
}

/// The checked flags of an instruction.
#[derive(Clone, Copy)]
pub(super) struct Flags<'f>(&'f [Flag]);

impl<'f> Flags<'f> {
    /// Checks flags against the known ones.
    pub(super) fn check(
        flags: &'f [Flag],
        known: &[(&'static str, Takes)],
    ) -> Result<Self, Diagnostic> {
        for (idx, flag) in flags.iter().enumerate() {
            let name = flag.name.as_str();
            let Some((_, takes)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(flag, known));
            };
            if *takes != Takes::Values {
                let earlier = flags[..idx]
                    .iter()
                    .find(|earlier| earlier.name.value == name);
                if let Some(earlier) = earlier {
                    return Err(duplicate(flag, earlier));
                }
            }
            match (takes, &flag.value) {
                (Takes::Bool, _) => boolean(flag).map(drop)?,
                (_, None) => return Err(missing_value(flag)),
                (_, Some(_)) => {}
            }
        }
        Ok(Self(flags))
    }

    /// Returns the value of a flag that takes one.
    pub(super) fn value(self, name: &str) -> Option<Spanned<String>> {
        self.values(name).next()
    }

    /// Returns all values of a flag, in order.
    pub(super) fn values(self, name: &str) -> impl Iterator<Item = Spanned<String>> {
        let named = self.0.iter().filter(move |flag| flag.name.value == name);
        named.filter_map(|flag| flag.value.clone())
    }

    /// Returns a flag that takes `true` or `false`.
    pub(super) fn boolean(self, name: &str) -> Option<Spanned<bool>> {
        let flag = self.0.iter().find(|flag| flag.name.value == name)?;
        boolean(flag)
            .ok()
            .map(|value| Spanned::new(value, flag.span))
    }
}

fn boolean(flag: &Flag) -> Result<bool, Diagnostic> {
    let Some(value) = &flag.value else {
        return Ok(true);
    };
    match value.value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        "" => Err(missing_value(flag)),
        _ => {
            let (name, value) = (&flag.name.value, &value.value);
            let message = format!("expecting boolean value for flag --{name}, not: {value}");
            Err(Diagnostic::error("flag-not-boolean", message).at(flag.span))
        }
    }
}

fn unknown(flag: &Flag, known: &[(&'static str, Takes)]) -> Diagnostic {
    let name = flag.name.as_str();
    let diagnostic = Diagnostic::error("unknown-flag", format!("unknown flag: --{name}"));
    let known = known.iter().map(|(known, _)| *known);
    diagnostic.at(flag.span).suggest(name, known)
}

fn duplicate(flag: &Flag, earlier: &Flag) -> Diagnostic {
    let message = format!("duplicate flag specified: --{}", flag.name.value);
    let diagnostic = Diagnostic::error("duplicate-flag", message).at(flag.span);
    diagnostic.labelled(earlier.span, "first given here")
}

fn missing_value(flag: &Flag) -> Diagnostic {
    let message = format!("missing a value on flag: --{}", flag.name.value);
    Diagnostic::error("flag-without-value", message).at(flag.span)
}
