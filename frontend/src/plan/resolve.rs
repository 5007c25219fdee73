//! Which stages are reachable, what each starts from and copies from, and in which order they stand.

use super::contexts::{Contexts, Outside};
use super::order;
use super::scope::{Expander, Scope};
use super::stages::StageTable;
use super::triggers::{Item, Trigger};
use super::{Findings, globals, unsupported};
use crate::ast::{Escape, InstructionKind};
use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, Pins};
use crate::request::PlanRequest;
use crate::span::{Span, Spanned};
use acetate_oci::{Platform, ReferenceParseError};
use std::collections::BTreeMap;

/// The reachable part of a Dockerfile.
#[derive(Debug)]
pub(super) struct Reached<'a> {
    /// Every stage on every platform that needs it, in no order.
    pub(super) instances: Vec<Instance<'a>>,
    /// The same by index, what is referred to first.
    pub(super) order: Vec<usize>,
    /// The target on each platform.
    pub(super) roots: Vec<usize>,
    /// The global scope of each platform.
    pub(super) globals: Vec<Scope>,
    /// Images that are not pinned yet.
    pub(super) missing: BTreeMap<ImageNeed, Span>,
}

/// One stage for one target platform.
#[derive(Debug)]
pub(super) struct Instance<'a> {
    /// Which stage.
    pub(super) stage: usize,
    /// For which target platform, by index.
    pub(super) target: usize,
    /// What its steps run on.
    pub(super) platform: Platform,
    /// What it starts from.
    pub(super) base: Origin,
    /// The expanded name of what it starts from.
    pub(super) base_name: String,
    /// True when a named context stands in for the stage; then it has no instructions.
    pub(super) replaced: bool,
    /// Its instructions, triggers of the base first.
    pub(super) items: Vec<Item<'a>>,
    /// What its children run first.
    pub(super) leaves: Vec<Trigger<'a>>,
    /// What each `--from` means, by its text.
    pub(super) copies: BTreeMap<String, Origin>,
    /// The instances it refers to and where.
    pub(super) deps: Vec<(usize, Span)>,
}

/// Where files come from.
#[expect(
    clippy::large_enum_variant,
    reason = "one a stage, and images are the common case: a box would save nothing"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing.
    Scratch,
    /// Another stage, by instance.
    Stage(usize),
    /// An image.
    Image(ImageNeed),
    /// A local directory, by the key of the named context; never the base of a stage.
    Local(String),
}

/// Finds what the target needs. Names are checked before anything is fetched.
pub(super) fn resolve<'a>(
    table: &'a StageTable<'a>,
    request: &'a PlanRequest,
    pins: &'a Pins,
    escape: Escape,
    findings: &mut Findings,
) -> Result<Reached<'a>, Diagnostic> {
    let target = table.target(request.target.as_deref())?;
    let platforms = match request.platforms.as_slice() {
        [] => std::slice::from_ref(&request.build_platform),
        platforms => platforms,
    };
    let globals: Result<Vec<Scope>, Diagnostic> = platforms
        .iter()
        .map(|platform| globals::evaluate(table, request, escape, platform))
        .collect();
    let mut resolver = Resolver {
        table,
        pins,
        escape,
        contexts: Contexts::new(request),
        platforms,
        globals: globals?,
        instances: Vec::new(),
        index: BTreeMap::new(),
        unread: Vec::new(),
        missing: BTreeMap::new(),
        forward: None,
        findings,
    };
    let roots = resolver.reach(target)?;
    let order = order::sort(table, &resolver.instances, &roots)?;
    if let Some(error) = resolver.forward {
        return Err(error);
    }
    let Resolver {
        instances,
        globals,
        missing,
        ..
    } = resolver;
    Ok(Reached {
        instances,
        order,
        roots,
        globals,
        missing,
    })
}

struct Resolver<'a, 'f> {
    table: &'a StageTable<'a>,
    pins: &'a Pins,
    escape: Escape,
    contexts: Contexts<'a>,
    platforms: &'a [Platform],
    globals: Vec<Scope>,
    instances: Vec<Instance<'a>>,
    index: BTreeMap<(usize, usize), usize>,
    /// Instances whose `--from`s are still to be resolved.
    unread: Vec<usize>,
    missing: BTreeMap<ImageNeed, Span>,
    /// The first copy from a stage that is defined too late; a cycle is reported before it.
    forward: Option<Diagnostic>,
    findings: &'f mut Findings,
}

/// A FROM line with its names resolved.
struct Head {
    base: HeadBase,
    base_name: String,
    platform: Option<Platform>,
    replaced: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one a stage, and images are the common case: a box would save nothing"
)]
enum HeadBase {
    Stage(usize),
    Outside(Outside),
}

