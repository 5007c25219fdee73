//! What holds for every text, however broken.

use crate::planned::lowered;
use acetate_frontend::ast::{Escape, Instruction, InstructionKind};
use acetate_frontend::expand::{
    ExpandError, expand_for_display, expand_heredoc, expand_keep_quotes, expand_word, expand_words,
};
use acetate_frontend::{
    Diagnostic, Parsed, PlanRequest, RemoteUrl, SourceFile, Span, detect_syntax, parse,
    parse_instruction, remote, render,
};

/// Checks everything, and says whether the text is a Dockerfile that could be built.
pub(crate) fn check(text: &str) -> bool {
    let source = SourceFile::new("Dockerfile", text);
    let parsed = parse(&source);
    places(&source, &parsed);
    for item in &parsed.ast.items {
        drop(parse_instruction(&item.text_with_heredocs()));
    }
    drop(detect_syntax(&source));
    shown(&source, &parsed.diagnostics);
    expansions(text);
    if parsed.has_errors() {
        return false;
    }
    nothing_is_lost(&source, &parsed);
    printed_again(&parsed);
    plans(&source, &parsed)
}

/// Every place lies in the text, between characters, and inside of what it belongs to.
pub(crate) fn places(source: &SourceFile, parsed: &Parsed) {
    let text = source.text();
    let valid = |span: Span| assert!(text.get(span.range()).is_some(), "{span} in {text:?}");
    let mut end = 0;
    for item in &parsed.ast.items {
        assert!(item.span.start >= end, "{} begins before {end}", item.span);
        end = item.span.end;
        valid(item.span);
        inside(item.span, item.keyword.span);
        assert_eq!(item.lines.first, source.line_col(item.span.start).0);
        for flag in &item.flags {
            inside(item.span, flag.span);
            inside(flag.span, flag.name.span);
            valid(flag.span);
            // Nothing at all may stand anywhere.
            if let Some(value) = flag.value.as_ref().filter(|it| !it.span.is_empty()) {
                inside(flag.span, value.span);
                valid(value.span);
            }
        }
        for heredoc in &item.heredocs {
            inside(item.span, heredoc.word_span);
            // One without an end goes on to the end of the file, which the instruction does not.
            if !parsed.has_errors() {
                inside(item.span, heredoc.body_span);
            }
            valid(heredoc.word_span);
            assert_eq!(source.slice(heredoc.body_span), heredoc.raw);
        }
        for span in arguments(item) {
            inside(item.span, span);
            valid(span);
        }
    }
    for comment in &parsed.ast.comments {
        valid(comment.span);
        assert!(source.slice(comment.span).starts_with('#'));
        assert_eq!(source.line_col(comment.span.start).0, comment.line);
    }
    for directive in &parsed.ast.directives {
        inside(directive.span, directive.value.span);
        assert_eq!(source.slice(directive.value.span), directive.value.value);
    }
    for label in parsed.diagnostics.iter().flat_map(|found| &found.labels) {
        valid(label.span);
    }
}

fn inside(outer: Span, inner: Span) {
    let is_inside = outer.start <= inner.start && inner.end <= outer.end;
    assert!(is_inside, "{inner} is not in {outer}");
}

fn arguments(item: &Instruction) -> Vec<Span> {
    match &item.kind {
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => pairs
            .iter()
            .flat_map(|pair| [pair.span, pair.key.span, pair.value.span])
            .collect(),
        InstructionKind::Arg(declared) => declared
            .iter()
            .flat_map(|arg| [arg.span, arg.name.span])
            .collect(),
        InstructionKind::From(from) => vec![from.image.span],
        InstructionKind::Copy(copy) => vec![copy.dest.span],
        InstructionKind::Add(add) => vec![add.dest.span],
        InstructionKind::Expose(expose) => expose.ports.iter().map(|port| port.span).collect(),
        InstructionKind::Volume(volume) => volume.paths.iter().map(|path| path.span).collect(),
        InstructionKind::Onbuild(onbuild) => vec![onbuild.inner.span],
        InstructionKind::User(word)
        | InstructionKind::Workdir(word)
        | InstructionKind::Stopsignal(word) => vec![word.span],
        _ => Vec::new(),
    }
}

fn shown(source: &SourceFile, diagnostics: &[Diagnostic]) {
    for found in diagnostics {
        let text = render::render(source, found);
        assert!(text.contains(found.message.lines().next().unwrap_or_default()));
    }
}

