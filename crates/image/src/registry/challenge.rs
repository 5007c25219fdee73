//! Reads `WWW-Authenticate: Bearer` (RFC 6750, and the distribution project's token scheme).

/// What a registry asks for before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The address that gives tokens.
    pub(crate) realm: String,
    /// The name of the registry there.
    pub(crate) service: Option<String>,
    /// What the token is to allow.
    pub(crate) scope: Option<String>,
}

impl Challenge {
    /// Parses the header's value; `None` when it is no bearer challenge with a realm.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut found = Self {
            realm: String::new(),
            service: None,
            scope: None,
        };
        for (key, value) in parameters(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => found.realm = value,
                "service" => found.service = Some(value),
                "scope" => found.scope = Some(value),
                _ => {}
            }
        }
        (!found.realm.is_empty()).then_some(found)
    }
}

/// Splits `key="value", key=value`; commas within quotes belong to the value.
fn parameters(mut rest: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']);
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, after) = after.split_once(',').unwrap_or((after, ""));
            (value.trim().to_owned(), after)
        };
        found.push((key, value));
        rest = after;
    }
    found
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_form() {
        let text = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push",error="invalid_token""#;
        let challenge = Challenge::parse(text).unwrap();
        assert_eq!(challenge.realm, "https://auth.example/token");
        assert_eq!(challenge.service.as_deref(), Some("registry.example"));
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
    }

    #[test]
    fn odd_forms() {
        let challenge = Challenge::parse(r#"bearer Realm=http://x/t , service="a \"b\"""#).unwrap();
        assert_eq!(challenge.realm, "http://x/t");
        assert_eq!(challenge.service.as_deref(), Some("a \"b\""));
        assert_eq!(challenge.scope, None);
        for text in [
            "",
            "Bearer",
            "Basic realm=\"x\"",
            "Bearer service=\"x\"",
            "Bearer realm=\"",
        ] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
    }
}
