//! The typed arguments of all instructions but COPY and ADD.

use std::time::Duration;

use super::build::Input;
use super::duration::{self, DurationError};
use super::flags::{Flags, Takes};
use super::line::Piece;
use super::{json, words};
use crate::ast::{
    ArgDecl, Command, Expose, From, Healthcheck, HealthcheckTest, KeyValue, MountSpec, Run,
    RunCommand, RunFlags, RunNetwork, RunSecurity, Volume,
};
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

/// Refuses all flags.
pub(super) fn no_flags(input: Input<'_>) -> Result<(), Diagnostic> {
    Flags::check(&input.head.flags, &[]).map(drop)
}

/// FROM.
pub(super) fn from(input: Input<'_>) -> Result<From, Diagnostic> {
    let words = words::plain(input.head.args);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, by, name] if by.text().eq_ignore_ascii_case("as") => {
            (image, Some(stage_name(*name)?))
        }
        _ => return Err(arity(input, "FROM requires either one or three arguments")),
    };
    let flags = Flags::check(&input.head.flags, &[("platform", Takes::Value)])?;
    Ok(From {
        platform: flags.value("platform"),
        image: image.spanned(),
        name,
    })
}

fn stage_name(word: Piece<'_>) -> Result<Spanned<String>, Diagnostic> {
    let name = word.text().to_lowercase();
    let tail_ok = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if tail_ok && name.starts_with(|ch: char| ch.is_ascii_lowercase()) {
        return Ok(Spanned::new(name, word.span()));
    }
    let message = format!(
        "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
        word.text()
    );
    Err(Diagnostic::error("invalid-stage-name", message).at(word.span()))
}

/// ARG.
pub(super) fn arg(input: Input<'_>) -> Result<Vec<ArgDecl>, Diagnostic> {
    no_flags(input)?;
    let words = words::quoted(input.head.args, input.escape);
    if words.is_empty() {
        return Err(at_least_one(input));
    }
    words
        .into_iter()
        .map(|word| arg_decl(input, word))
        .collect()
}

fn arg_decl(input: Input<'_>, word: Piece<'_>) -> Result<ArgDecl, Diagnostic> {
    let (name, default) = match word.text().find('=') {
        Some(at) => (word.sub(0..at), Some(word.from(at + 1).spanned())),
        None => (word, None),
    };
    if name.is_empty() {
        return Err(blank_name(input, word));
    }
    Ok(ArgDecl {
        name: name.spanned(),
        default,
        span: word.span(),
    })
}

/// ENV and LABEL.
pub(super) fn key_values(input: Input<'_>) -> Result<Vec<KeyValue>, Diagnostic> {
    no_flags(input)?;
    let words = words::quoted(input.head.args, input.escape);
    let Some(first) = words.first() else {
        return Err(at_least_one(input));
    };
    if !first.text().contains('=') {
        return legacy_pair(input).map(|pair| vec![pair]);
    }
    words
        .into_iter()
        .map(|word| key_value(input, word))
        .collect()
}

fn key_value(input: Input<'_>, word: Piece<'_>) -> Result<KeyValue, Diagnostic> {
    let Some(at) = word.text().find('=') else {
        let text = word.text();
        let message =
            format!("Syntax error - can't find = in {text:?}. Must be of the form: name=value");
        return Err(Diagnostic::error("missing-equals", message).at(word.span()));
    };
    if at == 0 {
        return Err(blank_name(input, word));
    }
    let (key, value) = (word.sub(0..at).spanned(), word.from(at + 1).spanned());
    Ok(KeyValue {
        key,
        value,
        span: word.span(),
        legacy: false,
    })
}

/// `KEY rest of the line`.
fn legacy_pair(input: Input<'_>) -> Result<KeyValue, Diagnostic> {
    let (key, value) = words::first_word(input.head.args);
    if value.is_empty() {
        return Err(arity(
            input,
            &format!("{} must have two arguments", input.head.name()),
        ));
    }
    let span = key.span().to(value.span());
    Ok(KeyValue {
        key: key.spanned(),
        value: value.spanned(),
        span,
        legacy: true,
    })
}

/// Instructions that take the rest of the line.
pub(super) fn single(input: Input<'_>) -> Result<Spanned<String>, Diagnostic> {
    no_flags(input)?;
    if input.head.args.is_empty() {
        let message = format!("{} requires exactly one argument", input.head.name());
        return Err(arity(input, &message));
    }
    Ok(input.head.args.spanned())
}

