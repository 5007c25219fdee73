//! `SOURCE_DATE_EPOCH`: where it comes from and what it stands for (S98).
//!
//! A `--build-arg` goes before the environment, and both before a global ARG. The value is a number of
//! seconds, or the name of something that has a time: the main context, a named context, or a stage
//! that does nothing but add one remote source. No step differs by it, unless its stage declares the
//! argument and so puts the number into the environment, as with any other argument.

use super::contexts::{Contexts, Outside};
use super::remotes::{self, Remote};
use super::scope::{Expander, Scope};
use super::stages::{StageDef, StageTable};
use crate::ast::{Add, ArgDecl, CopySource, Escape, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::pins::{Pins, RemoteNeed};
use crate::request::{MainContext, PlanRequest};
use crate::span::{Span, Spanned};
use std::borrow::Cow;

const NAME: &str = "SOURCE_DATE_EPOCH";
/// The last second of the year 9999: RFC 3339, in which images state times, has no later one.
const LAST: i64 = 253_402_300_799;

/// What the value stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    /// A time, or none.
    Known(Option<i64>),
    /// The time of something that is not pinned yet.
    Missing(RemoteNeed, Span),
}

/// Lets the environment count as a build argument.
pub(super) fn inherit(request: &PlanRequest) -> Cow<'_, PlanRequest> {
    let given = request.epoch.as_ref().filter(|text| !text.is_empty());
    match given {
        Some(text) if !request.build_args.contains_key(NAME) => {
            let mut request = request.clone();
            request.build_args.insert(NAME.to_owned(), text.clone());
            Cow::Owned(request)
        }
        _ => Cow::Borrowed(request),
    }
}

/// Finds the time; `globals` are those of the first platform.
pub(super) fn resolve(
    table: &StageTable<'_>,
    request: &PlanRequest,
    pins: &Pins,
    escape: Escape,
    globals: &Scope,
) -> Result<Epoch, Diagnostic> {
    let given = request.build_args.get(NAME).map(String::as_str);
    let value = given.or_else(|| globals.value(NAME)).unwrap_or_default();
    if value.is_empty() {
        return Ok(Epoch::Known(None));
    }
    if let Ok(seconds) = value.parse::<i64>() {
        return match seconds {
            0..=LAST => Ok(Epoch::Known(Some(seconds))),
            _ => Err(junk(table, value)),
        };
    }
    let source = match (named(request, value), stage(table, value)) {
        (Some(source), _) => source,
        (None, Some(def)) => {
            let finder = Finder {
                request,
                escape,
                globals,
            };
            let need = finder.source(def);
            Source::Fetched(need.map_err(|error| at_stage(error, def))?)
        }
        (None, None) => return Err(junk(table, value)),
    };
    let Source::Fetched(need) = source else {
        return Ok(Epoch::Known(None));
    };
    Ok(match pins.remotes.get(&need) {
        Some(pinned) => Epoch::Known(pinned.time),
        None => Epoch::Missing(need, place(table)),
    })
}

/// Puts the time found in the place of the name that stood for it.
pub(super) fn settle(
    request: &mut Cow<'_, PlanRequest>,
    globals: &mut [Scope],
    epoch: Option<i64>,
) {
    let text = epoch.map(|seconds| seconds.to_string());
    if request
        .build_args
        .get(NAME)
        .is_some_and(|given| Some(given) != text.as_ref())
    {
        let args = &mut request.to_mut().build_args;
        args.retain(|name, _| name != NAME);
        args.extend(text.clone().map(|text| (NAME.to_owned(), text)));
    }
    for scope in globals {
        match (&text, scope.value(NAME)) {
            (Some(text), Some(_)) => scope.set(NAME, text),
            (None, Some(_)) => scope.remove(NAME),
            (_, None) => {}
        }
    }
}

/// What a name stands for.
enum Source {
    /// Something that has a time.
    Fetched(RemoteNeed),
    /// A local directory or an image, which have none of their own.
    Timeless,
}

/// What the name of a context stands for.
fn named(request: &PlanRequest, value: &str) -> Option<Source> {
    let fetched = |name: &str| Source::Fetched(RemoteNeed::Context(name.to_owned()));
    if value == "context" {
        return Some(match request.context {
            MainContext::Remote => fetched(""),
            MainContext::Local | MainContext::Empty => Source::Timeless,
        });
    }
    let platform = request.target_platforms().first()?;
    let found = Contexts::new(request).find(value, platform).ok()??;
    Some(match found {
        Outside::Remote(name) => fetched(&name),
        Outside::Scratch | Outside::Image(_) | Outside::Local(_) => Source::Timeless,
    })
}

