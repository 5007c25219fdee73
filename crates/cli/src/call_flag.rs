//! `--call` and `--check`.

use crate::flags::BuildFlags;
use acetate_frontend::{checks, did_you_mean};
use anyhow::{Result, bail};

/// What is asked instead of a build, and how the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// The question.
    pub(crate) question: Question,
    /// Whether the answer is JSON.
    pub(crate) is_json: bool,
    /// Whether warnings are no failure.
    pub(crate) ignores_status: bool,
}

/// A question about a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// What the checks find.
    Check,
    /// What the target can be given.
    Outline,
    /// Which stages there are.
    Targets,
    /// Which questions there are.
    Describe,
}

/// The names of questions; a build is none.
const NAMES: [(&str, Option<Question>); 6] = [
    ("build", None),
    ("check", Some(Question::Check)),
    ("lint", Some(Question::Check)),
    ("outline", Some(Question::Outline)),
    ("targets", Some(Question::Targets)),
    ("subrequests.describe", Some(Question::Describe)),
];

/// What the flags ask instead of a build, if they do.
pub(crate) fn wanted(flags: &BuildFlags) -> Result<Option<Call>> {
    if flags.check {
        return Ok(Some(Call {
            question: Question::Check,
            is_json: false,
            ignores_status: false,
        }));
    }
    flags.call.as_deref().map_or(Ok(None), parse)
}

/// Reads `NAME[,format=json]`.
fn parse(text: &str) -> Result<Option<Call>> {
    let mut question = None;
    let (mut is_json, mut ignores_status) = (false, false);
    for (idx, field) in text.split(',').map(str::trim).enumerate() {
        match field.split_once('=') {
            None if idx == 0 => question = named(field)?,
            Some(("format", "json")) => is_json = true,
            Some(("format", "text")) => is_json = false,
            Some(("format", other)) => bail!("--call format={other}: expected text or json"),
            Some(("ignorestatus", value)) => ignores_status = matches!(value, "true" | "1"),
            _ => bail!("--call {text}: `{field}` is neither a question nor `format=json`"),
        }
    }
    Ok(question.map(|question| Call {
        question,
        is_json,
        ignores_status,
    }))
}

fn named(name: &str) -> Result<Option<Question>> {
    if let Some((_, question)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*question);
    }
    let guess = did_you_mean(name, NAMES.iter().map(|(known, _)| *known));
    let guess = guess.map_or_else(String::new, |guess| format!(" (did you mean {guess}?)"));
    bail!("--call {name}: expected build, check, outline, targets or subrequests.describe{guess}")
}

/// The experimental checks that are asked for.
pub(crate) fn checks(given: &[String]) -> Result<Vec<String>> {
    for name in given {
        if name != "all" && checks::find(name).is_none() {
            let guess = did_you_mean(name, checks::RULES.iter().map(|rule| rule.name));
            let guess = guess.map_or_else(String::new, |guess| format!(" (did you mean {guess}?)"));
            bail!("--checks {name}: no check has this name{guess}");
        }
    }
    Ok(given.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{Call, Question, checks, parse};

    #[test]
    fn questions_are_read() {
        let call = |question, is_json, ignores_status| {
            Some(Call {
                question,
                is_json,
                ignores_status,
            })
        };
        for (text, expected) in [
            ("build", None),
            ("build,format=json", None),
            ("check", call(Question::Check, false, false)),
            ("lint,format=json", call(Question::Check, true, false)),
            (
                "check,ignorestatus=true",
                call(Question::Check, false, true),
            ),
            (
                "outline, format=text",
                call(Question::Outline, false, false),
            ),
            ("targets,format=json", call(Question::Targets, true, false)),
            (
                "subrequests.describe",
                call(Question::Describe, false, false),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_question_is_named() {
        for (text, error) in [
            (
                "outlin",
                "--call outlin: expected build, check, outline, targets or subrequests.describe (did you mean outline?)",
            ),
            (
                "check,format=xml",
                "--call format=xml: expected text or json",
            ),
            (
                "check,outline",
                "--call check,outline: `outline` is neither a question nor `format=json`",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn checks_are_known() {
        let list = |name: &str| checks(&[name.to_owned()]);
        assert_eq!(list("all").unwrap(), ["all"]);
        assert_eq!(list("secretcopied").unwrap(), ["secretcopied"]);
        assert_eq!(
            list("SecretsCopied").unwrap_err().to_string(),
            "--checks SecretsCopied: no check has this name (did you mean SecretCopied?)"
        );
    }
}
