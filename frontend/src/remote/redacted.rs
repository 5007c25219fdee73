use std::borrow::Cow;

/// Puts `xxxxx` in place of what stands before the `@` of every address of a web server in a text.
///
/// Names of steps and lines of history hold what an instruction says, and a user or a token in an
/// address is not for everybody who sees the image. The user of an ssh address is no secret.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for scheme in ["http://", "https://"] {
        if out.contains(scheme) {
            out = Cow::Owned(without_users(&out, scheme));
        }
    }
    out
}

fn without_users(text: &str, scheme: &str) -> String {
    let mut parts = text.split(scheme);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(scheme);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let (authority, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let hidden = if user.contains(':') {
                    "xxxxx:xxxxx"
                } else {
                    "xxxxx"
                };
                out.push_str(&format!("{hidden}@{host}"));
            }
            None => out.push_str(authority),
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn users_of_web_addresses_are_hidden() {
        for (text, shown) in [
            ("ADD https://u:p@h/x /d", "ADD https://xxxxx:xxxxx@h/x /d"),
            (
                "ADD https://token@h/x.git#a@b /d",
                "ADD https://xxxxx@h/x.git#a@b /d",
            ),
            (
                "http://a@b@c:8/ http://d/e@f",
                "http://xxxxx@c:8/ http://d/e@f",
            ),
            ("[\"https://u@h\", \"/d\"]", "[\"https://xxxxx@h\", \"/d\"]"),
            ("ssh://git@h/x https://", "ssh://git@h/x https://"),
            ("git@h:x plain", "git@h:x plain"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
