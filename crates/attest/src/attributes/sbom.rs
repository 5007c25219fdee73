use std::collections::BTreeMap;

use super::AttributeError;

const KIND: &str = "sbom";

/// Names that the protocol itself gives to the scanner.
const RESERVED: &[&str] = &["DESTINATION", "SOURCE", "SOURCE_EXTRAS"];

/// What `--sbom` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SbomOptions {
    /// The scanner image; none is the built-in scanner.
    pub generator: Option<String>,
    /// Parameters for the scanner image, by the name that follows `BUILDKIT_SCAN_`.
    pub parameters: BTreeMap<String, String>,
}

impl SbomOptions {
    pub(super) fn parse(pairs: Vec<(String, String)>) -> Result<Self, AttributeError> {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "generator" if value.is_empty() => {
                    return Err(AttributeError::BadValue {
                        kind: KIND,
                        name,
                        value,
                        allowed: "the name of a scanner image",
                    });
                }
                "generator" => options.generator = Some(value),
                _ => {
                    let parameter = parameter(name)?;
                    options.parameters.insert(parameter, value);
                }
            }
        }
        match (&options.generator, options.parameters.keys().next()) {
            (None, Some(name)) => Err(AttributeError::NeedsGenerator(name.clone())),
            _ => Ok(options),
        }
    }
}

/// Parameters are variables of the scanner: `BUILDKIT_SCAN_` and their name in capitals.
fn parameter(name: String) -> Result<String, AttributeError> {
    let upper = name.to_ascii_uppercase();
    let legal = upper.starts_with(|c: char| c.is_ascii_alphabetic())
        && upper
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !RESERVED.contains(&upper.as_str());
    if legal {
        return Ok(upper);
    }
    Err(AttributeError::UnknownAttribute {
        kind: KIND,
        name,
        allowed: "`generator`, `disabled` and, with a generator, parameters such as `SELECT_CATALOGERS`",
    })
}
