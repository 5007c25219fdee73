//! Paths as Dockerfiles know them: slashes, lexical, clamped to the root.

/// Joins `path` to the directory `dir` and cleans the result; absolute paths ignore `dir`.
///
/// A trailing slash is dropped, `..` stops at the root.
pub(super) fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { dir };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Resolves the destination of a COPY or ADD against the working directory (S38, S39).
///
/// The trailing slash, which means "a directory", is kept; empty and `.` have it by nature.
pub(super) fn destination(workdir: &str, dest: &str) -> String {
    let is_dir = dest.is_empty()
        || dest.ends_with('/')
        || matches!(dest.rsplit('/').next(), Some("." | ".."));
    let mut path = join(workdir, dest);
    if is_dir && path != "/" {
        path.push('/');
    }
    path
}

/// Cleans a source and makes it relative to the root it is taken from; `.` is the root (S32, S40).
pub(super) fn source(path: &str) -> String {
    match join("/", path).strip_prefix('/') {
        Some("") | None => ".".to_owned(),
        Some(relative) => relative.to_owned(),
    }
}

/// The same under `--parents`: the first `/./`, from which on directories are kept, stays (S47).
pub(super) fn source_with_pivot(path: &str) -> String {
    let Some((dir, rest)) = path.split_once("/./") else {
        return source(path);
    };
    let (dir, rest) = (source(dir), source(rest));
    match dir.as_str() {
        "." => rest,
        dir => format!("{dir}/./{rest}"),
    }
}

/// Makes a path a pattern that matches nothing but itself.
pub(super) fn literal(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for ch in path.chars() {
        if "*?[\\".contains(ch) {
            pattern.push('\\');
        }
        pattern.push(ch);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s39_relative_paths_start_at_the_working_directory() {
        for (dir, path, expected) in [
            ("/", "a", "/a"),
            ("/a", "b/c", "/a/b/c"),
            ("/a", "/b", "/b"),
            ("/a/b", "..", "/a"),
            ("/a", "../../../x", "/x"),
            ("/a", "./b/", "/a/b"),
            ("/", "/", "/"),
            ("", "x", "/x"),
        ] {
            assert_eq!(join(dir, path), expected, "{dir} {path}");
        }
    }

    #[test]
    fn s38_the_trailing_slash_of_a_destination_is_kept() {
        for (dest, expected) in [
            ("", "/w/"),
            (".", "/w/"),
            ("./", "/w/"),
            ("..", "/"),
            ("x", "/w/x"),
            ("x/", "/w/x/"),
            ("x/.", "/w/x/"),
            ("/", "/"),
            ("/x//y/", "/x/y/"),
        ] {
            assert_eq!(destination("/w", dest), expected, "{dest}");
        }
    }

    #[test]
    fn s40_sources_are_clamped_to_the_root() {
        for (given, expected) in [
            ("/a/b", "a/b"),
            ("../../a", "a"),
            ("dir/", "dir"),
            ("dir/.", "dir"),
            (".", "."),
            ("", "."),
            ("/", "."),
            ("a/../b*", "b*"),
        ] {
            assert_eq!(source(given), expected, "{given}");
        }
    }

    #[test]
    fn s47_the_first_pivot_is_kept() {
        for (given, expected) in [
            ("a/./b", "a/./b"),
            ("a/./b/./c", "a/./b/c"),
            ("./a/b", "a/b"),
            ("/./a", "a"),
            ("a/.", "a"),
            ("a/./", "a/./."),
            ("a/./../../b", "a/./b"),
            ("../a/./*.c", "a/./*.c"),
            ("a/../b", "b"),
        ] {
            assert_eq!(source_with_pivot(given), expected, "{given}");
        }
    }

    #[test]
    fn literal_paths_have_no_wildcards() {
        assert_eq!(literal("a/b.c"), "a/b.c");
        assert_eq!(literal("a*[b]?\\"), "a\\*\\[b]\\?\\\\");
    }
}
