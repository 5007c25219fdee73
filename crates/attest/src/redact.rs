/// What stands for a name or a password, in BuildKit's spelling.
const MASK: &str = "xxxxx";

/// The text with the users and passwords of all its URLs masked: `https://xxxxx:xxxxx@host`.
///
/// A text without `://` is returned as it is: `git@host:path` names a public account, not a secret.
/// A password that holds a raw slash is found as well, because its front is then no port.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url_end(after);
        let (url, following) = after.split_at(end);
        push_masked(&mut out, url);
        rest = following;
    }
    out.push_str(rest);
    out
}

/// Where a URL in a running text ends: at white space, a quote, or the next URL's scheme.
fn url_end(text: &str) -> usize {
    let end = text
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'))
        .unwrap_or(text.len());
    text[..end].find("://").unwrap_or(end)
}

fn push_masked(out: &mut String, url: &str) {
    let authority_end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let authority = &url[..authority_end];
    let user_end = authority.rfind('@').or_else(|| {
        let looks_like_user = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
        let is_address = authority.starts_with('[');
        (looks_like_user && !is_address)
            .then(|| url.rfind('@'))
            .flatten()
    });
    let Some(user_end) = user_end else {
        out.push_str(url);
        return;
    };
    let (user, has_password) = match url[..user_end].split_once(':') {
        Some((user, _)) => (user, true),
        None => (&url[..user_end], false),
    };
    if !user.is_empty() {
        out.push_str(MASK);
    }
    if has_password {
        out.push(':');
        out.push_str(MASK);
    }
    out.push_str(&url[user_end..]);
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn users_and_passwords_are_masked() {
        for (given, wanted) in [
            ("https://host/path", "https://host/path"),
            (
                "https://user:pass@host/path",
                "https://xxxxx:xxxxx@host/path",
            ),
            ("https://user@host/path", "https://xxxxx@host/path"),
            ("https://:pass@host/path", "https://:xxxxx@host/path"),
            ("https://a:b@c:d@host/x", "https://xxxxx:xxxxx@host/x"),
            ("https://user:pa/ss@host/x", "https://xxxxx:xxxxx@host/x"),
            ("https://host:80/a@v1", "https://host:80/a@v1"),
            ("https://[::1]:80/a@v1", "https://[::1]:80/a@v1"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            (
                "pip -i https://u:p@a/x --extra \"https://v@b\" ü",
                "pip -i https://xxxxx:xxxxx@a/x --extra \"https://xxxxx@b\" ü",
            ),
            (
                "git+https://t:x@h/r.git#main:dir",
                "git+https://xxxxx:xxxxx@h/r.git#main:dir",
            ),
            ("", ""),
        ] {
            assert_eq!(redact(given), wanted, "{given}");
        }
    }
}
