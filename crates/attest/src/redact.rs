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

/// Where a URL in a running text ends: at white space or a quote.
fn url_end(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'))
        .unwrap_or(text.len())
}

/// Where the user and password of a URL without its scheme end, if it has any.
///
/// A `://` further on begins another URL of a list, or stands in a password. Nobody can tell, so
/// all in front of the last user is taken for one.
fn user_end(url: &str) -> Option<usize> {
    let nested = url
        .match_indices("://")
        .map(|(at, scheme)| at + scheme.len());
    let mut starts: Vec<usize> = std::iter::once(0).chain(nested).collect();
    starts.reverse();
    starts
        .into_iter()
        .find_map(|start| Some(start + own_user_end(&url[start..])?))
}

fn own_user_end(url: &str) -> Option<usize> {
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    authority.rfind('@').or_else(|| {
        let looks_like_user = authority
            .split_once(':')
            .is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
        let is_address = authority.starts_with('[');
        (looks_like_user && !is_address)
            .then(|| url.rfind('@'))
            .flatten()
    })
}

fn push_masked(out: &mut String, url: &str) {
    let Some(user_end) = user_end(url) else {
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
            ("https://user:pass:/x@host", "https://xxxxx:xxxxx@host"),
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
            (
                "http://a,http://u:p@b,http://c",
                "http://xxxxx:xxxxx@b,http://c",
            ),
            ("http://u:p@a,http://v:q@b/c", "http://xxxxx:xxxxx@b/c"),
            (
                "https://proxy/m@v1,https://b/x",
                "https://proxy/m@v1,https://b/x",
            ),
            ("", ""),
        ] {
            assert_eq!(redact(given), wanted, "{given}");
        }
    }
}
