//! Upper and lower case, and names that mean something else.

use crate::ast::{Dockerfile, Instruction, InstructionKind};
use crate::diagnostic::Diagnostic;

/// A stage name in capitals, and an `AS` unlike its FROM.
pub(super) fn from(item: &Instruction, found: &mut Vec<Diagnostic>) {
    let InstructionKind::From(from) = &item.kind else {
        return;
    };
    let words: Vec<&str> = item.original.split_whitespace().collect();
    let (Some(name), [.., by, written]) = (&from.name, words.as_slice()) else {
        return;
    };
    if *written != written.to_lowercase() {
        let message = format!("Stage name '{written}' should be lowercase");
        found.push(Diagnostic::warning("StageNameCasing", message).at(name.span));
    }
    let keyword = item.keyword.as_str();
    let is_same = match casing(keyword) {
        Some(Casing::Lower) => *by == by.to_lowercase(),
        Some(Casing::Upper) => *by == by.to_uppercase(),
        // A keyword that is mixed itself is another rule's business.
        None => true,
    };
    if !is_same {
        let message = format!("'{by}' and '{keyword}' keywords' casing do not match");
        found.push(Diagnostic::warning("FromAsCasing", message).at(item.span));
    }
}

/// Keywords that are unlike most others of the file.
pub(super) fn keywords(ast: &Dockerfile, found: &mut Vec<Diagnostic>) {
    let is_from = |item: &&Instruction| matches!(item.kind, InstructionKind::From(_));
    let first = ast.items.iter().position(|item| is_from(&item));
    let items = &ast.items[first.unwrap_or(ast.items.len())..];
    let count = |wanted| {
        let casings = items.iter().map(|item| casing(item.keyword.as_str()));
        casings.filter(|found| *found == Some(wanted)).count()
    };
    let (majority, word) = if count(Casing::Lower) > count(Casing::Upper) {
        (Casing::Lower, "lowercase")
    } else {
        (Casing::Upper, "uppercase")
    };
    for item in items {
        let keyword = item.keyword.as_str();
        if casing(keyword) != Some(majority) {
            let message = format!(
                "Command '{keyword}' should match the case of the command majority ({word})"
            );
            let warning = Diagnostic::warning("ConsistentInstructionCasing", message);
            found.push(warning.at(item.keyword.span));
        }
    }
}

/// Stages called like what FROM and `--from` mean otherwise.
pub(super) fn reserved_names(ast: &Dockerfile, found: &mut Vec<Diagnostic>) {
    for item in &ast.items {
        let InstructionKind::From(from) = &item.kind else {
            continue;
        };
        let Some(name) = &from.name else {
            continue;
        };
        if matches!(name.as_str(), "scratch" | "context") {
            let message = format!(
                "Stage name should not use the same name as reserved stage {:?}",
                name.value
            );
            found.push(Diagnostic::warning("ReservedStageName", message).at(name.span));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
}

/// None for a word that mixes both.
fn casing(word: &str) -> Option<Casing> {
    if word == word.to_lowercase() {
        Some(Casing::Lower)
    } else if word == word.to_uppercase() {
        Some(Casing::Upper)
    } else {
        None
    }
}
