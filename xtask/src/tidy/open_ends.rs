//! An open end names the issue that it waits for: `TODO(#12)`.

use std::path::Path;

use super::Finding;

pub(super) fn check(path: &Path, content: &str) -> Vec<Finding> {
    let source = path
        .extension()
        .is_some_and(|e| e == "rs" || e == "toml" || e == "c" || e == "h");
    // This rule and its tests have to spell the marks.
    if !source || path.ends_with("tidy/open_ends.rs") {
        return Vec::new();
    }
    let lines = content
        .lines()
        .enumerate()
        .filter(|(_, line)| is_open(line));
    lines
        .map(|(n, _)| Finding::new(path, n + 1, "an open end without an issue"))
        .collect()
}

fn is_open(line: &str) -> bool {
    let comment = ["//", "#", "/*", " *"]
        .iter()
        .filter_map(|start| line.find(start))
        .min();
    let Some(comment) = comment.map(|at| &line[at..]) else {
        return false;
    };
    ["TODO", "FIXME"].iter().any(|mark| {
        let found = comment.find(mark);
        found.is_some_and(|at| !names_issue(&comment[at + mark.len()..]))
    })
}

fn names_issue(rest: &str) -> bool {
    let number = rest
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once(')'));
    number
        .is_some_and(|(digits, _)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_need_a_number() {
        let text = "let a = 1; // TODO: later\n// TODO(#12): later\n// FIXME(#x)\nlet todo = 2;\n";
        let lines: Vec<usize> = check(Path::new("a.rs"), text)
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn text_that_is_no_comment_is_not_looked_at() {
        assert!(check(Path::new("a.rs"), "let label = \"TODO\";\n").is_empty());
        assert!(check(Path::new("list.md"), "# TODO\n").is_empty());
    }
}
