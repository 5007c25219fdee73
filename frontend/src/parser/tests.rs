use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Parsed, detect_syntax, parse, parse_instruction};
use crate::ast::{Dockerfile, Instruction, InstructionKind, RunCommand};
use crate::render::render;
use crate::source::SourceFile;
use crate::span::Span;

mod corpus {
    use super::*;

    #[test]
    fn ok() {
        run("ok", "ast.txt", |source, parsed| {
            assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
            let mut text = dump(&parsed.ast);
            for diagnostic in &parsed.diagnostics {
                text.push_str(&render(source, diagnostic));
            }
            text
        });
    }

    #[test]
    fn err() {
        run("err", "diagnostics.txt", |source, parsed| {
            assert!(parsed.has_errors());
            parsed
                .diagnostics
                .iter()
                .map(|diagnostic| render(source, diagnostic))
                .collect()
        });
    }

    /// Compares every case of a folder; with `UPDATE_EXPECT=1` it writes what was found instead.
    fn run(folder: &str, expected: &str, actual: impl Fn(&SourceFile, &Parsed) -> String) {
        let update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
        let cases = cases(folder);
        assert!(cases.len() > 30, "only {} cases in {folder}", cases.len());
        let mut different = Vec::new();
        for case in cases {
            let bytes = fs::read(case.join("Dockerfile")).unwrap();
            let source = SourceFile::from_bytes("Dockerfile", &bytes);
            let parsed = parse(&source);
            check_spans(&source, &parsed);
            let found = actual(&source, &parsed);
            let path = case.join(expected);
            if update {
                fs::write(&path, found).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != found {
                different.push(format!("{}:\n{found}", path.display()));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
    }

    fn cases(folder: &str) -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("testdata/parser")
            .join(folder);
        let entries = fs::read_dir(root).unwrap();
        let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        cases
    }

    /// Renders a tree with all its places.
    fn dump(ast: &Dockerfile) -> String {
        let mut out = format!("escape {:?}\n", ast.escape);
        for directive in &ast.directives {
            writeln!(out, "directive {:?} {:?}", directive.kind, directive.value).unwrap();
        }
        for comment in &ast.comments {
            writeln!(
                out,
                "comment line {} {} {:?}",
                comment.line, comment.span, comment.text
            )
            .unwrap();
        }
        ast.items.iter().for_each(|item| dump_item(&mut out, item));
        out
    }

    fn dump_item(out: &mut String, item: &Instruction) {
        let (lines, keyword) = (item.lines, &item.keyword);
        let (first, last) = (lines.first, lines.last);
        writeln!(out, "\nlines {first}-{last} span {} {keyword:?}", item.span).unwrap();
        writeln!(out, "original {:?}", item.original).unwrap();
        if !item.leading_comments.is_empty() {
            writeln!(out, "comments {:?}", item.leading_comments).unwrap();
        }
        for flag in &item.flags {
            writeln!(out, "flag {} {:?} {:?}", flag.span, flag.name, flag.value).unwrap();
        }
        for heredoc in &item.heredocs {
            writeln!(out, "{heredoc:#?}").unwrap();
        }
        writeln!(out, "{:#?}", item.kind).unwrap();
    }
}

/// Finds every place in the debug text of a tree: they are written `@start..end`.
fn all_places(ast: &Dockerfile) -> Vec<Span> {
    let text = format!("{ast:?}");
    let places = text.split('@').skip(1).filter_map(|rest| {
        let (start, rest) = rest.split_once("..")?;
        let end = rest.split(|ch: char| !ch.is_ascii_digit()).next()?;
        Some(Span::new(start.parse().ok()?, end.parse().ok()?))
    });
    places.collect()
}

/// All spans lie in the text, on character boundaries, and in order.
fn check_spans(source: &SourceFile, parsed: &Parsed) {
    let text = source.text();
    let valid = |span: Span| {
        assert!(text.get(span.range()).is_some(), "{span} in {text:?}");
    };
    let mut end = 0;
    for item in &parsed.ast.items {
        assert!(item.span.start >= end, "{parsed:?}");
        end = item.span.end;
        valid(item.span);
        valid(item.keyword.span);
        assert_eq!(item.lines.first, source.line_col(item.span.start).0);
        assert!(item.lines.last >= source.line_range(item.span).last);
        for flag in &item.flags {
            valid(flag.span);
            valid(flag.name.span);
            flag.value.iter().for_each(|value| valid(value.span));
        }
        for heredoc in &item.heredocs {
            valid(heredoc.word_span);
            valid(heredoc.body_span);
            assert_eq!(source.slice(heredoc.body_span), heredoc.raw);
        }
    }
    if !text.contains('@') {
        all_places(&parsed.ast).into_iter().for_each(valid);
    }
    for comment in &parsed.ast.comments {
        valid(comment.span);
        assert!(source.slice(comment.span).starts_with('#'));
    }
    for directive in &parsed.ast.directives {
        valid(directive.span);
        assert_eq!(source.slice(directive.value.span), directive.value.value);
    }
    for diagnostic in &parsed.diagnostics {
        diagnostic.labels.iter().for_each(|label| valid(label.span));
    }
}

fn parse_text(text: &str) -> Parsed {
    let source = SourceFile::new("Dockerfile", text);
    let parsed = parse(&source);
    check_spans(&source, &parsed);
    parsed
}

#[test]
fn empty_values_and_open_heredocs_lie_inside() {
    let item = |text: &str| {
        let mut parsed = parse(&SourceFile::new("Dockerfile", text));
        parsed.ast.items.remove(0)
    };
    let copy = item("COPY --from=\\\n a b\n");
    let flag = &copy.flags[0];
    let value = flag.value.as_ref().unwrap();
    assert_eq!((flag.span, value.span), (Span::new(5, 12), Span::empty(12)));
    let run = item("RUN <<EOF\n");
    let body = run.heredocs[0].body_span;
    assert_eq!((run.span, body), (Span::new(0, 10), Span::empty(10)));
}

#[test]
fn triggers() {
    let copy = parse_instruction("COPY <<EOF /x\nhello\nEOF").unwrap();
    assert_eq!(copy.heredocs[0].content, "hello\n");
    assert!(matches!(copy.kind, InstructionKind::Copy(_)));
    let run = parse_instruction("run --network=none true").unwrap();
    assert!(matches!(run.kind, InstructionKind::Run(_)));
    for (text, message) in [
        ("", "onbuild trigger should be a single expression"),
        ("# comment", "onbuild trigger should be a single expression"),
        (
            "RUN a\nRUN b",
            "onbuild trigger should be a single expression",
        ),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        (
            "MAINTAINER x",
            "MAINTAINER isn't allowed as an ONBUILD trigger",
        ),
        (
            "ONBUILD RUN x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("RUNN x", "unknown instruction: RUNN (did you mean RUN?)"),
        ("RUN <<EOF\nx", "unterminated heredoc"),
    ] {
        let diagnostics = parse_instruction(text).unwrap_err();
        assert_eq!(diagnostics[0].message, message, "{text:?}");
    }
}

/// What an ONBUILD stores, read again in the child, is the same instruction (S31).
#[test]
fn trigger_text_survives() {
    let text = "FROM a\nONBUILD RUN <<-A 3<<'B' cat /dev/fd/3\n\tone $x\n\tA\n two\nB\n";
    let parsed = parse_text(text);
    let InstructionKind::Onbuild(onbuild) = &parsed.ast.items[1].kind else {
        panic!()
    };
    let again = parse_instruction(&onbuild.text).unwrap();
    assert_eq!(again.heredocs.len(), 2);
    for (again, first) in again.heredocs.iter().zip(&onbuild.inner.heredocs) {
        let fields = |it: &crate::ast::Heredoc| {
            (
                it.name.clone(),
                it.content.clone(),
                it.expand,
                it.strip_tabs,
                it.fd,
            )
        };
        assert_eq!(fields(again), fields(first));
    }
    let InstructionKind::Run(run) = again.kind else {
        panic!()
    };
    let RunCommand::ShellWithHeredocs { script, .. } = run.command else {
        panic!()
    };
    assert_eq!(script, "<<-A 3<<'B' cat /dev/fd/3\n\tone $x\nA\n two\nB");
}

#[test]
fn syntax_detection() {
    for (text, expected) in [
        ("# syntax=a/b:1\nFROM x", Some("a/b:1")),
        ("#syntax = a/b:1  \r\nFROM x", Some("a/b:1")),
        ("#!/bin/x\n# syntax=a\n", Some("a")),
        ("\u{feff}# syntax=a\n", Some("a")),
        ("# escape=`\n# syntax=a\n", Some("a")),
        ("# comment\n# syntax=a\n", None),
        ("//syntax=a\n{}", Some("a")),
        ("#!/bin/x\n//syntax=a\n{}", Some("a")),
        ("{\"syntax\": \"a\", \"x\": 1}", Some("a")),
        ("#!/bin/x\n{\"syntax\": \"a\"}", Some("a")),
        ("{\"syntax\": 1}", None),
        ("{\"syntax\": \"a\"", None),
        ("FROM x", None),
        ("", None),
    ] {
        let found = detect_syntax(&SourceFile::new("Dockerfile", text));
        assert_eq!(
            found.map(|value| value.value).as_deref(),
            expected,
            "{text:?}"
        );
    }
}

/// Ten times the lines take about ten times as long, and ten thousand lines well under a second.
#[test]
fn time_is_linear() {
    let block = "# note\nRUN a \\\n  && b # c\nCOPY --from=x a b c/\nENV A=\"$B\" C='d e'\n";
    let heredoc = "RUN <<EOF\nline\nline\nEOF\n";
    let text = format!("FROM x\n{}", [block, heredoc].concat().repeat(1_200));
    let start = Instant::now();
    let parsed = parse(&SourceFile::new("Dockerfile", text));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(parsed.ast.items.len(), 1 + 4 * 1_200);
    assert_eq!(parsed.diagnostics, []);
}

#[test]
fn one_long_instruction_is_linear() {
    let text = format!(
        "FROM x\nRUN true \\\n{}  && true\n",
        "  && echo 'a b' \\\n".repeat(20_000)
    );
    let start = Instant::now();
    let parsed = parse(&SourceFile::new("Dockerfile", text));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(parsed.ast.items[1].lines.last, 20_003);
    let quotes = format!("FROM x\nENV {}c=d\n", "a=\"b\\\"c\" \\\n".repeat(20_000));
    assert_eq!(parse_text(&quotes).diagnostics, []);
}

/// Lines that look like Dockerfiles, with the odd character thrown in.
fn line() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "FROM",
        "run",
        "COPY",
        "ADD",
        "ENV",
        "ONBUILD",
        "HEALTHCHECK",
        "SHELL",
        "VOLUME",
        "ARG",
        "CMD",
        "NONE",
        "as",
        "--mount=type=cache,target=/x",
        "--from=",
        "--link",
        "--",
        "<<EOF",
        "3<<-'A B'",
        "EOF",
        "\\",
        "`",
        "\"",
        "'",
        "[\"a\",",
        "\"b\"]",
        "[1]",
        "$X",
        "${X:-",
        "}",
        "=",
        "a=b",
        "#",
        "# escape=`",
        "ä",
        "\u{a0}",
        "\t",
        "",
        "\\\\",
        "\u{feff}",
        "\r",
        "<<",
        "--interval=5s",
        "--retries=-1",
        "x\u{85}y",
    ]);
    prop::collection::vec(words, 0..7).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn never_panics_on_noise(text in any::<String>()) {
        parse_text(&text);
        let _unused = parse_instruction(&text);
        detect_syntax(&SourceFile::new("x", text));
    }

