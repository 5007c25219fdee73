//! The measured pieces of work.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Options;
use super::input;
use super::report::Report;
use super::samples::{Samples, milliseconds};
use super::tool::{Job, Tool};
use crate::process;

pub(crate) const NAMES: &[&str] = &["cached", "run", "sleeps", "stages"];

/// The sizes at which the growth of the stage graph is looked at.
const STAGE_COUNTS: [usize; 3] = [250, 500, 1000];

/// Runs what the options want with every tool and puts it into the report.
pub(crate) fn run_all(
    options: &Options,
    inputs: &Path,
    tools: &mut [Box<dyn Tool>],
    report: &mut Report,
) -> Result<()> {
    if options.wants("cached") {
        input::cached(&inputs.join("cached"))?;
    }
    if options.wants("run") {
        input::runs(&inputs.join("run"))?;
    }
    if options.wants("sleeps") {
        input::sleeps(&inputs.join("sleeps"))?;
    }
    for tool in tools.iter() {
        let mut bench = Bench {
            tool: tool.as_ref(),
            runs: options.runs,
            n: 0,
        };
        for name in NAMES.iter().filter(|name| options.wants(name)) {
            if let Some(reason) = tool.declines(name) {
                report.left_out(name, tool.name(), reason);
                continue;
            }
            println!("bench: {name} with {}", tool.name());
            if let Err(error) = bench.workload(name, inputs, report) {
                report.failed(name, tool.name(), &error);
            }
        }
    }
    Ok(())
}

struct Bench<'a> {
    tool: &'a dyn Tool,
    runs: usize,
    /// Counts builds, so that a bust value is never used twice with one store.
    n: u32,
}

impl Bench<'_> {
    fn workload(&mut self, name: &str, inputs: &Path, report: &mut Report) -> Result<()> {
        let context = inputs.join(name);
        match name {
            "cached" => self.cached(&context, report),
            "run" => self.overhead(&context, report),
            "sleeps" => self.sleeps(&context, report),
            _ => STAGE_COUNTS
                .iter()
                .try_for_each(|n| self.stages(&inputs.join(format!("stages-{n}")), *n, report)),
        }
    }

    fn cached(&mut self, context: &Path, report: &mut Report) -> Result<()> {
        self.time(context, None)?;
        let samples = Samples::take(self.runs, || self.time(context, None))?;
        report.add(
            "fully cached rebuild, 12 instructions",
            self.tool.name(),
            samples,
        );
        Ok(())
    }

    /// A build whose RUNs all run, less the same build from the cache, for each RUN.
    fn overhead(&mut self, context: &Path, report: &mut Report) -> Result<()> {
        let first = self.next();
        self.time(context, Some(first))?;
        let mut all = Vec::new();
        for _ in 0..self.runs {
            let bust = self.next();
            let ran = self.time(context, Some(bust.clone()))?;
            let kept = self.time(context, Some(bust))?;
            let difference = milliseconds(ran) - milliseconds(kept);
            all.push(difference / f64::from(input::N_RUNS));
        }
        report.add("one uncached RUN", self.tool.name(), Samples::of(all)?);
        Ok(())
    }

    fn sleeps(&mut self, context: &Path, report: &mut Report) -> Result<()> {
        let first = self.next();
        self.time(context, Some(first))?;
        let runs = self.runs;
        let samples = Samples::take(runs, || {
            let bust = self.next();
            self.time(context, Some(bust))
        })?;
        report.add(
            "8 stages of `sleep 1` and one that gathers",
            self.tool.name(),
            samples,
        );
        Ok(())
    }

    fn stages(&mut self, context: &Path, n: usize, report: &mut Report) -> Result<()> {
        input::stages(context, n)?;
        let (mut cold, mut cached) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let bust = self.next();
            input::stage_files(context, n, &bust)?;
            cold.push(milliseconds(self.time(context, None)?));
            cached.push(milliseconds(self.time(context, None)?));
        }
        let name = self.tool.name();
        report.add(
            &format!("{n} one-COPY stages, cold"),
            name,
            Samples::of(cold)?,
        );
        report.add(
            &format!("{n} one-COPY stages, cached"),
            name,
            Samples::of(cached)?,
        );
        Ok(())
    }

    fn next(&mut self) -> String {
        self.n += 1;
        format!("{}-{}", self.tool.name(), self.n)
    }

    fn time(&self, context: &Path, bust: Option<String>) -> Result<Duration> {
        process::timed(&mut self.tool.build(&Job { context, bust }))
    }
}
