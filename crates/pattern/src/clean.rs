//! Lexical path cleaning.

/// Returns the shortest path with the same meaning, without looking at any file: Go's `path.Clean`.
///
/// Doubled slashes, `.` and inner `..` vanish; `..` at the start of a relative path stays, at the root it vanishes;
/// the empty path is `.`.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if is_absolute => {}
                _ => kept.push(".."),
            },
            _ => kept.push(part),
        }
    }
    let joined = kept.join("/");
    match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn cleans() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("./.", "."),
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("a", "a"),
            ("a/", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/b/..", "a"),
            ("a/..", "."),
            ("a/../..", ".."),
            ("a/../../b", "../b"),
            ("../a", "../a"),
            ("../../a/..", "../.."),
            ("./a/b/../../c", "c"),
            ("*/../b", "b"),
            ("/a/b/../../..", "/"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