    #[test]
    fn never_panics_on_plausible_text(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        let parsed = parse_text(&text);
        let source = SourceFile::new("Dockerfile", text);
        for diagnostic in &parsed.diagnostics {
            prop_assert!(render(&source, diagnostic).contains(&diagnostic.message));
        }
    }

    /// A trigger text is a fixed point of reading and writing.
    #[test]
    fn trigger_text_is_stable(lines in prop::collection::vec(line(), 1..5)) {
        let text = format!("RUN x {}", lines.join("\n"));
        if let Ok(first) = parse_instruction(&text) {
            // What ends the file in a lone escape character continues when it is read again.
            prop_assume!(!first.original.ends_with('\\'));
            let written = first.text_with_heredocs();
            let second = parse_instruction(&written).unwrap();
            prop_assert_eq!(second.text_with_heredocs(), written);
        }
    }
}

#[test]
fn line_length_limit() {
    let just_fits = format!("FROM a\n# {}\r\nRUN b\n", "x".repeat(65_533));
    assert_eq!(parse_text(&just_fits).diagnostics, []);
    let too_long = format!("FROM a\nRUN <<E\n{}\nE\n", "x".repeat(65_536));
    let parsed = parse_text(&too_long);
    let expected = "dockerfile line greater than max allowed size of 65535";
    assert_eq!(parsed.diagnostics[0].message, expected);
    assert_eq!(parsed.diagnostics.len(), 1);
}
