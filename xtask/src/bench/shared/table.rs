//! What was measured, beside each other.

use std::fmt::Write as _;

use anyhow::{Error, Result};
use serde_json::{Value, json};

use crate::bench::report::{Section, shown};
use crate::bench::running::load;
use crate::bench::samples::Samples;

/// Our name in the table; every other side is the peer.
pub(super) const US: &str = "acetate";

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    /// Of the bytes that there are.
    Percent,
    PerSecond,
}

/// A kind of work, and the most that it may take where a goal is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) goal: Option<f64>,
}

impl Work {
    pub(super) const fn time(name: &'static str, goal: Option<f64>) -> Self {
        Self {
            name,
            unit: Unit::Milliseconds,
            goal,
        }
    }
}

#[derive(Debug)]
struct Row {
    work: Work,
    place: &'static str,
    ours: Vec<f64>,
    peer: Vec<f64>,
}

/// Rows in the order in which they were first measured.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
    n_failed: usize,
    load_before: String,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            notes: Vec::new(),
            n_failed: 0,
            load_before: load(),
        }
    }

    /// Adds one measurement.
    pub(super) fn add(&mut self, place: &'static str, work: Work, side: &str, value: f64) {
        println!(
            "bench: {place}, {}: {side} {}",
            work.name,
            text(work.unit, value)
        );
        let known = self
            .rows
            .iter()
            .position(|row| row.place == place && row.work == work);
        let at = known.unwrap_or_else(|| {
            self.rows.push(Row {
                work,
                place,
                ours: Vec::new(),
                peer: Vec::new(),
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        let values = if side == US {
            &mut row.ours
        } else {
            &mut row.peer
        };
        values.push(value);
    }

    /// Notes that some rows of one side are missing.
    pub(super) fn failed(&mut self, place: &str, side: &str, error: &Error) {
        self.n_failed += usize::from(side == US);
        println!("bench: {place} failed with {side}: {error:#}");
        let error = format!("{error:#}");
        let mut lines = error.lines();
        let first = lines.next().unwrap_or_default();
        let last = lines.next_back().unwrap_or_default();
        self.notes
            .push(format!("{place} failed with {side}: {first} {last}"));
    }

    pub(super) fn section(self, name: &'static str) -> Result<Section> {
        let mut table = String::from("| cache | work | acetate | to reach | BuildKit | ratio |\n");
        table.push_str("|---|---|---|---|---|---|\n");
        let mut rows = Vec::new();
        for row in &self.rows {
            let (ours, peer) = (median(&row.ours)?, median(&row.peer)?);
            table.push_str(&line(row, ours, peer));
            rows.push(as_json(row, ours, peer));
        }
        let load = [self.load_before, load()];
        // Writing to a String cannot fail.
        let _: std::fmt::Result = writeln!(
            table,
            "\n- load of the machine: {} before, {} after",
            load[0], load[1]
        );
        for note in &self.notes {
            table.push_str(&format!("- {note}\n"));
        }
        Ok(Section {
            name,
            table,
            json: json!({ "rows": rows, "notes": self.notes, "load": load }),
            n_failed: self.n_failed,
        })
    }
}

fn median(values: &[f64]) -> Result<Option<f64>> {
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some(Samples::of(values.to_vec())?.median()))
}

fn line(row: &Row, ours: Option<f64>, peer: Option<f64>) -> String {
    let unit = row.work.unit;
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| text(unit, v));
    let ratio = ours.zip(peer).map(|(ours, peer)| ours / peer);
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let (ours, goal, peer) = (cell(ours), cell(row.work.goal), cell(peer));
    let (place, name) = (row.place, row.work.name);
    format!("| {place} | {name} | {ours} | {goal} | {peer} | {ratio} |\n")
}

fn as_json(row: &Row, ours: Option<f64>, peer: Option<f64>) -> Value {
    let unit = match row.work.unit {
        Unit::Milliseconds => "ms",
        Unit::Percent => "%",
        Unit::PerSecond => "1/s",
    };
    json!({
        "cache": row.place,
        "work": row.work.name,
        "unit": unit,
        "acetate": row.ours,
        "BuildKit": row.peer,
        "ratio": ours.zip(peer).map(|(ours, peer)| ours / peer),
        "goal": row.work.goal,
        "reached": row.work.goal.zip(ours).map(|(goal, ours)| ours <= goal),
    })
}

fn text(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Milliseconds => shown(value),
        Unit::Percent => format!("{value:.1} %"),
        Unit::PerSecond => format!("{value:.0} 1/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Work = Work::time("full hit", Some(600.0));

    #[test]
    fn sides_stand_beside_each_other() {
        let mut table = Table::new();
        for (side, value) in [(US, 500.0), ("BuildKit", 1500.0), (US, 700.0), (US, 550.0)] {
            table.add("server", FULL, side, value);
        }
        table.add("directory", FULL, US, 800.0);
        table.failed("directory", "BuildKit", &anyhow::anyhow!("no\nsuch\nthing"));
        let section = table.section("shared").unwrap();
        for row in [
            "| server | full hit | 550.0 ms | 600.0 ms | 1.50 s | 0.37 |",
            "| directory | full hit | 800.0 ms | 600.0 ms | - | - |",
            "- directory failed with BuildKit: no thing",
        ] {
            assert!(section.table.contains(row), "{}", section.table);
        }
        assert_eq!(section.json["rows"][0]["reached"], true);
        assert_eq!(section.json["rows"][1]["reached"], false);
        assert_eq!(section.n_failed, 0);
    }

    #[test]
    fn our_own_failures_are_counted() {
        let mut table = Table::new();
        table.failed("server", US, &anyhow::anyhow!("x"));
        assert_eq!(table.section("shared").unwrap().n_failed, 1);
    }
}