fn stage<'t, 'a>(table: &'t StageTable<'a>, value: &str) -> Option<&'t StageDef<'a>> {
    let mut stages = table.stages.iter();
    stages.find(|stage| {
        stage
            .name()
            .is_some_and(|name| name.eq_ignore_ascii_case(value))
    })
}

fn junk(table: &StageTable<'_>, value: &str) -> Diagnostic {
    let error = Diagnostic::error("invalid-epoch", format!("invalid {NAME}: {value}"));
    let error = match declaration(table) {
        Some(declaration) => error.at(declaration.span),
        None => error,
    };
    error.with_hint(
        "give seconds since 1970, `context`, a named context, or a stage that only adds a remote file",
    )
}

/// The global ARG.
fn declaration<'a>(table: &StageTable<'a>) -> Option<&'a ArgDecl> {
    let mut globals = table.globals.iter().copied().rev();
    globals.find(|declaration| declaration.name.value == NAME)
}

/// Where the time is asked for: the global ARG, else the first stage.
fn place(table: &StageTable<'_>) -> Span {
    let first = || table.stages.first().map(|stage| stage.from.image.span);
    declaration(table)
        .map(|declaration| declaration.span)
        .or_else(first)
        .unwrap_or_default()
}

fn at_stage(error: Diagnostic, def: &StageDef<'_>) -> Diagnostic {
    if error.labels.is_empty() {
        return error.at(def.from.image.span);
    }
    error
}

/// Reads a stage that stands for the time of what it adds.
struct Finder<'f> {
    request: &'f PlanRequest,
    escape: Escape,
    globals: &'f Scope,
}

impl Finder<'_> {
    fn source(&self, def: &StageDef<'_>) -> Result<RemoteNeed, Diagnostic> {
        let mut scope = self.globals.clone();
        scope.remove(NAME);
        let base = self.word(&scope, &def.from.image)?;
        if base != "scratch" {
            return Err(unfit("must use FROM scratch"));
        }
        let mut found = None;
        for item in def.body {
            match &item.kind {
                InstructionKind::Arg(declarations) => self.declare(&mut scope, declarations)?,
                InstructionKind::Add(_) if found.is_some() => {
                    return Err(unfit("must contain exactly one remote ADD").at(item.span));
                }
                InstructionKind::Add(add) => found = Some(self.added(&scope, item, add)?),
                _ => {
                    let what = format!(
                        "does not meet source-only requirements: unsupported {} instruction",
                        item.name()
                    );
                    return Err(unfit(&what).at(item.span));
                }
            }
        }
        found.ok_or_else(|| unfit("must contain exactly one remote ADD"))
    }

    fn declare(&self, scope: &mut Scope, declarations: &[ArgDecl]) -> Result<(), Diagnostic> {
        for declaration in declarations {
            let name = self.word(scope, &declaration.name)?;
            let value = match (self.request.build_args.get(&name), &declaration.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => self.word(scope, default)?,
                (None, None) => continue,
            };
            scope.set(&name, &value);
        }
        Ok(())
    }

    fn added(
        &self,
        scope: &Scope,
        item: &Instruction,
        add: &Add,
    ) -> Result<RemoteNeed, Diagnostic> {
        let [CopySource::Path(path)] = add.sources.as_slice() else {
            return Err(unfit("must contain exactly one remote ADD source").at(item.span));
        };
        let text = self.word(scope, path)?;
        let keep = add.flags.keep_git_dir.as_ref().map(|keep| keep.value);
        let checksum = match &add.flags.checksum {
            Some(flag) => Some(Spanned::new(self.word(scope, flag)?, flag.span)),
            None => None,
        };
        let checksum = checksum.as_ref().filter(|flag| !flag.value.is_empty());
        match remotes::find(&text, keep, path.span)? {
            Some(Remote::File(url)) => remotes::file(url, checksum),
            Some(Remote::Repository(url)) => remotes::repository(&url, keep, checksum, path.span),
            None => Err(unfit("source must be a single HTTP(S) or Git ADD").at(path.span)),
        }
    }

    fn word(&self, scope: &Scope, text: &Spanned<String>) -> Result<String, Diagnostic> {
        Expander::new(scope, self.escape).word(&text.value, text.span)
    }
}

fn unfit(what: &str) -> Diagnostic {
    Diagnostic::error("invalid-epoch", format!("{NAME} stage {what}"))
}
