//! Comma-separated attributes, the form that most flags with several parts have.

use anyhow::{Result, bail};

/// One attribute: what stands before and behind its `=`, the key in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// What it is called, or the whole field where there is no `=`.
    pub(crate) key: String,
    /// Its value; none where there is no `=`.
    pub(crate) value: Option<String>,
}

impl From<String> for Attribute {
    fn from(field: String) -> Self {
        match field.split_once('=') {
            Some((key, value)) => Self {
                key: key.trim().to_ascii_lowercase(),
                value: Some(value.to_owned()),
            },
            None => Self {
                key: field,
                value: None,
            },
        }
    }
}

impl Attribute {
    /// The value of an attribute that needs one.
    pub(crate) fn value(&self) -> Result<&str> {
        match &self.value {
            Some(value) => Ok(value),
            None => bail!("`{}` has no value, expected `{}=VALUE`", self.key, self.key),
        }
    }
}

/// Splits a text into attributes.
pub(crate) fn attributes(text: &str) -> Result<Vec<Attribute>> {
    Ok(fields(text)?.into_iter().map(Attribute::from).collect())
}

/// Splits a text at its commas. A field that begins with a double quote ends with one, and holds
/// commas as they are and double quotes doubled; so does one whose value begins with one.
pub(crate) fn fields(text: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (field, behind) = match (rest.strip_prefix('"'), quoted_value(rest)) {
            (Some(quoted), _) => quoted_field(quoted)?,
            (None, Some((key, quoted))) => {
                let (value, behind) = quoted_field(quoted)?;
                (format!("{key}={value}"), behind)
            }
            (None, None) => plain_field(rest)?,
        };
        found.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(found),
        }
    }
}

/// The key of a field such as `key="a,b"`, and what stands behind the opening quote. Shells take
/// quotes away, so that people write them where they look right rather than around the field.
fn quoted_value(text: &str) -> Option<(&str, &str)> {
    let (key, quoted) = text.split_once("=\"")?;
    let is_key = !key.is_empty() && !key.contains([',', '"', '=']);
    is_key.then_some((key, quoted))
}

fn plain_field(text: &str) -> Result<(String, Option<&str>)> {
    let (field, behind) = match text.split_once(',') {
        Some((field, behind)) => (field, Some(behind)),
        None => (text, None),
    };
    if field.contains('"') {
        bail!("`{field}` has a double quote inside; put the whole field in double quotes");
    }
    Ok((field.to_owned(), behind))
}

/// Reads up to the closing quote; `text` begins behind the opening one.
fn quoted_field(text: &str) -> Result<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text;
    while let Some((part, behind)) = rest.split_once('"') {
        field.push_str(part);
        if let Some(behind) = behind.strip_prefix('"') {
            field.push('"');
            rest = behind;
        } else if let Some(behind) = behind.strip_prefix(',') {
            return Ok((field, Some(behind)));
        } else if behind.is_empty() {
            return Ok((field, None));
        } else {
            bail!("`{behind}` follows a closing double quote, expected a comma");
        }
    }
    bail!("a double quote is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_commas_outside_of_quotes() {
        for (text, expected) in [
            ("", &[""][..]),
            ("a", &["a"]),
            ("a,b=c", &["a", "b=c"]),
            ("a,,b,", &["a", "", "b", ""]),
            (" a , b", &[" a ", " b"]),
            (r#""a,b",c"#, &["a,b", "c"]),
            (r#"c,"a,b""#, &["c", "a,b"]),
            (r#""a""b""#, &[r#"a"b"#]),
            (r#""""#, &[""]),
            (r#""""""#, &[r#"""#]),
            (r#""ä,ö""#, &["ä,ö"]),
            (r#"k="a,b",c"#, &["k=a,b", "c"]),
            (r#"k="a""b""#, &[r#"k=a"b"#]),
            (r#"k="""#, &["k="]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text}");
        }
        for (text, words) in [
            (r#"a"b"#, "put the whole field in double quotes"),
            (r#""a"#, "never closed"),
            (r#"""#, "never closed"),
            (r#"k=a"b""#, "put the whole field in double quotes"),
            (r#"="a""#, "put the whole field in double quotes"),
            (r#"a=b="c""#, "put the whole field in double quotes"),
            (r#"k="a"#, "never closed"),
            (r#"k="a"b"#, "`b` follows a closing double quote"),
            (r#""a"b,c"#, "`b,c` follows a closing double quote"),
        ] {
            let error = fields(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn attributes_have_lower_case_keys_and_untouched_values() {
        let found = attributes("TYPE=File, Id =a=b ,flag,empty=").unwrap();
        let pairs: Vec<_> = found
            .iter()
            .map(|a| (a.key.as_str(), a.value.as_deref()))
            .collect();
        let expected = [
            ("type", Some("File")),
            ("id", Some("a=b ")),
            ("flag", None),
            ("empty", Some("")),
        ];
        assert_eq!(pairs, expected);
        let error = found[2].value().unwrap_err().to_string();
        assert_eq!(error, "`flag` has no value, expected `flag=VALUE`");
    }
}
