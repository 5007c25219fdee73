//! WORKDIR and the instructions that only change the config.

use super::model::StepAction;
use super::triggers::Item;
use super::walk::Walk;
use super::{created_by, env, expose, path, signal};
use crate::ast::{
    ArgDecl, Command, Healthcheck, HealthcheckTest, InstructionKind, KeyValue, Volume,
};
use crate::checks;
use crate::diagnostic::Diagnostic;
use crate::span::{Span, Spanned};
use acetate_graph::MkdirAction;
use acetate_oci::Empty;
use std::time::Duration;

/// A name and, if it has one, a value.
type Pair = (String, Option<String>);

/// Arguments that switch something and that no step sees.
const NO_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

impl Walk<'_, '_> {
    pub(super) fn metadata(&mut self, item: &Item<'_>) -> Result<(), Diagnostic> {
        match &item.instruction.kind {
            InstructionKind::Arg(declarations) => self.arg(item, declarations),
            InstructionKind::Env(pairs) => self.env(item, pairs),
            InstructionKind::Label(pairs) => self.label(item, pairs),
            InstructionKind::Expose(expose) => self.expose(item, &expose.ports),
            InstructionKind::Volume(volume) => self.volume(item, volume),
            InstructionKind::User(user) => self.user(item, user),
            InstructionKind::Stopsignal(name) => self.stopsignal(item, name),
            InstructionKind::Healthcheck(check) => {
                self.healthcheck(item, check);
                Ok(())
            }
            InstructionKind::Cmd(command) => {
                self.cmd(item, command);
                Ok(())
            }
            InstructionKind::Entrypoint(command) => {
                self.entrypoint(item, command);
                Ok(())
            }
            InstructionKind::Shell(words) => {
                let words: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
                self.note(format!("SHELL {}", created_by::list(&words)));
                self.state.config.config.shell = Some(words);
                Ok(())
            }
            InstructionKind::Maintainer(author) => {
                self.state.config.author = Some(author.value.clone());
                self.note(format!("MAINTAINER {}", author.value));
                Ok(())
            }
            InstructionKind::Onbuild(onbuild) => {
                self.state.config.config.on_build.push(onbuild.text.clone());
                Ok(())
            }
            // Steps are handled by the caller, the rest was refused when the stage was reached.
            _ => Ok(()),
        }
    }

    pub(super) fn workdir(
        &mut self,
        item: &Item<'_>,
        text: &Spanned<String>,
    ) -> Result<(), Diagnostic> {
        let path = self.expand_one(item, text)?;
        // Only the first one can be wrong: the others stand on it.
        let is_first = !std::mem::replace(&mut self.state.has_workdir, true);
        if is_first && !path.starts_with('/') && !item.is_trigger {
            let message = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            self.warn(
                item,
                Diagnostic::warning("WorkdirRelativePath", message).at(text.span),
            );
        }
        let workdir = path::join(&self.state.workdir(), &path);
        // A slash at the end of an absolute path is kept, though it means nothing.
        let is_marked = path.starts_with('/') && path.ends_with('/') && workdir != "/";
        let shown = if is_marked {
            format!("{workdir}/")
        } else {
            workdir.clone()
        };
        let created_by = format!("WORKDIR {shown}");
        self.state.config.config.working_dir = shown;
        if workdir == "/" {
            self.skip_number();
            self.note(created_by);
            return Ok(());
        }
        let action = MkdirAction {
            path: workdir,
            mode: 0o755,
            owner: self.state.config.config.user.clone(),
            mtime: None,
        };
        let name = self.display_name(item);
        self.step(item, &name, created_by, StepAction::Mkdir(action));
        Ok(())
    }

    /// Declares variables one after the other: a default sees those in front of it (S8 to S11).
    fn arg(&mut self, item: &Item<'_>, declarations: &[ArgDecl]) -> Result<(), Diagnostic> {
        let mut shown: Vec<Pair> = Vec::with_capacity(declarations.len());
        for declaration in declarations {
            let mut expander = self.expander();
            let name = expander.word(&declaration.name.value, declaration.name.span)?;
            let secret = checks::secret_name("ARG", &name, declaration.name.span);
            let global = || self.ctx.reached.globals[self.instance.target].value(&name);
            let value = match (self.ctx.request.build_args.get(&name), &declaration.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(expander.word(&default.value, default.span)?),
                (None, None) => global().map(str::to_owned),
            };
            let unset = expander.into_unset();
            self.warn_unset(item, unset);
            self.warn_own(item, secret);
            if let Some(value) = value
                .as_ref()
                .filter(|_| !NO_VARIABLES.contains(&name.as_str()))
            {
                self.state.scope.set(&name, value);
            }
            self.args.declare(&name, value.clone());
            self.shown_args = None;
            shown.push((name, value));
        }
        self.note(created_by::pairs("ARG", &shown));
        Ok(())
    }