impl<'a> Resolver<'a, '_> {
    fn reach(&mut self, target: usize) -> Result<Vec<usize>, Diagnostic> {
        let mut roots = Vec::with_capacity(self.platforms.len());
        for platform in 0..self.platforms.len() {
            roots.push(self.ensure(target, platform)?);
        }
        while let Some(instance) = self.unread.pop() {
            self.read_copies(instance)?;
        }
        Ok(roots)
    }

    /// The instance of a stage, made together with the chain of stages below it. Chains can be as
    /// long as the file, so this does not recurse.
    fn ensure(&mut self, stage: usize, target: usize) -> Result<usize, Diagnostic> {
        let mut chain = Vec::new();
        let mut next = Some(stage);
        while let Some(stage) = next.filter(|stage| !self.index.contains_key(&(*stage, target))) {
            let head = self.head(stage, target)?;
            next = match head.base {
                HeadBase::Stage(base) => Some(base),
                HeadBase::Outside(_) => None,
            };
            chain.push((stage, head));
        }
        for (stage, head) in chain.into_iter().rev() {
            self.create(stage, target, head)?;
        }
        Ok(self.index[&(stage, target)])
    }

    fn head(&mut self, stage: usize, target: usize) -> Result<Head, Diagnostic> {
        let def = &self.table.stages[stage];
        let mut expander = Expander::new(&self.globals[target], self.escape);
        let platform = match &def.from.platform {
            Some(text) => Some(platform_flag(&mut expander, text)?),
            None => None,
        };
        let wanted = platform.as_ref().unwrap_or(&self.platforms[target]);
        if let Some(name) = &def.from.name
            && let Some(found) = self
                .contexts
                .find(&name.value, wanted)
                .map_err(|e| bad_reference(&e, name.span))?
        {
            let base_name = name.value.clone();
            return Ok(Head {
                base: HeadBase::Outside(found),
                base_name,
                platform,
                replaced: true,
            });
        }
        let image = &def.from.image;
        let base_name = expander.word(&image.value, image.span)?;
        for (name, span) in expander.into_unset() {
            let message = format!("FROM argument '{name}' is not declared");
            let warning = Diagnostic::warning("UndefinedArgInFrom", message).at(span);
            self.findings
                .warn(warning.suggest(&name, self.globals[target].names()));
        }
        if base_name.trim().is_empty() {
            let message = format!("base name ({}) should not be blank", image.value);
            return Err(Diagnostic::error("blank-base", message)
                .at(image.span)
                .with_hint("declare the ARG in front of the first FROM and give it a default"));
        }
        let earlier = self
            .table
            .find(&base_name, stage)
            .filter(|found| *found < stage);
        let base = match earlier {
            Some(base) => HeadBase::Stage(base),
            None => HeadBase::Outside(
                self.contexts
                    .outside(&base_name, wanted)
                    .map_err(|e| bad_reference(&e, image.span))?,
            ),
        };
        Ok(Head {
            base,
            base_name,
            platform,
            replaced: false,
        })
    }

    fn create(&mut self, stage: usize, target: usize, head: Head) -> Result<(), Diagnostic> {
        let def = &self.table.stages[stage];
        let span = def.from.image.span;
        let mut platform = head
            .platform
            .unwrap_or_else(|| self.platforms[target].clone());
        let (base, inherited) = match head.base {
            HeadBase::Stage(base) => {
                let base = self.index[&(base, target)];
                // What a stage runs on is decided once, at the bottom of its chain.
                platform = self.instances[base].platform.clone();
                (Origin::Stage(base), self.instances[base].leaves.clone())
            }
            HeadBase::Outside(Outside::Scratch) => (Origin::Scratch, Vec::new()),
            HeadBase::Outside(Outside::Image(need)) => {
                let triggers = self.image_triggers(&need, span)?;
                (Origin::Image(need), triggers)
            }
            HeadBase::Outside(Outside::Local(name)) => return Err(local_base(&name, span)),
        };
        let (items, leaves) = if head.replaced {
            (Vec::new(), inherited)
        } else {
            (Item::of_stage(def, inherited), Trigger::of_stage(def))
        };
        for item in &items {
            unsupported::check(&item.instruction).map_err(|error| item.relocate(error))?;
        }
        let deps = match base {
            Origin::Stage(base) => vec![(base, span)],
            _ => Vec::new(),
        };
        let idx = self.instances.len();
        self.index.insert((stage, target), idx);
        self.unread.push(idx);
        self.instances.push(Instance {
            stage,
            target,
            platform,
            base,
            base_name: head.base_name,
            replaced: head.replaced,
            items,
            leaves,
            copies: BTreeMap::new(),
            deps,
        });
        Ok(())
    }

    /// The triggers of an image, as far as its config is known.
    fn image_triggers(
        &mut self,
        need: &ImageNeed,
        span: Span,
    ) -> Result<Vec<Trigger<'a>>, Diagnostic> {
        let Some(image) = self.pins.images.get(need) else {
            self.missing.entry(need.clone()).or_insert(span);
            return Ok(Vec::new());
        };
        image
            .config
            .config
            .on_build
            .iter()
            .map(|text| Trigger::parse(text, span))
            .collect()
    }

    fn read_copies(&mut self, instance: usize) -> Result<(), Diagnostic> {
        let froms: Vec<Spanned<String>> = self.instances[instance]
            .items
            .iter()
            .filter_map(copy_from)
            .collect();
        for from in froms {
            if self.instances[instance].copies.contains_key(&from.value) {
                continue;
            }
            let origin = self.copy_origin(instance, &from)?;
            if let Origin::Image(need) = &origin
                && !self.pins.images.contains_key(need)
            {
                self.missing.entry(need.clone()).or_insert(from.span);
            }
            if let Origin::Stage(dep) = origin {
                self.instances[instance].deps.push((dep, from.span));
            }
            self.instances[instance].copies.insert(from.value, origin);
        }
        Ok(())
    }

    /// What a `--from` means to a stage (S20, S21, S22, S114).
    fn copy_origin(
        &mut self,
        instance: usize,
        from: &Spanned<String>,
    ) -> Result<Origin, Diagnostic> {
        let Instance {
            stage,
            target,
            ref platform,
            ..
        } = self.instances[instance];
        let found = match from.value.parse::<usize>() {
            Ok(number) if number < self.table.stages.len() => Some(number),
            Ok(number) => return Err(self.bad_index(number, from.span)),
            Err(_) => self.table.find(&from.value, stage),
        };
        let Some(found) = found else {
            let outside = self.contexts.outside(&from.value, platform);
            return Ok(match outside.map_err(|e| bad_reference(&e, from.span))? {
                Outside::Scratch => Origin::Scratch,
                Outside::Image(need) => Origin::Image(need),
                Outside::Local(name) => Origin::Local(name),
            });
        };
        if found > stage && self.forward.is_none() {
            self.forward = Some(too_late(&from.value, &self.table.label(stage), from.span));
        }
        if let Some(name) = self.table.stages[found].name()
            && let Ok(Some(Outside::Local(key))) = self.contexts.find(name, &self.platforms[target])
        {
            return Ok(Origin::Local(key));
        }
        self.ensure(found, target).map(Origin::Stage)
    }

    fn bad_index(&self, number: usize, span: Span) -> Diagnostic {
        let last = self.table.stages.len() - 1;
        Diagnostic::error("stage-index", format!("invalid stage index {number}"))
            .at(span)
            .with_hint(format!("stages are counted from 0, the last one is {last}"))
    }
}