/// CMD and ENTRYPOINT.
pub(super) fn command(input: Input<'_>) -> Result<Command, Diagnostic> {
    no_flags(input)?;
    shell_or_exec(input.head.args)
}

fn shell_or_exec(args: Piece<'_>) -> Result<Command, Diagnostic> {
    Ok(match json::strings(args)? {
        Some(words) => Command::Exec(words),
        None => Command::Shell(args.spanned()),
    })
}

/// SHELL.
pub(super) fn shell(input: Input<'_>) -> Result<Vec<Spanned<String>>, Diagnostic> {
    no_flags(input)?;
    match json::strings(input.head.args)? {
        Some(words) if !words.is_empty() => Ok(words),
        None if !input.head.args.is_empty() => {
            let message = "SHELL requires the arguments to be in JSON form";
            let diagnostic = arity(input, message);
            Err(diagnostic
                .with_hint("write `SHELL [\"/bin/sh\", \"-c\"]`; JSON doubles every `\\`"))
        }
        _ => Err(at_least_one(input)),
    }
}

/// EXPOSE.
pub(super) fn expose(input: Input<'_>) -> Result<Expose, Diagnostic> {
    no_flags(input)?;
    let words = words::plain(input.head.args);
    if words.is_empty() {
        return Err(at_least_one(input));
    }
    Ok(Expose {
        ports: words.into_iter().map(Piece::spanned).collect(),
    })
}

/// VOLUME.
pub(super) fn volume(input: Input<'_>) -> Result<Volume, Diagnostic> {
    no_flags(input)?;
    let args = input.head.args;
    let paths = match json::strings(args)? {
        Some(paths) => paths,
        None => words::plain(args).into_iter().map(Piece::spanned).collect(),
    };
    if paths.is_empty() {
        return Err(at_least_one(input));
    }
    if let Some(blank) = paths.iter().find(|path| path.value.trim().is_empty()) {
        let message = "VOLUME specified can not be an empty string";
        return Err(Diagnostic::error("empty-volume", message).at(blank.span));
    }
    Ok(Volume {
        paths: paths
            .into_iter()
            .map(|path| path.map(|it| it.trim().to_owned()))
            .collect(),
    })
}

/// HEALTHCHECK.
pub(super) fn healthcheck(input: Input<'_>) -> Result<Healthcheck, Diagnostic> {
    let flags = Flags::check(
        &input.head.flags,
        &[
            ("interval", Takes::Value),
            ("timeout", Takes::Value),
            ("start-period", Takes::Value),
            ("start-interval", Takes::Value),
            ("retries", Takes::Value),
        ],
    )?;
    Ok(Healthcheck {
        test: healthcheck_test(input)?,
        interval: interval(flags, "interval")?,
        timeout: interval(flags, "timeout")?,
        start_period: interval(flags, "start-period")?,
        start_interval: interval(flags, "start-interval")?,
        retries: retries(flags)?,
    })
}

fn healthcheck_test(input: Input<'_>) -> Result<HealthcheckTest, Diagnostic> {
    let (kind, rest) = words::first_word(input.head.args);
    match kind.text().to_ascii_uppercase().as_str() {
        "" => Err(at_least_one(input)),
        "NONE" if rest.is_empty() => Ok(HealthcheckTest::None),
        "NONE" => Err(arity(input, "HEALTHCHECK NONE takes no arguments")),
        "CMD" => match shell_or_exec(rest)? {
            Command::Shell(text) if text.value.is_empty() => Err(no_test(input)),
            Command::Exec(words) if words.is_empty() => Err(no_test(input)),
            command => Ok(HealthcheckTest::Cmd(command)),
        },
        other => {
            let message = format!("unknown type {other:?} in HEALTHCHECK (try CMD)");
            Err(Diagnostic::error("unknown-healthcheck", message).at(kind.span()))
        }
    }
}

fn no_test(input: Input<'_>) -> Diagnostic {
    arity(input, "missing command after HEALTHCHECK CMD")
}

fn interval(flags: Flags<'_>, name: &str) -> Result<Option<Spanned<Duration>>, Diagnostic> {
    let Some(value) = flags.value(name).filter(|value| !value.value.is_empty()) else {
        return Ok(None);
    };
    let too_short = || format!("Interval {name:?} cannot be less than 1ms");
    let message = match duration::parse(&value.value) {
        Ok(found) if found.is_zero() || found >= Duration::from_millis(1) => {
            return Ok(Some(value.map(|_| found)));
        }
        Ok(_) | Err(DurationError::Negative) => too_short(),
        Err(DurationError::Invalid(message)) => message,
    };
    Err(Diagnostic::error("invalid-duration", message).at(value.span))
}

