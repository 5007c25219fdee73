//! Reads `WWW-Authenticate` (RFC 9110, RFC 6750, and the distribution project's token scheme).

/// What a registry asks for before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token of a token server.
    Bearer(Bearer),
    /// Name and password with every request.
    Basic,
}

/// Where tokens are given, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The address that gives tokens.
    pub(crate) realm: String,
    /// The name of the registry there.
    pub(crate) service: Option<String>,
    /// What the token is to allow.
    pub(crate) scope: Option<String>,
}

impl Challenge {
    /// The best of all challenges of an answer: a token goes before a password.
    pub(crate) fn best<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut best = None;
        for (scheme, parameters) in values.flat_map(split) {
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => {
                    if let Some(bearer) = Bearer::of(parameters) {
                        return Some(Self::Bearer(bearer));
                    }
                }
                "basic" => best = Some(Self::Basic),
                _ => {}
            }
        }
        best
    }
}

impl Bearer {
    fn of(parameters: Vec<(String, String)>) -> Option<Self> {
        let mut found = Self {
            realm: String::new(),
            service: None,
            scope: None,
        };
        for (key, value) in parameters {
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

type Split = Vec<(String, Vec<(String, String)>)>;

/// Splits `Scheme key="value", key=value, Other key=value`; commas within quotes belong to the value.
fn split(mut rest: &str) -> Split {
    let mut found = Split::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let end = rest.find(['=', ' ', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            return found;
        }
        let after = after.trim_start_matches([' ', '\t']);
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_owned(), value));
            }
            rest = after;
        } else {
            // A word without a value begins another challenge.
            found.push((word.to_owned(), Vec::new()));
            rest = after;
        }
    }
}

fn value_of(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquote(quoted);
    }
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
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

    fn bearer(text: &str) -> Bearer {
        match Challenge::best([text].into_iter()) {
            Some(Challenge::Bearer(bearer)) => bearer,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_usual_form() {
        let text = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push",error="invalid_token""#;
        let challenge = bearer(text);
        assert_eq!(challenge.realm, "https://auth.example/token");
        assert_eq!(challenge.service.as_deref(), Some("registry.example"));
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
    }

    #[test]
    fn odd_forms() {
        let challenge = bearer(r#"bearer Realm=http://x/t , service="a \"b\"""#);
        assert_eq!(challenge.realm, "http://x/t");
        assert_eq!(challenge.service.as_deref(), Some("a \"b\""));
        assert_eq!(challenge.scope, None);
        for text in [
            "",
            "Bearer",
            "Negotiate abc==",
            "Bearer service=\"x\"",
            "Bearer realm=\"",
            "=,=,\"",
            "a=b",
        ] {
            assert_eq!(Challenge::best([text].into_iter()), None, "{text}");
        }
    }

    #[test]
    fn of_several_the_best() {
        let all = [r#"Basic realm="x""#, r#"Bearer realm="t""#];
        assert_eq!(
            Challenge::best(all[..1].iter().copied()),
            Some(Challenge::Basic)
        );
        for values in [
            all.to_vec(),
            vec![r#"Basic realm="x, y", Bearer realm="t""#],
            vec!["Negotiate, Bearer realm=t, Basic"],
        ] {
            let found = Challenge::best(values.iter().copied());
            assert!(
                matches!(&found, Some(Challenge::Bearer(b)) if b.realm == "t"),
                "{values:?}: {found:?}"
            );
        }
        assert_eq!(
            Challenge::best(["Basic"].into_iter()),
            Some(Challenge::Basic)
        );
    }
}