    fn env(&mut self, item: &Item<'_>, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
        self.warn_own(item, checks::legacy_pair(&item.instruction, pairs));
        let places: Vec<Span> = pairs.iter().map(|pair| pair.key.span).collect();
        let pairs = self.expand_pairs(item, pairs)?;
        for ((name, value), place) in pairs.iter().zip(places) {
            self.warn_own(item, checks::secret_name("ENV", name, place));
            let value = value.as_deref().unwrap_or_default();
            let env = &mut self.state.config.config.env;
            // Whatever the config sets is in scope, so a name unknown there needs no search here.
            match self.state.scope.value(name) {
                Some(_) => env::set(env, name, value),
                None => env.push(format!("{name}={value}")),
            }
            self.state.scope.set(name, value);
        }
        self.shown_args = None;
        self.note(created_by::pairs("ENV", &pairs));
        Ok(())
    }

    fn label(&mut self, item: &Item<'_>, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
        self.warn_own(item, checks::legacy_pair(&item.instruction, pairs));
        let pairs = self.expand_pairs(item, pairs)?;
        for (name, value) in &pairs {
            let value = value.clone().unwrap_or_default();
            self.state.config.config.labels.insert(name.clone(), value);
        }
        self.note(created_by::pairs("LABEL", &pairs));
        Ok(())
    }