/// Bytes outside of all that was found are blanks, and escapes that continue an empty line.
fn nothing_is_lost(source: &SourceFile, parsed: &Parsed) {
    let text = source.text();
    let mut found = vec![false; text.len()];
    let items = parsed.ast.items.iter().map(|item| item.span);
    let comments = parsed.ast.comments.iter().map(|comment| comment.span);
    let directives = parsed.ast.directives.iter().map(|directive| directive.span);
    for span in items.chain(comments).chain(directives) {
        found[span.range()].fill(true);
    }
    let escape = parsed.ast.escape.as_char();
    let is_shebang = |at: usize| text.starts_with("#!") && at < text.find('\n').unwrap_or(at + 1);
    for (at, ch) in text.char_indices().filter(|(at, _)| !found[*at]) {
        let is_nothing = ch.is_whitespace() || ch == '\u{feff}' || ch == escape;
        assert!(
            is_nothing || is_shebang(at),
            "{ch:?} at {at} is lost in {text:?}"
        );
    }
}

/// What is written out of a tree is read as the same tree, places aside.
fn printed_again(parsed: &Parsed) {
    let ast = &parsed.ast;
    let escape = ast.escape.as_char();
    // At the end of a file an escape may stand alone; anywhere else it continues the line.
    if ast.items.iter().any(|item| item.original.ends_with(escape)) {
        return;
    }
    let print = |parsed: &Parsed| -> String {
        let head = match parsed.ast.escape {
            Escape::Backslash => "# comment\n",
            Escape::Backtick => "# escape=`\n",
        };
        let items = parsed.ast.items.iter();
        let lines = items.map(|item| item.text_with_heredocs() + "\n");
        head.to_owned() + &lines.collect::<String>()
    };
    let first = print(parsed);
    let again = parse(&SourceFile::new("Dockerfile", first.as_str()));
    assert!(!again.has_errors(), "{first:?}: {:?}", again.diagnostics);
    assert_eq!(print(&again), first);
    let names = |parsed: &Parsed| -> Vec<&str> {
        parsed
            .ast
            .items
            .iter()
            .map(|item| item.kind.name())
            .collect()
    };
    assert_eq!(names(&again), names(parsed));
}

/// Expansion ends, and errors point into the text.
pub(crate) fn expansions(text: &str) {
    let env = [("A", "1"), ("E", ""), ("S", "a  b"), ("V", "ä/b.c")];
    let place = |line: &str, error: &ExpandError| {
        assert!(line.is_char_boundary(error.offset), "{error:?} in {line:?}");
        assert!(!error.message.is_empty());
    };
    for line in text.lines() {
        for escape in [Escape::Backslash, Escape::Backtick] {
            let word = expand_word(line, escape, &env);
            let words = expand_words(line, escape, &env);
            assert_eq!(word.is_ok(), words.is_ok(), "{line:?}");
            for result in [word, expand_keep_quotes(line, escape, &env)] {
                if let Err(error) = result {
                    place(line, &error);
                }
            }
            for word in words.map(|found| found.words).unwrap_or_default() {
                assert!(!word.is_empty());
            }
            expand_for_display(line, escape, &env);
        }
        if let Err(error) = RemoteUrl::parse_context(line) {
            assert!(!error.message.is_empty());
        }
        assert!(!remote::file_name(line).contains('/'));
    }
    if let Err(error) = expand_heredoc(text, &env) {
        place(text, &error);
    }
}

fn plans(source: &SourceFile, parsed: &Parsed) -> bool {
    let platform = |text: &str| text.parse().expect("a platform");
    let one = PlanRequest::new(platform("linux/amd64"));
    let mut two = PlanRequest::new(platform("linux/amd64"));
    two.platforms = vec![platform("linux/arm64"), platform("linux/amd64")];
    two.build_args.insert("A".into(), "x y".into());
    two.target = parsed.ast.items.iter().find_map(|item| match &item.kind {
        InstructionKind::From(from) => from.name.as_ref().map(|name| name.value.clone()),
        _ => None,
    });
    let plans = |request: &PlanRequest| match lowered(&parsed.ast, request) {
        Ok(lowered) => {
            shown(source, &lowered.diagnostics);
            true
        }
        Err(found) => {
            assert!(found.last().is_some_and(Diagnostic::is_error));
            shown(source, &found);
            false
        }
    };
    plans(&two) | plans(&one)
}
