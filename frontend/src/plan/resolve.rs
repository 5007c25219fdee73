//! Which stages are reachable, what each starts from and copies from, and in which order they stand.

use super::contexts::{Contexts, Outside};
use super::froms::FromName;
use super::order;
use super::scope::{Expander, Scope};
use super::stages::StageTable;
use super::triggers::{Item, Trigger};
use super::{Reach, froms};
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
    /// What each `from` of a mount means, by its text: a number is no stage there.
    pub(super) mounts: BTreeMap<String, Origin>,
    /// The instances it refers to and where.
    pub(super) deps: Vec<(usize, Span)>,
}

impl Instance<'_> {
    /// The meanings of names in the place where a name stands.
    fn origins(&mut self, from: &FromName) -> &mut BTreeMap<String, Origin> {
        match from {
            FromName::Copy(_) => &mut self.copies,
            FromName::Mount { .. } => &mut self.mounts,
        }
    }
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
    /// A local directory, by the key of the named context; empty is the main one.
    Local(String),
    /// An archive or a repository, by the key of the named context; empty is the main one.
    Remote(String),
}

impl From<Outside> for Origin {
    fn from(outside: Outside) -> Self {
        match outside {
            Outside::Scratch => Self::Scratch,
            Outside::Image(need) => Self::Image(need),
            Outside::Local(name) => Self::Local(name),
            Outside::Remote(name) => Self::Remote(name),
        }
    }
}

/// Finds what the target needs. Names are checked before anything is fetched.
pub(super) fn resolve<'a>(
    table: &'a StageTable<'a>,
    request: &'a PlanRequest,
    pins: &'a Pins,
    escape: Escape,
    globals: Vec<Scope>,
    reach: Reach,
) -> Result<Reached<'a>, Diagnostic> {
    let target = table.target(request.target.as_deref())?;
    let mut resolver = Resolver {
        table,
        pins,
        escape,
        contexts: Contexts::new(request),
        platforms: request.target_platforms(),
        globals,
        instances: Vec::new(),
        index: BTreeMap::new(),
        unread: Vec::new(),
        missing: BTreeMap::new(),
        forward: None,
    };
    let mut tops = Vec::new();
    if reach == Reach::All {
        for stage in 0..table.stages.len() {
            tops.extend(resolver.reach(stage)?);
        }
    }
    let roots = resolver.reach(target)?;
    tops.extend(&roots);
    let order = order::sort(table, &resolver.instances, &tops)?;
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

struct Resolver<'a> {
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