fn copy_from(item: &Item<'_>) -> Option<Spanned<String>> {
    let InstructionKind::Copy(copy) = &item.instruction.kind else {
        return None;
    };
    let from = copy
        .flags
        .from
        .clone()
        .filter(|from| !from.value.is_empty())?;
    let span = item.place(from.span);
    Some(Spanned::new(from.value, span))
}

fn platform_flag(
    expander: &mut Expander<'_>,
    text: &Spanned<String>,
) -> Result<Platform, Diagnostic> {
    let expanded = expander.word(&text.value, text.span)?;
    if expanded.is_empty() {
        let message = format!("empty platform value from expression {}", text.value);
        return Err(Diagnostic::error("invalid-platform", message).at(text.span));
    }
    expanded.parse().map_err(|error| {
        let message = format!("failed to parse platform {expanded}: {error}");
        Diagnostic::error("invalid-platform", message).at(text.span)
    })
}

fn bad_reference(error: &ReferenceParseError, span: Span) -> Diagnostic {
    Diagnostic::error("invalid-reference", error.to_string()).at(span)
}

fn local_base(name: &str, span: Span) -> Diagnostic {
    let message =
        format!("a stage that starts from the local context `{name}` is not supported yet");
    Diagnostic::error("unsupported", message)
        .at(span)
        .with_hint(format!("write `FROM scratch` and `COPY --from={name} . /`"))
}

fn too_late(from: &str, stage: &str, span: Span) -> Diagnostic {
    let message = format!(
        "cannot copy from stage \"{from}\", it needs to be defined before current stage \"{stage}\""
    );
    Diagnostic::error("stage-order", message).at(span)
}