    /// Expands all pairs with the variables as they were in front of the instruction (S3).
    fn expand_pairs(
        &mut self,
        item: &Item<'_>,
        pairs: &[KeyValue],
    ) -> Result<Vec<Pair>, Diagnostic> {
        let mut expander = self.expander();
        let mut expanded = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let name = expander.word(&pair.key.value, pair.key.span)?;
            let value = expander.word(&pair.value.value, pair.value.span)?;
            if name.is_empty() {
                let message = format!("{} names can not be blank", item.instruction.name());
                return Err(Diagnostic::error("blank-name", message).at(pair.span));
            }
            expanded.push((name, Some(value)));
        }
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        Ok(expanded)
    }

    fn expand_one(
        &mut self,
        item: &Item<'_>,
        text: &Spanned<String>,
    ) -> Result<String, Diagnostic> {
        let mut expander = self.expander();
        let expanded = expander.word(&text.value, text.span)?;
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        Ok(expanded)
    }

    fn expose(&mut self, item: &Item<'_>, words: &[Spanned<String>]) -> Result<(), Diagnostic> {
        let mut expander = self.expander();
        let mut ports = Vec::new();
        let mut odd = Vec::new();
        for word in words {
            for text in expander.words(&word.value, word.span)? {
                odd.extend(checks::expose_format(&text, word.span));
                ports.extend(expose::ports(&text).map_err(|message| {
                    Diagnostic::error("invalid-expose", message)
                        .at(word.span)
                        .with_hint("write `port`, `first-last` or `port/udp`")
                })?);
            }
        }
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        self.warn_own(item, odd);
        ports.sort();
        self.note(format!("EXPOSE {}", created_by::list(&ports)));
        let exposed = ports.into_iter().map(|port| (port, Empty {}));
        self.state.config.config.exposed_ports.extend(exposed);
        Ok(())
    }

    fn volume(&mut self, item: &Item<'_>, volume: &Volume) -> Result<(), Diagnostic> {
        let mut expander = self.expander();
        let mut paths = Vec::with_capacity(volume.paths.len());
        for path in &volume.paths {
            let text = expander.word(&path.value, path.span)?;
            if text.trim().is_empty() {
                let message = "VOLUME specified can not be an empty string";
                return Err(Diagnostic::error("blank-volume", message).at(path.span));
            }
            paths.push(text);
        }
        let unset = expander.into_unset();
        self.warn_unset(item, unset);
        self.note(format!("VOLUME {}", created_by::list(&paths)));
        let volumes = paths.into_iter().map(|path| (path, Empty {}));
        self.state.config.config.volumes.extend(volumes);
        Ok(())
    }

    fn user(&mut self, item: &Item<'_>, user: &Spanned<String>) -> Result<(), Diagnostic> {
        let user = self.expand_one(item, user)?;
        self.note(format!("USER {user}"));
        self.state.config.config.user = user;
        Ok(())
    }

    fn stopsignal(&mut self, item: &Item<'_>, name: &Spanned<String>) -> Result<(), Diagnostic> {
        let signal = self.expand_one(item, name)?;
        if !signal::is_signal(&signal) {
            let message = format!("Invalid signal: {signal}");
            return Err(Diagnostic::error("invalid-signal", message)
                .at(name.span)
                .with_hint("write a name such as `SIGTERM` or a number from 1 to 64"));
        }
        self.note(format!("STOPSIGNAL {signal}"));
        self.state.config.config.stop_signal = Some(signal);
        Ok(())
    }

    fn healthcheck(&mut self, item: &Item<'_>, check: &Healthcheck) {
        self.once(item, "HEALTHCHECK");
        let test = match &check.test {
            HealthcheckTest::None => vec!["NONE".to_owned()],
            HealthcheckTest::Cmd(Command::Shell(text)) => {
                vec!["CMD-SHELL".to_owned(), text.value.clone()]
            }
            HealthcheckTest::Cmd(Command::Exec(words)) => {
                let words = words.iter().map(|word| word.value.clone());
                std::iter::once("CMD".to_owned()).chain(words).collect()
            }
        };
        let check = acetate_oci::Healthcheck {
            test,
            interval: nanos(check.interval.as_ref()),
            timeout: nanos(check.timeout.as_ref()),
            start_period: nanos(check.start_period.as_ref()),
            start_interval: nanos(check.start_interval.as_ref()),
            retries: check
                .retries
                .as_ref()
                .map_or(0, |retries| i64::from(retries.value)),
        };
        self.note(format!("HEALTHCHECK {}", created_by::healthcheck(&check)));
        self.state.config.config.healthcheck = Some(check);
    }

    fn cmd(&mut self, item: &Item<'_>, command: &Command) {
        self.once(item, "CMD");
        self.recommend_json(item, command);
        let argv = self.argv(command);
        self.note(format!("CMD {}", created_by::quoted_list(&argv)));
        self.state.config.config.cmd = Some(argv).filter(|argv| !argv.is_empty());
        self.state.config.config.args_escaped = true;
        self.has_cmd = true;
    }

    fn entrypoint(&mut self, item: &Item<'_>, command: &Command) {
        self.once(item, "ENTRYPOINT");
        self.recommend_json(item, command);
        let argv = self.argv(command);
        self.note(format!("ENTRYPOINT {}", created_by::quoted_list(&argv)));
        self.state.config.config.entrypoint = Some(argv).filter(|argv| !argv.is_empty());
        // What the base would run makes no sense as arguments of another program.
        if !self.has_cmd {
            self.state.config.config.cmd = None;
        }
    }

    /// A shell that SHELL or the base image chose is there on purpose.
    fn recommend_json(&mut self, item: &Item<'_>, command: &Command) {
        let has_shell = self.state.config.config.shell.is_some();
        if matches!(command, Command::Shell(_)) && !has_shell {
            self.warn_own(item, Some(checks::json_args(&item.instruction)));
        }
    }

    /// Warns of what the instruction itself says; a trigger was written elsewhere.
    fn warn_own(&mut self, item: &Item<'_>, found: impl IntoIterator<Item = Diagnostic>) {
        if !item.is_trigger {
            found.into_iter().for_each(|it| self.warn(item, it));
        }
    }

    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Shell(text) => self.state.with_shell(&text.value),
            Command::Exec(words) => words.iter().map(|word| word.value.clone()).collect(),
        }
    }
}

fn nanos(duration: Option<&Spanned<Duration>>) -> i64 {
    let nanos = duration.map_or(0, |duration| duration.value.as_nanos());
    i64::try_from(nanos).unwrap_or(i64::MAX)
}
