//! Properties of any text, by proptest.

use crate::sound;
use acetate_frontend::ast::Escape;
use acetate_frontend::expand::{expand_heredoc, expand_word, expand_words};
use acetate_frontend::{SourceFile, parse};
use proptest::prelude::*;

/// Lines of which most are right.
fn line() -> impl Strategy<Value = String> {
    let heads = prop::sample::select(vec![
        "FROM scratch",
        "FROM a AS b",
        "RUN",
        "COPY a",
        "COPY --from=b",
        "ADD https://example.com/a",
        "ENV",
        "ENV A=1",
        "ARG",
        "LABEL",
        "WORKDIR",
        "USER",
        "EXPOSE 80",
        "VOLUME",
        "CMD",
        "ENTRYPOINT",
        "SHELL",
        "HEALTHCHECK CMD",
        "ONBUILD RUN",
        "ONBUILD COPY x",
        "STOPSIGNAL",
        "MAINTAINER",
        "#",
        "# escape=`",
        "",
        "EOF",
        "run",
        "From",
    ]);
    let words = prop::sample::select(vec![
        "a",
        "/b/",
        "c=d",
        "\"e f\"",
        "'g'",
        "$A",
        "${A:-x}",
        "${A",
        "[\"h\", \"i\"]",
        "[1]",
        "<<EOF",
        "<<-\"EOF\"",
        "\\",
        "`",
        "--link",
        "--mount=type=cache,target=/c",
        "ä🦀",
        "\u{a0}",
        "# c",
    ]);
    (heads, prop::collection::vec(words, 0..4))
        .prop_map(|(head, words)| [&[head][..], &words].concat().join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn noise_is_sound(text in any::<String>()) {
        sound::check(&text);
    }

    #[test]
    fn lines_are_sound(lines in prop::collection::vec(line(), 0..14), end in "(\r?\n)?") {
        sound::check(&format!("FROM scratch\n{}{end}", lines.join("\n")));
    }

    #[test]
    fn line_endings_do_not_matter(lines in prop::collection::vec(line(), 0..10)) {
        let text = format!("FROM scratch\n{}\n", lines.join("\n"));
        prop_assume!(!text.contains("<<"));
        let unix = parse(&SourceFile::new("Dockerfile", text.as_str()));
        let dos = parse(&SourceFile::new("Dockerfile", text.replace('\n', "\r\n")));
        let originals = |parsed: &acetate_frontend::Parsed| -> Vec<String> {
            parsed.ast.items.iter().map(|item| item.original.clone()).collect()
        };
        prop_assert_eq!(originals(&unix), originals(&dos));
    }

    #[test]
    fn parsing_again_gives_the_same(lines in prop::collection::vec(line(), 0..10)) {
        let source = SourceFile::new("Dockerfile", lines.join("\n"));
        prop_assert_eq!(parse(&source), parse(&source));
    }

    #[test]
    fn comments_and_blank_lines_change_nothing(lines in prop::collection::vec(line(), 0..10)) {
        let text = format!("FROM scratch\n{}\n", lines.join("\n"));
        // A heredoc keeps them, and a continuation at the end of the file has nothing behind it.
        prop_assume!(!text.contains("<<") && !text.contains("escape"));
        let more = text.replace('\n', "\n# more\n");
        let kinds = |text: &str| -> Vec<String> {
            let parsed = parse(&SourceFile::new("Dockerfile", text));
            parsed.ast.items.iter().map(|item| item.original.clone()).collect()
        };
        prop_assert_eq!(kinds(&text), kinds(&more));
    }

    #[test]
    fn any_text_is_expanded_or_refused(text in "([$]|[{]|[}]|[:#%/?+=*-]|[\"'`]|\\\\|A|E|ä| |\n){0,30}") {
        sound::expansions(&text);
    }

    #[test]
    fn what_is_quoted_stays(text in "[^'\n]*") {
        let quoted = format!("'{text}'");
        let word = expand_word(&quoted, Escape::Backslash, &[("A", "1")]).unwrap().text;
        prop_assert_eq!(&word, &text);
        let words = expand_words(&quoted, Escape::Backslash, &[("A", "1")]).unwrap().words;
        prop_assert_eq!(words.concat(), text);
    }

    #[test]
    fn what_is_escaped_stays(text in "[^\n]*") {
        let escaped: String = text.chars().flat_map(|ch| ['\\', ch]).collect();
        let word = expand_word(&escaped, Escape::Backslash, &[("A", "1")]).unwrap().text;
        prop_assert_eq!(&word, &text);
        let body = expand_heredoc(&escaped, &[("A", "1")]).unwrap().text;
        prop_assert_eq!(body, text);
    }

    #[test]
    fn values_come_out_as_they_are(value in any::<String>()) {
        let env = [("A", value.as_str())];
        for form in ["$A", "${A}", "\"$A\"", "${A#}", "${A%%}", "${U:-$A}", "${A+\"$A\"}"] {
            let found = expand_word(form, Escape::Backslash, &env).unwrap().text;
            prop_assert_eq!(&found, &value, "{}", form);
        }
    }
}
