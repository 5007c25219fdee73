use super::{Bytes, Location};
use crate::ast::InstructionKind;
use crate::checks;
use crate::diagnostic::Diagnostic;
use crate::source::SourceFile;
use serde::Serialize;

/// The stages of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Targets {
    /// The stages in order.
    pub targets: Vec<Target>,
    /// The text.
    pub sources: Vec<Bytes>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name; empty without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether it is built when no stage is asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it starts from, as written.
    pub base: String,
    /// `--platform`, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub platform: String,
    /// Where its FROM stands.
    pub location: Location,
}

/// Lists the stages; the errors are those of the parser.
pub fn targets(source: &SourceFile) -> Result<Targets, Vec<Diagnostic>> {
    let ast = super::parsed(source)?;
    let mut targets: Vec<Target> = Vec::new();
    for item in &ast.items {
        let InstructionKind::From(from) = &item.kind else {
            continue;
        };
        let name = from.name.as_ref().map_or("", |name| name.as_str());
        targets.push(Target {
            name: name.to_owned(),
            default: false,
            description: checks::description(&ast, item, name),
            base: from.image.value.clone(),
            platform: from
                .platform
                .as_ref()
                .map_or_else(String::new, |it| it.value.clone()),
            location: Location::of_lines(item.lines),
        });
    }
    if let Some(last) = targets.last_mut() {
        last.default = true;
    }
    Ok(Targets {
        targets,
        sources: vec![Bytes(source.text().to_owned())],
    })
}
