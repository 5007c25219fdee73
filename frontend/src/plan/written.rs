//! Instructions as they were written, for explanations.

use super::triggers::Item;
use super::walk::Walk;
use super::{env, scope::Scope};
use crate::ast::InstructionKind;
use crate::expand::{self, FromFn};
use crate::remote::redacted;
use acetate_graph::Instruction;
use std::cell::RefCell;
use std::sync::Arc;

/// The names that are ARGs, shared by the instructions that see the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct ArgNames {
    /// How many ARGs and variables of the config there were. Both lists only grow.
    seen: (usize, usize),
    names: Arc<[String]>,
}

impl Walk<'_, '_> {
    /// The instruction of a step, before anything was filled in.
    pub(super) fn written(&mut self, item: &Item<'_>) -> Arc<Instruction> {
        let is_run = matches!(item.instruction.kind, InstructionKind::Run(_));
        let text = text(item, is_run);
        let filled = if is_run || !text.contains('$') {
            Vec::new()
        } else {
            self.filled(&expandable(item), &self.state.scope)
        };
        let args = if is_run {
            self.arg_names()
        } else {
            let names = filled.iter().map(|(name, _)| name);
            names.filter(|name| self.is_arg(name)).cloned().collect()
        };
        Arc::new(self.instruction(text, filled, args))
    }

    /// The FROM of the stage.
    pub(super) fn written_from(&self) -> Arc<Instruction> {
        let def = &self.ctx.table.stages[self.instance.stage];
        let text = format!("FROM {}", def.from.image.value);
        let filled = self.filled(&text, &self.ctx.reached.globals[self.instance.target]);
        let args = filled.iter().map(|(name, _)| name.clone()).collect();
        Arc::new(self.instruction(text, filled, args))
    }

    fn instruction(
        &self,
        text: String,
        filled: Vec<(String, String)>,
        args: Arc<[String]>,
    ) -> Instruction {
        let table = self.ctx.table;
        Instruction {
            stage: table.label(self.instance.stage),
            base: table.stages[self.instance.stage].from.image.value.clone(),
            text,
            filled,
            args,
        }
    }

    /// The variables that a text names and that are set.
    fn filled(&self, text: &str, scope: &Scope) -> Vec<(String, String)> {
        if !text.contains('$') {
            return Vec::new();
        }
        let found: RefCell<Vec<(String, String)>> = RefCell::default();
        let lookup = FromFn(|name: &str| {
            let value = scope.value(name).map(str::to_owned);
            let mut found = found.borrow_mut();
            if let Some(value) = value
                .as_ref()
                .filter(|_| found.iter().all(|it| it.0 != name))
            {
                found.push((name.to_owned(), value.clone()));
            }
            value
        });
        expand::expand_for_display(text, self.ctx.escape, &lookup);
        found.into_inner()
    }

    fn is_arg(&self, name: &str) -> bool {
        self.args.contains(name) && !env::contains(&self.state.config.config.env, name)
    }

    fn arg_names(&mut self) -> Arc<[String]> {
        let set = &self.state.config.config.env;
        let seen = (self.args.len(), set.len());
        if self.arg_names.seen != seen {
            let names = self.args.iter().map(|(name, _)| name);
            let names = names.filter(|name| !env::contains(set, name));
            self.arg_names = ArgNames {
                seen,
                names: names.map(str::to_owned).collect(),
            };
        }
        Arc::clone(&self.arg_names.names)
    }
}

/// The keyword in capitals and all that follows it. Blanks only count where a shell sees them.
fn text(item: &Item<'_>, is_run: bool) -> String {
    let instruction = &item.instruction;
    let mut text = String::new();
    if item.is_trigger {
        text.push_str("ONBUILD ");
    }
    text.push_str(&instruction.name());
    let rest = instruction.original.get(instruction.keyword.value.len()..);
    let rest = rest.unwrap_or_default();
    if is_run {
        text.push_str(rest);
    } else {
        for word in rest.split_whitespace() {
            text.push(' ');
            text.push_str(word);
        }
    }
    for heredoc in &instruction.heredocs {
        heredoc.append_to(&mut text);
    }
    if is_run {
        text
    } else {
        redacted(&text).into_owned()
    }
}

/// What of an instruction is filled in: all but the heredocs that say no.
fn expandable(item: &Item<'_>) -> String {
    let mut text = item.instruction.original.clone();
    for heredoc in item.instruction.heredocs.iter().filter(|it| it.expand) {
        text.push('\n');
        text.push_str(&heredoc.content);
    }
    text
}
