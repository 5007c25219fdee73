//! The results as JSON and as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Error, Result};
use serde_json::{Value, json};

use super::samples::Samples;

/// What Acetate is to reach, in milliseconds, by the name of the work.
const GOALS: &[(&str, f64)] = &[
    ("fully cached rebuild, 12 instructions", 15.0),
    ("one uncached RUN", 8.0),
    ("8 stages of `sleep 1` and one that gathers", 1200.0),
    ("1000 one-COPY stages, cold", 3000.0),
    ("1000 one-COPY stages, cached", 150.0),
];
const US: &str = "acetate";
const PEER: &str = "BuildKit";

#[derive(Debug)]
struct Row {
    work: String,
    tool: String,
    samples: Samples,
}

/// What is measured apart from builds: a table of its own, and the same as JSON.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in the JSON of all results.
    pub(crate) name: &'static str,
    pub(crate) table: String,
    pub(crate) json: Value,
    /// Measurements of Acetate that failed.
    pub(crate) n_failed: usize,
}

/// Everything that was measured in one run of the bench.
#[derive(Debug)]
pub(crate) struct Report {
    runs: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
    n_failed: usize,
    sections: Vec<Section>,
}

impl Report {
    pub(crate) fn new(runs: usize) -> Self {
        Self {
            runs,
            rows: Vec::new(),
            notes: Vec::new(),
            n_failed: 0,
            sections: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, work: &str, tool: &str, samples: Samples) {
        println!("bench: {work}: {tool} {}", shown(samples.median()));
        self.rows.push(Row {
            work: work.to_owned(),
            tool: tool.to_owned(),
            samples,
        });
    }

    /// Adds what stands below the builds.
    pub(crate) fn append(&mut self, section: Section) {
        self.n_failed += section.n_failed;
        self.sections.push(section);
    }

    pub(crate) fn absent(&mut self, tool: &str, error: &Error) {
        self.note(&format!("{tool} is not measured here: {error:#}"));
    }

    pub(crate) fn left_out(&mut self, work: &str, tool: &str, reason: &str) {
        self.note(&format!("`{work}` is left out with {tool}: {reason}"));
    }

    pub(crate) fn failed(&mut self, work: &str, tool: &str, error: &Error) {
        self.n_failed += usize::from(tool == US);
        self.note(&format!("`{work}` failed with {tool}: {error:#}"));
    }

    pub(crate) fn n_failed(&self) -> usize {
        self.n_failed
    }

    /// Writes `results.json` and `results.md`, and prints the table.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let table = self.table();
        println!("\n{table}");
        fs::write(folder.join("results.md"), table)?;
        fs::write(
            folder.join("results.json"),
            serde_json::to_vec_pretty(&self.json())?,
        )?;
        println!("written: {}", folder.join("results.json").display());
        Ok(())
    }

    /// Shows all of it now, and keeps what fits into a line.
    fn note(&mut self, text: &str) {
        println!("bench: {text}");
        let mut lines = text.lines();
        let mut short = lines.next().unwrap_or_default().to_owned();
        if let Some(last) = lines.next_back() {
            short = format!("{short} ... {last}");
        }
        self.notes.push(short);
    }