fn retries(flags: Flags<'_>) -> Result<Option<Spanned<u32>>, Diagnostic> {
    let Some(value) = flags
        .value("retries")
        .filter(|value| !value.value.is_empty())
    else {
        return Ok(None);
    };
    let message = match value.value.parse::<i32>().map(|n| (n, u32::try_from(n))) {
        Ok((_, Ok(retries))) => return Ok(Some(value.map(|_| retries))),
        Ok((negative, Err(_))) => format!("--retries cannot be negative ({negative})"),
        Err(_) => format!("--retries must be a whole number, not {:?}", value.value),
    };
    Err(Diagnostic::error("invalid-retries", message).at(value.span))
}

/// RUN.
pub(super) fn run(input: Input<'_>) -> Result<Run, Diagnostic> {
    let flags = Flags::check(
        &input.head.flags,
        &[
            ("mount", Takes::Values),
            ("network", Takes::Value),
            ("security", Takes::Value),
            ("device", Takes::Values),
        ],
    )?;
    let mounts: Result<Vec<_>, _> = flags.values("mount").map(mount).collect();
    let flags = RunFlags {
        mounts: mounts?,
        network: flags.value("network").map(network).transpose()?,
        security: flags.value("security").map(security).transpose()?,
        devices: flags.values("device").collect(),
    };
    Ok(Run {
        flags,
        command: run_command(input)?,
    })
}

fn run_command(input: Input<'_>) -> Result<RunCommand, Diagnostic> {
    let args = input.head.args;
    let line = args.spanned();
    match (json::strings(args)?, input.words) {
        (Some(words), _) if !words.is_empty() => Ok(RunCommand::Exec(words)),
        (Some(_), _) => Err(at_least_one(input)),
        (None, _) if args.is_empty() => Err(at_least_one(input)),
        (None, []) => Ok(RunCommand::Shell(line)),
        (None, [word]) if word.piece.len() == args.len() => Ok(RunCommand::Heredoc { word: line }),
        (None, _) => {
            let mut script = line.value.clone();
            for heredoc in input.heredocs {
                heredoc.append_to(&mut script);
            }
            Ok(RunCommand::ShellWithHeredocs { line, script })
        }
    }
}

fn mount(value: Spanned<String>) -> Result<MountSpec, Diagnostic> {
    let span = value.span;
    MountSpec::parse(value)
        .map_err(|error| Diagnostic::error("invalid-mount", error.message).at(span))
}

fn network(value: Spanned<String>) -> Result<Spanned<RunNetwork>, Diagnostic> {
    let mode = match value.as_str() {
        "default" => RunNetwork::Default,
        "none" => RunNetwork::None,
        "host" => RunNetwork::Host,
        other => {
            let message = format!("invalid network mode {other:?}");
            let diagnostic = Diagnostic::error("invalid-network", message).at(value.span);
            return Err(diagnostic.suggest(other, ["default", "none", "host"]));
        }
    };
    Ok(value.map(|_| mode))
}

fn security(value: Spanned<String>) -> Result<Spanned<RunSecurity>, Diagnostic> {
    let mode = match value.as_str() {
        "sandbox" => RunSecurity::Sandbox,
        "insecure" => RunSecurity::Insecure,
        other => {
            let message = format!("security {other:?} is not valid");
            let diagnostic = Diagnostic::error("invalid-security", message).at(value.span);
            return Err(diagnostic.suggest(other, ["sandbox", "insecure"]));
        }
    };
    Ok(value.map(|_| mode))
}

/// An error about the number or form of arguments.
pub(super) fn arity(input: Input<'_>, message: &str) -> Diagnostic {
    Diagnostic::error("arguments", message).at(input.head.all.span())
}

/// The error of an instruction without arguments.
pub(super) fn at_least_one(input: Input<'_>) -> Diagnostic {
    arity(
        input,
        &format!("{} requires at least one argument", input.head.name()),
    )
}

fn blank_name(input: Input<'_>, word: Piece<'_>) -> Diagnostic {
    let message = format!("{} names can not be blank", input.head.name());
    Diagnostic::error("blank-name", message).at(word.span())
}
