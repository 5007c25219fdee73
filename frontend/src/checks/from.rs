//! The variables of FROM.

use crate::ast::{Escape, From};
use crate::diagnostic::Diagnostic;
use crate::expand::{self, FromFn, Lookup};
use crate::span::Spanned;
use acetate_oci::{Platform, Reference};
use std::cell::RefCell;

/// One FROM and what it can see.
#[derive(Debug)]
pub(crate) struct FromLine<'a, L: ?Sized> {
    /// Its arguments.
    pub(crate) from: &'a From,
    /// The values of the global scope.
    pub(crate) scope: &'a L,
    /// All names of the global scope, those without a value too.
    pub(crate) names: &'a [&'a str],
    /// The escape character of the file.
    pub(crate) escape: Escape,
}

impl<L: Lookup + ?Sized> FromLine<'_, L> {
    /// Finds undeclared arguments and platforms that say too little or too much.
    pub(crate) fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let image = &self.from.image;
        self.undeclared(image, &self.expand(image).unset, &mut found);
        if let Some(platform) = &self.from.platform {
            let expansion = self.expand(platform);
            self.undeclared(platform, &expansion.unset, &mut found);
            found.extend(self.redundant(platform, &expansion));
            found.extend(self.constant(platform, &expansion));
        }
        found
    }

    fn undeclared(&self, place: &Spanned<String>, unset: &[String], found: &mut Vec<Diagnostic>) {
        for name in unset
            .iter()
            .filter(|name| !self.names.contains(&name.as_str()))
        {
            let message = format!("FROM argument '{name}' is not declared");
            let warning = Diagnostic::warning("UndefinedArgInFrom", message).at(place.span);
            found.push(warning.suggest(name, self.names.iter().copied()));
        }
    }

    fn redundant(&self, flag: &Spanned<String>, expansion: &Expansion) -> Option<Diagnostic> {
        let target = self.scope.get(TARGET)?;
        let is_only = expansion.read == [TARGET] && expansion.unset.is_empty();
        if !is_only || target != expansion.text {
            return None;
        }
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            flag.value
        );
        Some(Diagnostic::warning("RedundantTargetPlatform", message).at(flag.span))
    }

    fn constant(&self, flag: &Spanned<String>, expansion: &Expansion) -> Option<Diagnostic> {
        if !expansion.read.is_empty() {
            return None;
        }
        let platform = expansion.text.parse::<Platform>().ok()?;
        let stage = self.from.name.as_ref().map_or("", |name| name.as_str());
        // A stage that is called after its platform is there to be of that platform.
        if stage.contains(&platform.os) || stage.contains(&platform.architecture) {
            return None;
        }
        let message = format!(
            "FROM --platform flag should not use constant value {:?}",
            expansion.text
        );
        Some(Diagnostic::warning("FromPlatformFlagConstDisallowed", message).at(flag.span))
    }

    /// What cannot be expanded is the plan's to refuse; here it has no variables.
    fn expand(&self, text: &Spanned<String>) -> Expansion {
        let read = RefCell::new(Vec::new());
        let lookup = FromFn(|name: &str| {
            let value = self.scope.get(name).map(std::borrow::Cow::into_owned);
            let mut read = read.borrow_mut();
            if value.is_some() && !read.iter().any(|known| known == name) {
                read.push(name.to_owned());
            }
            value
        });
        let expanded = expand::expand_word(&text.value, self.escape, &lookup).unwrap_or_default();
        Expansion {
            text: expanded.text,
            unset: expanded.unset,
            read: read.into_inner(),
        }
    }
}

const TARGET: &str = "TARGETPLATFORM";

/// An expanded text and the variables in it.
struct Expansion {
    text: String,
    /// Read and not set.
    unset: Vec<String>,
    /// Read and set.
    read: Vec<String>,
}

/// A base image that is no image when nobody sets an argument.
///
/// `defaults` is the global scope as it is without build arguments. A name without variables is left
/// alone: it is right or an error.
pub(crate) fn default_base(
    from: &From,
    defaults: &(impl Lookup + ?Sized),
    escape: Escape,
) -> Option<Diagnostic> {
    let image = &from.image;
    if !image.value.contains('$') {
        return None;
    }
    let base = expand::expand_word(&image.value, escape, defaults).ok()?;
    if base.text.parse::<Reference>().is_ok() {
        return None;
    }
    let message = format!(
        "Default value for ARG {} results in empty or invalid base image name",
        image.value
    );
    let warning = Diagnostic::warning("InvalidDefaultArgInFrom", message).at(image.span);
    Some(warning.with_hint("give the ARG a default that makes the name of an image"))
}