    fn works(&self) -> Vec<&str> {
        let mut works: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !works.contains(&row.work.as_str()) {
                works.push(&row.work);
            }
        }
        works
    }

    fn median(&self, work: &str, tool: &str) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| row.work == work && row.tool == tool);
        row.map(|row| row.samples.median())
    }

    fn ratio(&self, work: &str) -> Option<f64> {
        Some(self.median(work, US)? / self.median(work, PEER)?)
    }

    fn table(&self) -> String {
        let mut out = format!("Median of {} on {}.\n\n", self.runs, machine());
        if !self.rows.is_empty() {
            out.push_str("| work | acetate | to reach | BuildKit | ratio | others |\n");
            out.push_str("|---|---|---|---|---|---|\n");
        }
        for work in self.works() {
            let cell = |tool| {
                self.median(work, tool)
                    .map_or_else(|| "-".to_owned(), shown)
            };
            let goal = goal(work).map_or_else(|| "-".to_owned(), shown);
            let ratio = self
                .ratio(work)
                .map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
            let others = self.rows.iter().filter(|row| row.work == work);
            let others = others.filter(|row| row.tool != US && row.tool != PEER);
            let others: Vec<String> = others
                .map(|row| format!("{} {}", row.tool, shown(row.samples.median())))
                .collect();
            let (us, peer) = (cell(US), cell(PEER));
            // Writing to a String cannot fail.
            let _: std::fmt::Result = writeln!(
                out,
                "| {work} | {us} | {goal} | {peer} | {ratio} | {} |",
                others.join(", ")
            );
        }
        for line in self.growth().iter().chain(&self.notes) {
            out.push_str("\n- ");
            out.push_str(line);
        }
        out.push('\n');
        for section in &self.sections {
            out.push('\n');
            out.push_str(&section.table);
        }
        out
    }

    /// How the time of the stage graph grows when the graph doubles; 2 is linear.
    fn growth(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for tool in [US, PEER] {
            for kind in ["cold", "cached"] {
                let at = |n: u32| self.median(&format!("{n} one-COPY stages, {kind}"), tool);
                if let (Some(a), Some(b), Some(c)) = (at(250), at(500), at(1000)) {
                    lines.push(format!(
                        "growth of {tool}, {kind}: x{:.2} from 250 to 500 stages, x{:.2} from 500 \
                         to 1000",
                        b / a,
                        c / b
                    ));
                }
            }
        }
        lines
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row_json).collect();
        let ratios: serde_json::Map<String, Value> = self
            .works()
            .into_iter()
            .filter_map(|work| Some((work.to_owned(), json!(self.ratio(work)?))))
            .collect();
        let mut all = json!({
            "machine": machine(),
            "runs": self.runs,
            "unit": "ms",
            "results": rows,
            "ratios_to_buildkit": ratios,
            "growth": self.growth(),
            "notes": self.notes,
        });
        for section in &self.sections {
            all[section.name] = section.json.clone();
        }
        all
    }
}

fn row_json(row: &Row) -> Value {
    let goal = if row.tool == US {
        goal(&row.work)
    } else {
        None
    };
    json!({
        "work": row.work,
        "tool": row.tool,
        "median": row.samples.median(),
        "min": row.samples.min(),
        "max": row.samples.max(),
        "samples": row.samples.all(),
        "goal": goal,
        "reached": goal.map(|goal| row.samples.median() <= goal),
    })
}

fn goal(work: &str) -> Option<f64> {
    GOALS
        .iter()
        .find(|(name, _)| *name == work)
        .map(|(_, goal)| *goal)
}

pub(crate) fn shown(milliseconds: f64) -> String {
    if milliseconds >= 1000.0 {
        format!("{:.2} s", milliseconds / 1000.0)
    } else {
        format!("{milliseconds:.1} ms")
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, Linux {}",
        kernel.split('-').next().unwrap_or_default().trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(median: f64) -> Samples {
        Samples::of(vec![median]).unwrap()
    }

    #[test]
    fn the_table_holds_ratio_goal_and_notes() {
        let mut report = Report::new(1);
        report.add("one uncached RUN", US, samples(6.0));
        report.add("one uncached RUN", PEER, samples(48.0));
        report.add("one uncached RUN", "runc run, bare", samples(17.0));
        report.absent("buildah", &anyhow::anyhow!("no such program"));
        let table = report.table();
        let row =
            "| one uncached RUN | 6.0 ms | 8.0 ms | 48.0 ms | 0.12 | runc run, bare 17.0 ms |";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("- buildah is not measured here: no such program"));
        assert_eq!(report.json()["results"][0]["reached"], true);
    }

    #[test]
    fn growth_compares_doubled_graphs() {
        let mut report = Report::new(1);
        for (n, time) in [(250, 100.0), (500, 200.0), (1000, 500.0)] {
            report.add(&format!("{n} one-COPY stages, cold"), US, samples(time));
        }
        let growth = report.growth();
        assert_eq!(growth.len(), 1);
        assert!(growth[0].contains("x2.00") && growth[0].contains("x2.50"));
    }

    #[test]
    fn only_our_own_failures_fail_the_bench() {
        let mut report = Report::new(1);
        report.failed("cached", PEER, &anyhow::anyhow!("x"));
        assert_eq!(report.n_failed(), 0);
        report.failed("cached", US, &anyhow::anyhow!("x"));
        assert_eq!(report.n_failed(), 1);
    }
}
