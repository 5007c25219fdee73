use super::pattern::{Pattern, PatternError};
use super::template::Template;
use super::{Scope, ScopeError};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is known about somebody: the values of each claim, or the names in a certificate.
pub(super) type Facts = BTreeMap<String, Vec<String>>;

/// Scopes for all whose claims look like this.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RuleText")]
pub struct Rule {
    claims: BTreeMap<String, Pattern>,
    scopes: Vec<Template>,
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It would be for everybody whom the issuer knows.
    #[error("a rule without claims gives its scope to everybody: name at least one claim")]
    NoClaims,
    /// It gives nothing.
    #[error("a rule without a scope gives nothing")]
    NoScope,
    /// A claim cannot be compared.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A scope cannot be made.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A name means two things.
    #[error("`{0}` is the name of two places or claims of the rule: call one of them otherwise")]
    Twice(String),
    /// A scope uses a name that nothing is known about.
    #[error(
        "the scope uses `{{{0}}}`, which is neither a claim of the rule nor a place named in one: \
         add it to the claims, with `*` when it may be anything"
    )]
    Unbound(String),
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(alias = "names")]
    claims: BTreeMap<String, String>,
    scope: OneOrMany,
}

/// A text, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

impl Rule {
    /// The scopes for somebody; none when the rule is not about them, or when one of their values
    /// cannot be part of a namespace.
    pub(super) fn scopes(&self, facts: &Facts) -> Vec<Scope> {
        let mut values = BTreeMap::new();
        for (claim, pattern) in &self.claims {
            let known = facts.get(claim).map_or(&[][..], Vec::as_slice);
            let matched = known
                .iter()
                .find_map(|value| Some((value, pattern.matches(value)?)));
            let Some((value, places)) = matched else {
                return Vec::new();
            };
            values.insert(claim.clone(), value.clone());
            values.extend(
                places
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        let filled: Option<Vec<Scope>> = self.scopes.iter().map(|one| one.fill(&values)).collect();
        if filled.is_none() {
            tracing::warn!(
                ?values,
                "a rule matched, but a value is no part of a namespace"
            );
        }
        filled.unwrap_or_default()
    }

    /// The claims that it looks at.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &str> {
        self.claims.keys().map(String::as_str)
    }
}

impl TryFrom<RuleText> for Rule {
    type Error = RuleError;

    fn try_from(text: RuleText) -> Result<Self, RuleError> {
        let claims = text.claims.into_iter();
        let claims = claims.map(|(name, pattern)| Ok((name, pattern.parse()?)));
        let claims: BTreeMap<String, Pattern> = claims.collect::<Result<_, PatternError>>()?;
        let scopes = Vec::from(text.scope);
        let scopes: Vec<Template> = scopes
            .iter()
            .map(|one| one.parse())
            .collect::<Result<_, _>>()?;
        if claims.is_empty() {
            return Err(RuleError::NoClaims);
        }
        if scopes.is_empty() {
            return Err(RuleError::NoScope);
        }
        let mut bound: BTreeSet<&str> = BTreeSet::new();
        let places = claims.values().flat_map(Pattern::names);
        for name in claims.keys().map(String::as_str).chain(places) {
            if !bound.insert(name) {
                return Err(RuleError::Twice(name.to_owned()));
            }
        }
        let mut names = scopes.iter().flat_map(Template::names);
        let unbound = names.find(|name| !bound.contains(name)).map(str::to_owned);
        drop(names);
        if let Some(name) = unbound {
            return Err(RuleError::Unbound(name));
        }
        Ok(Self { claims, scopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, toml::de::Error> {
        toml::from_str(text)
    }

    fn scopes(rule: &Rule, facts: &[(&str, &[&str])]) -> Vec<Scope> {
        let facts = facts.iter().map(|(name, values)| {
            let values = values.iter().map(|value| (*value).to_owned());
            ((*name).to_owned(), values.collect())
        });
        rule.scopes(&facts.collect())
    }

    #[test]
    fn a_pull_request_has_its_own_place() {
        let rule = rule(
            "claims = { repository = 'org/*', ref = 'refs/pull/{number}/merge' }
             scope = ['{repository}:read', '{repository}/pr-{number}:write']",
        );
        let rule = rule.unwrap();
        let pull: &[&str] = &["refs/pull/17/merge"];
        let found = scopes(&rule, &[("repository", &["org/repo"]), ("ref", pull)]);
        let expected = ["org/repo:read", "org/repo/pr-17:write"];
        assert_eq!(found, expected.map(|text| text.parse().unwrap()));
        for facts in [
            &[
                ("repository", &["org/repo"][..]),
                ("ref", &["refs/heads/main"]),
            ][..],
            &[("repository", &["orgy/repo"]), ("ref", pull)],
            &[("repository", &["org/.."]), ("ref", pull)],
            &[("repository", &["org/repo"])],
            &[
                ("repository", &["org/repo"]),
                ("ref", &["refs/pull/a b/merge"]),
            ],
            &[],
        ] {
            assert_eq!(scopes(&rule, facts), [], "{facts:?}");
        }
    }

    #[test]
    fn one_of_many_values_is_enough() {
        let rule = rule("claims = { dns = 'ci-{n}.example' }\nscope = 'ci/{n}:write'").unwrap();
        let found = scopes(&rule, &[("dns", &["other.example", "ci-7.example"])]);
        assert_eq!(found, ["ci/7:write".parse().unwrap()]);
    }

    #[test]
    fn rules_that_say_too_little_are_refused() {
        for (text, words) in [
            (
                "claims = {}\nscope = 'a:read'",
                "gives its scope to everybody",
            ),
            ("claims = { a = 'b' }\nscope = []", "gives nothing"),
            (
                "claims = { a = '*' }\nscope = '{b}:read'",
                "the scope uses `{b}`",
            ),
            (
                "claims = { a = '{x}{y}' }\nscope = 'a:read'",
                "two open places",
            ),
            (
                "claims = { a = '{b}', b = '*' }\nscope = 'a:read'",
                "`b` is the name of two",
            ),
            ("claims = { a = 'b' }\nscope = 'a:look'", "is no scope"),
            ("claims = { a = 'b' }\nscpe = 'a:read'", "unknown field"),
        ] {
            let error = rule(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
