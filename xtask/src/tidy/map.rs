//! The table of crates in ARCHITECTURE.md tells what `cargo metadata` says.
//!
//! A row is `| name | sentence | invariant | may use |`. The last cell lists the product's crates
//! that may stand among the crate's ordinary dependencies, `-` for none. Development dependencies
//! are free, since they are in nothing that is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::process;
use crate::project::Project;

const FILE: &str = "ARCHITECTURE.md";
const HEAD: &str = "| crate |";
const PREFIX: &str = "acetate-";

type Edges = BTreeMap<String, BTreeSet<String>>;

/// A row of the table with its line, counted from one.
#[derive(Debug)]
struct Row {
    line: usize,
    sentence: String,
    invariant: String,
    may_use: BTreeSet<String>,
}

pub(super) fn check(project: &Project) -> Result<Vec<Finding>> {
    let mut command = project.cargo();
    command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    let metadata: Value = serde_json::from_str(&process::stdout(&mut command)?)?;
    let real = edges(&metadata).context("`cargo metadata` lists packages")?;
    let text = std::fs::read_to_string(project.path(FILE)).unwrap_or_default();
    Ok(compare(&rows(&text), &real))
}

fn edges(metadata: &Value) -> Option<Edges> {
    let packages = metadata["packages"].as_array()?;
    let short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let names: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut edges = Edges::new();
    for package in packages {
        let used = edges.entry(short(package["name"].as_str()?)).or_default();
        for dependency in package["dependencies"].as_array()? {
            let name = dependency["name"].as_str()?;
            let shipped = dependency["kind"].as_str() != Some("dev");
            if shipped && names.contains(name) {
                used.insert(short(name));
            }
        }
    }
    Some(edges)
}

fn rows(text: &str) -> BTreeMap<String, Row> {
    let lines = text
        .lines()
        .enumerate()
        .skip_while(|(_, line)| !line.starts_with(HEAD));
    let body = lines.skip(2).take_while(|(_, line)| line.starts_with('|'));
    let mut rows = BTreeMap::new();
    for (number, line) in body {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, sentence, invariant, may_use] = cells[..] else {
            continue;
        };
        let used = may_use
            .split(',')
            .map(str::trim)
            .filter(|name| *name != "-");
        let row = Row {
            line: number + 1,
            sentence: sentence.to_owned(),
            invariant: invariant.to_owned(),
            may_use: used.map(str::to_owned).collect(),
        };
        rows.insert(name.trim_matches('`').to_owned(), row);
    }
    rows
}

fn compare(rows: &BTreeMap<String, Row>, real: &Edges) -> Vec<Finding> {
    let found = |line, text: String| Finding::new(Path::new(FILE), line, text);
    let mut findings = Vec::new();
    for (name, used) in real {
        let Some(row) = rows.get(name) else {
            findings.push(found(0, format!("the crate `{name}` is not in the table")));
            continue;
        };
        if row.sentence.is_empty() || row.invariant.is_empty() {
            findings.push(found(
                row.line,
                format!("`{name}` lacks its sentence or invariant"),
            ));
        }
        for extra in used.difference(&row.may_use) {
            findings.push(found(
                row.line,
                format!("`{name}` uses `{extra}`, which it may not"),
            ));
        }
        for unknown in row.may_use.iter().filter(|name| !real.contains_key(*name)) {
            findings.push(found(
                row.line,
                format!("`{name}` may use `{unknown}`: what is that?"),
            ));
        }
    }
    for (name, row) in rows.iter().filter(|(name, _)| !real.contains_key(*name)) {
        findings.push(found(row.line, format!("there is no crate `{name}`")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = "Text.\n\n| crate | sentence | invariant | may use |\n|---|---|---|---|\n\
        | oci | nouns | pure | - |\n| store | blobs | exact | oci |\n";

    fn real(uses: &[&str]) -> Edges {
        let dependencies: Vec<Value> = uses
            .iter()
            .map(|name| json!({ "name": name, "kind": null }))
            .collect();
        let metadata = json!({ "packages": [
            { "name": "acetate-oci", "dependencies": [] },
            { "name": "acetate-store", "dependencies": dependencies },
        ]});
        edges(&metadata).unwrap()
    }

    fn findings(table: &str, uses: &[&str]) -> Vec<String> {
        let found = compare(&rows(table), &real(uses));
        found
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_true_table_is_fine() {
        assert!(findings(TABLE, &["acetate-oci", "serde"]).is_empty());
    }

    #[test]
    fn an_edge_that_is_not_allowed_is_named() {
        let table = TABLE.replace("| exact | oci |", "| exact | - |");
        let found = findings(&table, &["acetate-oci"]);
        assert_eq!(
            found,
            ["ARCHITECTURE.md:6: `store` uses `oci`, which it may not"]
        );
        // The cell is a permission: it need not be used.
        assert!(findings(TABLE, &[]).is_empty());
        let table = TABLE.replace("| exact | oci |", "| exact | oci, ocii |");
        assert!(findings(&table, &["acetate-oci"])[0].contains("`ocii`"));
    }

    #[test]
    fn crates_are_checked_in_both_directions() {
        let more = format!("{TABLE}| gone | x | y | - |\n");
        assert!(findings(&more, &["acetate-oci"])[0].contains("no crate `gone`"));
        let fewer = TABLE.replace("| oci | nouns | pure | - |\n", "");
        assert!(findings(&fewer, &["acetate-oci"])[0].contains("`oci` is not in the table"));
    }

    #[test]
    fn development_dependencies_are_free() {
        let metadata = json!({ "packages": [
            { "name": "acetate-oci", "dependencies": [] },
            { "name": "acetate-store", "dependencies": [{ "name": "acetate-oci", "kind": "dev" }] },
        ]});
        assert!(edges(&metadata).unwrap()["store"].is_empty());
    }
}
