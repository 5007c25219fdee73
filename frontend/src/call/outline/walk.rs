//! Walks the stages of a target and collects what they ask for.

use super::stages::Stages;
use super::{Location, Outline, OutlineArg, OutlineCache, OutlineSecret};
use crate::ast::{
    ArgDecl, Dockerfile, Escape, Instruction, InstructionKind, Mount, MountKind, Run,
};
use crate::checks;
use crate::diagnostic::Diagnostic;
use crate::expand::{self, FromFn};
use crate::pins::{ImageSource, Pins};
use crate::plan;
use crate::request::PlanRequest;
use crate::span::Spanned;
use acetate_oci::Reference;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

type Values = BTreeMap<String, String>;

/// What is known of an argument.
#[derive(Debug, Clone)]
struct Arg {
    shown: OutlineArg,
    /// The arguments that its default is made of.
    needs: BTreeSet<String>,
}

/// What one stage asks for.
#[derive(Debug, Default)]
struct Asked {
    args: BTreeMap<String, Arg>,
    used: BTreeSet<String>,
    secrets: Vec<OutlineSecret>,
    ssh: Vec<OutlineSecret>,
    cache: Vec<OutlineCache>,
    /// The stages that it reads.
    reads: Vec<usize>,
    /// ENV, for its children.
    env: Values,
}

struct Walker<'a> {
    ast: &'a Dockerfile,
    request: &'a PlanRequest,
    pins: &'a Pins,
    stages: Stages<'a>,
    globals: Values,
    declared: BTreeMap<String, Arg>,
}

pub(super) fn outline(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
) -> Result<Outline, Diagnostic> {
    let stages = Stages::new(ast, request);
    let target = stages.target(request.target.as_deref())?;
    let mut walker = Walker {
        ast,
        request,
        pins,
        stages,
        globals: plan::automatic_values(ast, request)?,
        declared: BTreeMap::new(),
    };
    walker.read_globals();
    let mut outline = walker.collect(target);
    if let Some(stage) = walker.stages.list.get(target) {
        stage.name().clone_into(&mut outline.name);
        outline.description = checks::description(ast, stage.item, stage.name());
    }
    Ok(outline)
}

