use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use acetate_oci::Digest;

/// As deep as parentheses may stand in each other, and as long as an expression may be.
const MAX_DEPTH: usize = 32;
const MAX_LENGTH: usize = 4096;
/// As much of a text as its reference shows.
const LONGEST: usize = 64;

/// A declared licence in SPDX's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum License {
    /// Nothing was declared, or nothing that can be told.
    NoAssertion,
    /// An expression, and what each `LicenseRef-` in it stands for.
    Expression {
        /// The expression.
        text: String,
        /// The declared text by the reference.
        references: BTreeMap<String, String>,
    },
}

impl fmt::Display for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAssertion => "NOASSERTION",
            Self::Expression { text, .. } => text,
        })
    }
}

/// Reads a declared licence.
///
/// Known ids are spelt as the list of SPDX spells them. What is no expression becomes one
/// `LicenseRef-`, and so does an id that is not on the list.
pub fn parse_license(declared: &str) -> License {
    let declared = declared.trim();
    let nothing = ["", "none", "noassertion", "unknown", "n/a", "unlicensed"];
    if nothing.contains(&declared.to_ascii_lowercase().as_str()) || declared.len() > MAX_LENGTH {
        return License::NoAssertion;
    }
    let mut parser = Parser {
        tokens: tokens(declared),
        at: 0,
        references: BTreeMap::new(),
    };
    if let Some(text) = parser.any(0).filter(|_| parser.at == parser.tokens.len()) {
        return License::Expression {
            text,
            references: parser.references,
        };
    }
    let id = reference(declared);
    License::Expression {
        references: BTreeMap::from([(id.clone(), declared.to_owned())]),
        text: id,
    }
}

/// A legal id for a licence that is not on the list.
fn reference(text: &str) -> String {
    let mut id = String::from("LicenseRef-");
    for c in text.chars().take(LONGEST) {
        let legal = c.is_ascii_alphanumeric() || c == '.';
        match c {
            c if legal => id.push(c),
            _ if id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    let mut id = id.trim_end_matches('-').to_owned();
    if id == "LicenseRef" {
        id.push_str("-other");
    }
    if text.chars().nth(LONGEST).is_some() {
        // Texts that only differ in their ends are different licences.
        let digest = Digest::of(text.as_bytes()).hex();
        id.push_str(&format!("-{}", &digest[..8]));
    }
    id
}

fn tokens(text: &str) -> Vec<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    references: BTreeMap<String, String>,
}

impl Parser {
    /// `a OR b`, the weakest.
    fn any(&mut self, depth: usize) -> Option<String> {
        let mut out = self.all(depth)?;
        while self.take("OR") {
            out = format!("{out} OR {}", self.all(depth)?);
        }
        Some(out)
    }

    fn all(&mut self, depth: usize) -> Option<String> {
        let mut out = self.one(depth)?;
        while self.take("AND") {
            out = format!("{out} AND {}", self.one(depth)?);
        }
        Some(out)
    }

    fn one(&mut self, depth: usize) -> Option<String> {
        if depth == MAX_DEPTH {
            return None;
        }
        if self.take("(") {
            let inner = self.any(depth + 1)?;
            return self.take(")").then(|| format!("({inner})"));
        }
        let id = self.tokens.get(self.at)?.clone();
        if ["AND", "OR", "WITH", ")"]
            .iter()
            .any(|word| id.eq_ignore_ascii_case(word))
        {
            return None;
        }
        self.at += 1;
        let license = self.id(&id);
        if !self.take("WITH") {
            return Some(license);
        }
        let exception = self.tokens.get(self.at)?.clone();
        self.at += 1;
        // SPDX 2.3 knows no references for exceptions, so an unknown one makes the whole unknown.
        Some(format!("{license} WITH {}", known(EXCEPTIONS, &exception)?))
    }

    fn id(&mut self, id: &str) -> String {
        if let Some(known) = known(LICENSES, id) {
            return known.to_owned();
        }
        if let Some(known) = id.strip_suffix('+').and_then(|id| known(LICENSES, id)) {
            return format!("{known}+");
        }
        let name = id.strip_prefix("LicenseRef-").unwrap_or(id);
        let reference = reference(name);
        self.references.insert(reference.clone(), id.to_owned());
        reference
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self
            .tokens
            .get(self.at)
            .is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }
}

const LICENSES: &str = include_str!("licenses.txt");
const EXCEPTIONS: &str = include_str!("exceptions.txt");

/// The id as the list spells it.
fn known(list: &'static str, id: &str) -> Option<&'static str> {
    list.lines().find(|known| known.eq_ignore_ascii_case(id))
}

/// Joins what several declarations say, all of which hold.
pub(crate) fn join(declared: impl IntoIterator<Item = String>) -> Option<String> {
    let parts: BTreeSet<String> = declared
        .into_iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let several = parts.len() > 1;
    let wrap = |part: String| {
        if several && part.contains(char::is_whitespace) {
            format!("({part})")
        } else {
            part
        }
    };
    let joined: Vec<String> = parts.into_iter().map(wrap).collect();
    (!joined.is_empty()).then(|| joined.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_expressions_are_spelt_as_the_list_spells_them() {
        for (declared, wanted) in [
            ("mit", "MIT"),
            ("MIT OR apache-2.0", "MIT OR Apache-2.0"),
            (
                "(MIT AND bsd-3-clause) or ISC",
                "(MIT AND BSD-3-Clause) OR ISC",
            ),
            ("GPL-2.0+", "GPL-2.0+"),
            (
                "GPL-2.0-or-later WITH classpath-exception-2.0",
                "GPL-2.0-or-later WITH Classpath-exception-2.0",
            ),
            ("", "NOASSERTION"),
            ("None", "NOASSERTION"),
            (
                "Apache License, Version 2.0",
                "LicenseRef-Apache-License-Version-2.0",
            ),
            ("MIT OR", "LicenseRef-MIT-OR"),
            ("((MIT)", "LicenseRef-MIT"),
            ("MIT AND custom:foo", "MIT AND LicenseRef-custom-foo"),
            ("MIT WITH nonsense", "LicenseRef-MIT-WITH-nonsense"),
            ("???", "LicenseRef-other"),
            ("LicenseRef-Own", "LicenseRef-Own"),
        ] {
            assert_eq!(parse_license(declared).to_string(), wanted, "{declared}");
        }
    }

    #[test]
    fn references_keep_the_declared_text() {
        let License::Expression { references, .. } = parse_license("Custom License") else {
            panic!("something is declared");
        };
        assert_eq!(references["LicenseRef-Custom-License"], "Custom License");
    }

    #[test]
    fn long_texts_that_differ_have_references_that_differ() {
        let of = |end: &str| parse_license(&format!("{} {end}", "word ".repeat(30))).to_string();
        assert_ne!(of("one"), of("two"));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{}MIT{}", "(".repeat(1000), ")".repeat(1000));
        assert!(parse_license(&deep).to_string().starts_with("LicenseRef-"));
        assert_eq!(parse_license(&"x".repeat(5000)), License::NoAssertion);
    }

    #[test]
    fn declarations_are_joined_by_and() {
        let joined = join(["MIT OR ISC".to_owned(), "BSD".to_owned(), "BSD".to_owned()]);
        assert_eq!(joined.as_deref(), Some("BSD AND (MIT OR ISC)"));
        assert_eq!(join([]), None);
    }
}
