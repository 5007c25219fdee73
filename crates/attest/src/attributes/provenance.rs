use super::AttributeError;
use super::words::parse_bool;
use crate::StatementVersion;
use crate::provenance::{Mode, Version};

const KIND: &str = "provenance";
const ALLOWED: &str =
    "`mode`, `builder-id`, `filename`, `reproducible`, `inline-only`, `version` and `disabled`";
const BOOL: &str = "`true` or `false`";

/// What `--provenance` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenanceOptions {
    /// How much is told.
    pub mode: Mode,
    /// Who builds, as a URL; empty when nobody said.
    pub builder_id: String,
    /// The file's name beside a local export.
    pub filename: String,
    /// Whether the user claims that the build is reproducible.
    pub reproducible: bool,
    /// Whether only images get it, and no export that consists of files.
    pub inline_only: bool,
    /// The form of the predicate.
    pub version: Version,
    /// The form of the statement around it.
    pub statement: StatementVersion,
}

impl Default for ProvenanceOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Max,
            builder_id: String::new(),
            filename: "provenance.json".to_owned(),
            reproducible: false,
            inline_only: false,
            version: Version::V1,
            statement: StatementVersion::V1,
        }
    }
}

impl ProvenanceOptions {
    pub(super) fn parse(pairs: Vec<(String, String)>) -> Result<Self, AttributeError> {
        let mut options = Self::default();
        for (name, value) in pairs {
            options.set(&name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), AttributeError> {
        match name {
            "mode" => {
                self.mode = match value.as_str() {
                    "min" => Mode::Min,
                    "max" | "full" => Mode::Max,
                    _ => return Err(bad(name, value, "`min` or `max`")),
                };
            }
            "version" => {
                self.version = match value.as_str() {
                    "v1" => Version::V1,
                    "v0.2" => Version::V02,
                    _ => return Err(bad(name, value, "`v1` or `v0.2`")),
                };
            }
            "builder-id" => self.builder_id = value,
            "filename" if is_file_name(&value) => self.filename = value,
            "filename" => return Err(bad(name, value, "a name without slashes")),
            "reproducible" => self.reproducible = boolean(name, value)?,
            "inline-only" => self.inline_only = boolean(name, value)?,
            _ => {
                return Err(AttributeError::UnknownAttribute {
                    kind: KIND,
                    name: name.to_owned(),
                    allowed: ALLOWED,
                });
            }
        }
        Ok(())
    }
}

/// The name becomes a path below the export, so it must not lead out of it.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn boolean(name: &str, value: String) -> Result<bool, AttributeError> {
    parse_bool(&value).ok_or_else(|| bad(name, value, BOOL))
}

fn bad(name: &str, value: String, allowed: &'static str) -> AttributeError {
    AttributeError::BadValue {
        kind: KIND,
        name: name.to_owned(),
        value,
        allowed,
    }
}
