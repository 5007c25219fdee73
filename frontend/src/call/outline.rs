//! What a target can be given: arguments, secrets, agents, cache mounts.
//!
//! Nothing is fetched for it. What an image sets is known only when it is pinned; without that, variables of the
//! image are empty in the defaults that use them.

mod stages;
mod walk;

use super::{Bytes, Location};
use crate::diagnostic::Diagnostic;
use crate::pins::Pins;
use crate::request::PlanRequest;
use crate::source::SourceFile;
use serde::Serialize;

/// What a target can be given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Outline {
    /// The name of the target; empty without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The build arguments that matter, by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<OutlineArg>,
    /// The secrets, by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<OutlineSecret>,
    /// The SSH agents, by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<OutlineSecret>,
    /// The cache mounts, by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<OutlineCache>,
    /// The text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Bytes>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its value: given, or the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Where it is declared.
    pub location: Location,
}

/// A secret or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineSecret {
    /// Its name.
    pub name: String,
    /// Whether a step fails without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Where it is used first.
    pub location: Location,
}

/// A cache mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlineCache {
    /// What it is told apart by.
    #[serde(rename = "ID")]
    pub id: String,
    /// Where it is used first.
    pub location: Location,
}

/// Lists what the target of a request can be given.
pub fn outline(
    source: &SourceFile,
    request: &PlanRequest,
    pins: &Pins,
) -> Result<Outline, Vec<Diagnostic>> {
    let ast = super::parsed(source)?;
    let mut outline = walk::outline(&ast, request, pins).map_err(|error| vec![error])?;
    outline.sources = vec![Bytes(source.text().to_owned())];
    Ok(outline)
}
