/// What is wrong with the value of `--attest`, `--provenance` or `--sbom`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A part has no `=`.
    #[error("`{part}` in `{flag}` is no `name=value`")]
    NoValue {
        /// The flag.
        flag: String,
        /// The part.
        part: String,
    },
    /// The quotes of a list do not match.
    #[error("a quote in `{0}` is not closed")]
    Quotes(String),
    /// `--attest` without a type.
    #[error("`--attest {0}` names no type; add `type=provenance` or `type=sbom`")]
    NoType(String),
    /// An unknown type.
    #[error("`type={0}` is no attestation; allowed are `provenance` and `sbom`")]
    UnknownType(String),
    /// The same attestation twice.
    #[error(
        "`{0}` is asked for twice; give `--{0}` or `--attest type={0}` once, with all attributes"
    )]
    Twice(&'static str),
    /// An unknown attribute.
    #[error("`{name}` is no attribute of {kind}; allowed are {allowed}")]
    UnknownAttribute {
        /// `provenance` or `sbom`.
        kind: &'static str,
        /// The attribute.
        name: String,
        /// What there is, as a list.
        allowed: &'static str,
    },
    /// A value that an attribute does not take.
    #[error("`{name}={value}` of {kind} is not allowed; it takes {allowed}")]
    BadValue {
        /// `provenance` or `sbom`.
        kind: &'static str,
        /// The attribute.
        name: String,
        /// Its value.
        value: String,
        /// What it takes, as a list.
        allowed: &'static str,
    },
    /// Parameters that the built-in scanner has no use for.
    #[error(
        "`{0}` of sbom is a parameter for a scanner image; add `generator=IMAGE`, or leave it out"
    )]
    NeedsGenerator(String),
}
