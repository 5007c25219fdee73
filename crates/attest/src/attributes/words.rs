use super::AttributeError;

/// A boolean in Go's spellings, which is what people's scripts hold.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The `name=value` parts of a comma-separated list, in which a part may be quoted as in CSV.
pub(super) fn pairs(flag: &str, text: &str) -> Result<Vec<(String, String)>, AttributeError> {
    let parts = split(text).ok_or_else(|| AttributeError::Quotes(text.to_owned()))?;
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_ascii_lowercase(), value.to_owned())),
            None => Err(AttributeError::NoValue {
                flag: flag.to_owned(),
                part,
            }),
        })
        .collect()
}

/// Splits one line of CSV; `None` when a quote is not closed. A doubled quote is a quote.
fn split(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut parts, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => parts.push(String::new()),
            c => push(&mut parts, c),
        }
    }
    (!quoted).then_some(parts)
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parts_hold_commas() {
        let parsed = pairs("--sbom", "\"generator=a,b\", X=\"\"\"q\"\"\",y=").unwrap();
        let expected = [("generator", "a,b"), ("x", "\"q\""), ("y", "")];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_part_without_value_and_an_open_quote_are_named() {
        let error = pairs("--provenance", "mode").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`mode` in `--provenance` is no `name=value`"
        );
        let error = pairs("--provenance", "\"mode=min").unwrap_err();
        assert_eq!(error.to_string(), "a quote in `\"mode=min` is not closed");
    }
}