impl Walker<'_> {
    fn read_globals(&mut self) {
        let ast = self.ast;
        for item in &ast.items {
            let InstructionKind::Arg(declared) = &item.kind else {
                break;
            };
            for arg in declared {
                let found = self.arg(item, arg, &self.globals, &self.declared);
                if arg.default.is_some() || self.request.build_args.contains_key(&found.shown.name)
                {
                    let value = found.shown.value.clone();
                    self.globals.insert(found.shown.name.clone(), value);
                }
                self.declared.insert(found.shown.name.clone(), found);
            }
        }
    }

    /// Walks the target first, then what it stands on and what it reads, so that of equal names the one
    /// nearest to the target is told. Stages only refer to earlier ones.
    fn collect(&self, target: usize) -> Outline {
        let mut asked: BTreeMap<usize, Asked> = BTreeMap::new();
        for idx in 0..=target.min(self.stages.list.len().saturating_sub(1)) {
            let stage = self.stage(idx, &asked);
            asked.insert(idx, stage);
        }
        let mut outline = Outline::default();
        let (mut todo, mut seen) = (vec![target], BTreeSet::new());
        let mut named = BTreeSet::new();
        while let Some(idx) = todo.pop() {
            let Some(stage) = asked.get(&idx).filter(|_| seen.insert(idx)) else {
                continue;
            };
            for name in stage.all_used() {
                if let Some(arg) = stage.args.get(&name).filter(|_| named.insert(name)) {
                    outline.args.push(arg.shown.clone());
                }
            }
            add(&mut outline.secrets, &stage.secrets, |it| &it.name);
            add(&mut outline.ssh, &stage.ssh, |it| &it.name);
            add(&mut outline.cache, &stage.cache, |it| &it.id);
            todo.extend(stage.reads.iter().rev());
        }
        outline.args.sort_by_key(|it| line(&it.location));
        outline.secrets.sort_by_key(|it| line(&it.location));
        outline.ssh.sort_by_key(|it| line(&it.location));
        outline.cache.sort_by_key(|it| line(&it.location));
        outline
    }

    fn stage(&self, idx: usize, earlier: &BTreeMap<usize, Asked>) -> Asked {
        let stage = &self.stages.list[idx];
        let mut asked = Asked {
            args: self.declared.clone(),
            ..Asked::default()
        };
        let mut read = |text: &str| self.expand(text, &self.globals, &mut asked.used);
        let base = read(stage.from.image.as_str());
        if let Some(platform) = &stage.from.platform {
            read(platform.as_str());
        }
        match self.stages.find(&base, idx) {
            Some(base) => {
                asked.env = earlier
                    .get(&base)
                    .map(|it| it.env.clone())
                    .unwrap_or_default();
                asked.reads.push(base);
            }
            None => asked.env = self.env_of_image(&base),
        }
        let mut scope = asked.env.clone();
        for item in stage.body {
            self.instruction(item, idx, &mut scope, &mut asked);
        }
        asked
    }

    fn instruction(&self, item: &Instruction, idx: usize, scope: &mut Values, asked: &mut Asked) {
        match &item.kind {
            InstructionKind::Arg(declared) => {
                for arg in declared {
                    self.declare(item, arg, scope, asked);
                }
            }
            InstructionKind::Env(pairs) => {
                let before = scope.clone();
                for pair in pairs {
                    let unused = &mut BTreeSet::new();
                    let name = self.expand(pair.key.as_str(), &before, unused);
                    let value = self.expand(pair.value.as_str(), &before, unused);
                    scope.insert(name.clone(), value.clone());
                    asked.env.insert(name, value);
                }
            }
            InstructionKind::Copy(copy) => {
                let from = copy.flags.from.as_ref().map(Spanned::as_str);
                asked.reads.extend(self.read_stage(from, idx));
            }
            InstructionKind::Run(run) => self.run(item, run, idx, scope, asked),
            _ => {}
        }
    }

    /// ARG in a stage. What is inherited was declared at the top, or is there by itself.
    fn declare(&self, item: &Instruction, arg: &ArgDecl, scope: &mut Values, asked: &mut Asked) {
        let found = self.arg(item, arg, scope, &asked.args);
        let name = found.shown.name.clone();
        let has_value = arg.default.is_some() || self.request.build_args.contains_key(&name);
        asked.used.insert(name.clone());
        if !has_value && let Some(value) = self.globals.get(&name) {
            scope.insert(name, value.clone());
            return;
        }
        if has_value {
            scope.insert(name.clone(), found.shown.value.clone());
        }
        asked.args.insert(name, found);
    }

    fn run(&self, item: &Instruction, run: &Run, idx: usize, scope: &Values, asked: &mut Asked) {
        for spec in &run.flags.mounts {
            let expand = |text: &str| {
                let expanded = expand::expand_word(text, self.escape(), scope);
                expanded.map(|it| it.text).map_err(|error| error.message)
            };
            let Ok(mount) = spec.resolve(expand) else {
                continue;
            };
            let location = Location::of_lines(item.lines);
            let named = |name| OutlineSecret {
                name,
                required: mount.required,
                location: location.clone(),
            };
            match mount.kind {
                MountKind::Secret => asked.secrets.extend(secret_id(&mount).map(named)),
                MountKind::Ssh => {
                    let id = given(mount.id.as_ref()).unwrap_or("default");
                    asked.ssh.push(named(id.to_owned()));
                }
                MountKind::Cache => {
                    let id = given(mount.id.as_ref()).or(given(mount.target.as_ref()));
                    let id = acetate_pattern::clean(id.unwrap_or_default());
                    asked.cache.push(OutlineCache { id, location });
                }
                MountKind::Bind | MountKind::Tmpfs => {}
            }
            asked
                .reads
                .extend(self.read_stage(mount.from.as_deref(), idx));
        }
    }

    fn read_stage(&self, from: Option<&str>, idx: usize) -> Option<usize> {
        let from = from?;
        let number = from.parse::<usize>().ok().filter(|number| *number < idx);
        number.or_else(|| self.stages.find(from, idx))
    }

    /// An argument with its value: given, or the default with variables filled in.
    fn arg(
        &self,
        item: &Instruction,
        arg: &ArgDecl,
        scope: &Values,
        known: &BTreeMap<String, Arg>,
    ) -> Arg {
        let name = self.expand(arg.name.as_str(), scope, &mut BTreeSet::new());
        let mut needs = BTreeSet::new();
        let default = arg.default.as_ref().map_or("", |text| text.as_str());
        let value = match self.request.build_args.get(&name) {
            Some(value) => value.clone(),
            None => self.expand(default, scope, &mut needs),
        };
        // A name declared again from its own value needs what that needed.
        if needs.remove(&name)
            && let Some(old) = known.get(&name)
        {
            needs.extend(old.needs.iter().cloned());
        }
        Arg {
            shown: OutlineArg {
                description: checks::description(self.ast, item, &name),
                name,
                value,
                location: Location::of_lines(item.lines),
            },
            needs,
        }
    }

    /// Fills in variables and notes which were read; what cannot be expanded is empty.
    fn expand(&self, text: &str, scope: &Values, used: &mut BTreeSet<String>) -> String {
        let read = RefCell::new(BTreeSet::new());
        let lookup = FromFn(|name: &str| {
            read.borrow_mut().insert(name.to_owned());
            scope.get(name).cloned()
        });
        let expanded = expand::expand_word(text, self.escape(), &lookup).unwrap_or_default();
        used.append(&mut read.into_inner());
        expanded.text
    }

    fn escape(&self) -> Escape {
        self.ast.escape
    }

    fn env_of_image(&self, base: &str) -> Values {
        let Ok(reference) = base.parse::<Reference>() else {
            return Values::new();
        };
        let mut images = self.pins.images.iter();
        let image =
            images.find(|(need, _)| need.source == ImageSource::Registry(reference.clone()));
        let env = image.map(|(_, image)| &image.config.config.env);
        let pairs = env
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl Asked {
    /// The arguments used, and those that their defaults are made of.
    fn all_used(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut todo: Vec<&String> = self.used.iter().collect();
        while let Some(name) = todo.pop() {
            if all.insert(name.clone()) {
                todo.extend(self.args.get(name).into_iter().flat_map(|arg| &arg.needs));
            }
        }
        all
    }
}

/// Adds what is not there yet by its name.
fn add<T: Clone>(to: &mut Vec<T>, from: &[T], name: impl Fn(&T) -> &str) {
    for item in from {
        if !to.iter().any(|known| name(known) == name(item)) {
            to.push(item.clone());
        }
    }
}

fn line(location: &Location) -> u32 {
    location.lines().map_or(0, |lines| lines.first)
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn secret_id(mount: &Mount) -> Option<String> {
    let named = given(mount.source.as_ref()).or(given(mount.id.as_ref()));
    let target = given(mount.target.as_ref());
    let base = target.and_then(|path| path.trim_end_matches('/').rsplit('/').next());
    named.or(base).map(str::to_owned)
}
