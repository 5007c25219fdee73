//! Checks against the ignore file.

use super::{Row, check_all, check_with};

#[track_caller]
fn ignoring(ignore: &str, rows: &[Row]) {
    check_with(rows, |request| request.ignore = Some(ignore.to_owned()));
}

#[test]
fn copies_of_what_is_ignored() {
    ignoring(
        "Dockerfile\nbuild/\n*.log\n",
        &[
            (
                "COPY and ADD",
                "FROM scratch\nCOPY Dockerfile .\nADD Dockerfile /windy\n",
                &[
                    "CopyIgnoredFile: Attempting to Copy file \"Dockerfile\" that is excluded by .dockerignore (line 2)",
                    "CopyIgnoredFile: Attempting to Add file \"Dockerfile\" that is excluded by .dockerignore (line 3)",
                ],
            ),
            (
                "below a directory",
                "FROM scratch\nCOPY ./build/out/ /\n",
                &[
                    "CopyIgnoredFile: Attempting to Copy file \"build/out\" that is excluded by .dockerignore (line 2)",
                ],
            ),
            (
                "out of a variable",
                "FROM scratch\nARG F=x.log\nCOPY a $F /\n",
                &[
                    "CopyIgnoredFile: Attempting to Copy file \"x.log\" that is excluded by .dockerignore (line 3)",
                ],
            ),
            ("another file", "FROM scratch\nCOPY f /Dockerfile\n", &[]),
            (
                "of a stage",
                "FROM scratch AS a\nCOPY f /\nFROM scratch\nCOPY --from=a /Dockerfile /\n",
                &[],
            ),
            (
                "an address",
                "FROM scratch\nADD https://example.com/x.log /\n",
                &[],
            ),
            (
                "a heredoc",
                "FROM scratch\nCOPY <<Dockerfile /\nx\nDockerfile\n",
                &[],
            ),
        ],
    );
}

#[test]
fn rules_with_exceptions_are_not_judged() {
    ignoring("*\n!f\n", &[("silent", "FROM scratch\nCOPY g /\n", &[])]);
    ignoring("[\n", &[("unreadable", "FROM scratch\nCOPY g /\n", &[])]);
    check_all(&[("s115 no file", "FROM scratch\nCOPY g /\n", &[])]);
}

#[test]
fn contexts_from_elsewhere_have_no_ignore_file() {
    let rows: &[Row] = &[("remote", "FROM scratch\nCOPY g /\n", &[])];
    check_with(rows, |request| {
        request.ignore = Some("g\n".to_owned());
        request.context = crate::MainContext::Remote;
    });
}