impl<'a> Resolver<'a> {
    fn reach(&mut self, target: usize) -> Result<Vec<usize>, Diagnostic> {
        let mut roots = Vec::with_capacity(self.platforms.len());
        for platform in 0..self.platforms.len() {
            roots.push(self.ensure(target, platform)?);
        }
        while let Some(instance) = self.unread.pop() {
            self.read_froms(instance)?;
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
        let platform = self.platform(stage, target)?;
        if let Some(found) = self.replacement(stage, target)? {
            return Ok(Head {
                base: HeadBase::Outside(found),
                base_name: def.name().unwrap_or_default().to_owned(),
                platform,
                replaced: true,
            });
        }
        let wanted = platform.as_ref().unwrap_or(&self.platforms[target]);
        let mut expander = Expander::new(&self.globals[target], self.escape);
        let image = &def.from.image;
        let base_name = expander.word(&image.value, image.span)?;
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

    /// The value of `FROM --platform`.
    fn platform(&mut self, stage: usize, target: usize) -> Result<Option<Platform>, Diagnostic> {
        let Some(text) = &self.table.stages[stage].from.platform else {
            return Ok(None);
        };
        let mut expander = Expander::new(&self.globals[target], self.escape);
        let platform = platform_flag(&mut expander, text);
        let unset = expander.into_unset();
        let guess = unset.first().map(|(name, _)| name.clone());
        platform.map(Some).map_err(|error| match guess {
            Some(name) => error.suggest(&name, self.globals[target].names()),
            None => error,
        })
    }

    /// The named context that stands in for a stage and all that it starts from.
    fn replacement(&mut self, stage: usize, target: usize) -> Result<Option<Outside>, Diagnostic> {
        let Some(name) = &self.table.stages[stage].from.name else {
            return Ok(None);
        };
        let platform = self.platform(stage, target)?;
        let wanted = platform.as_ref().unwrap_or(&self.platforms[target]);
        let found = self.contexts.find(&name.value, wanted);
        found.map_err(|e| bad_reference(&e, name.span))
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
            HeadBase::Outside(outside) => {
                let triggers = match &outside {
                    Outside::Image(need) => self.image_triggers(need, span)?,
                    _ => Vec::new(),
                };
                (Origin::from(outside), triggers)
            }
        };
        let (items, leaves) = if head.replaced {
            (Vec::new(), inherited)
        } else {
            (Item::of_stage(def, inherited), Trigger::of_stage(def))
        };
        items.iter().try_for_each(readable)?;
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
            mounts: BTreeMap::new(),
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

    fn read_froms(&mut self, instance: usize) -> Result<(), Diagnostic> {
        let items = &self.instances[instance].items;
        let froms: Vec<FromName> = items.iter().flat_map(froms::of_item).collect();
        for from in froms {
            let text = from.text();
            if self.instances[instance].origins(&from).contains_key(text) {
                continue;
            }
            let origin = self.origin(instance, &from)?;
            let span = from.span();
            match &origin {
                Origin::Image(need) if !self.pins.images.contains_key(need) => {
                    self.missing.entry(need.clone()).or_insert(span);
                }
                Origin::Stage(dep) => self.instances[instance].deps.push((*dep, span)),
                _ => {}
            }
            let text = text.to_owned();
            self.instances[instance].origins(&from).insert(text, origin);
        }
        Ok(())
    }

    /// What a `--from` or the `from` of a mount means to a stage (S20, S21, S22, S114).
    fn origin(&mut self, instance: usize, from: &FromName) -> Result<Origin, Diagnostic> {
        let Instance {
            stage,
            target,
            ref platform,
            ..
        } = self.instances[instance];
        let (text, span) = (from.text(), from.span());
        let found = match text.parse::<usize>() {
            Ok(number) if from.may_be_number() => {
                if number >= self.table.stages.len() {
                    return Err(self.bad_index(number, span));
                }
                Some(number)
            }
            _ => self.table.find(text, stage),
        };
        let Some(found) = found else {
            let outside = self.contexts.outside(text, platform);
            let outside = outside.map_err(|e| bad_reference(&e, span))?;
            return Ok(outside.into());
        };
        if found > stage && self.forward.is_none() {
            self.forward = Some(from.too_late(&self.table.label(stage)));
        }
        // Files of a context need no stage around them.
        match self.replacement(found, target)? {
            Some(outside @ (Outside::Local(_) | Outside::Remote(_))) => Ok(outside.into()),
            _ => self.ensure(found, target).map(Origin::Stage),
        }
    }

    fn bad_index(&self, number: usize, span: Span) -> Diagnostic {
        let last = self.table.stages.len() - 1;
        Diagnostic::error("stage-index", format!("invalid stage index {number}"))
            .at(span)
            .with_hint(format!("stages are counted from 0, the last one is {last}"))
    }
}

/// Refuses what the parser could not read: such a stage must not be reached.
fn readable(item: &Item<'_>) -> Result<(), Diagnostic> {
    if !matches!(item.instruction.kind, InstructionKind::Invalid) {
        return Ok(());
    }
    let message = "an instruction that cannot be read";
    let error = Diagnostic::error("invalid-instruction", message).at(item.instruction.span);
    Err(item.relocate(error))
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
