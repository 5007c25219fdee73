//! Inputs for measurements inside the process, and the timing of them.
//!
//! **Main types.** [`dockerfile`], [`application`], [`single_stage`] and [`chain`] make inputs of a wanted
//! size; [`build`] reads, plans and lowers a Dockerfile; [`median`] and [`least`] time a piece of work.
//!
//! **Invariants.** The same size gives the same input. Nothing of the product uses this crate.
//!
//! **Not here.** Whole commands and other builders: `cargo xtask bench` measures those.

mod application;
mod build;
mod single;

pub use application::application;
pub use build::{Built, build};
pub use single::single_stage;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use acetate_graph::{
    BuildGraph, Edge, ExecOp, GraphBuilder, Mount, MountAccess, MountSource, NetworkMode, Op,
    SecurityMode, VertexMeta,
};
use acetate_oci::Platform;

/// A Dockerfile of `n_stages` stages with five instructions each, every stage on the one before.
pub fn dockerfile(n_stages: usize) -> String {
    let mut text = "ARG VERSION=1\n".to_owned();
    for stage in 0..n_stages {
        let base = stage
            .checked_sub(1)
            .map_or_else(|| "scratch".to_owned(), |n| format!("s{n}"));
        let lines = write!(
            text,
            "FROM {base} AS s{stage}\nARG VERSION\nENV A{stage}=\"${{VERSION}} {stage}\"\n\
             COPY --chown=1:1 [\"a {stage}\", \"/b/\"]\nRUN make one && \\\n    make two\n"
        );
        lines.expect("writing to a string cannot fail");
    }
    text
}

/// A graph of `n` processes, each on the result of the one before it.
pub fn chain(n: u32) -> BuildGraph {
    let mut builder = GraphBuilder::new();
    let mut last = None;
    for step in 0..n {
        let inputs: Vec<Edge> = last.into_iter().collect();
        let source = if inputs.is_empty() {
            MountSource::Scratch
        } else {
            MountSource::Input(0)
        };
        let op = Op::Exec(process(step, source));
        last = Some(Edge::first(builder.add(op, inputs, VertexMeta::default())));
    }
    builder.build(last.into_iter().collect())
}

fn process(step: u32, source: MountSource) -> ExecOp {
    ExecOp {
        argv: ["/bin/sh", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("step {step}")])
            .collect(),
        env: ["PATH=/usr/bin:/bin"].into_iter().collect(),
        cwd: "/".to_owned(),
        user: String::new(),
        network: NetworkMode::Default,
        security: SecurityMode::Sandbox,
        hostname: None,
        extra_hosts: Vec::new(),
        ulimits: Vec::new(),
        shm_size: None,
        secret_env: Vec::new(),
        devices: Vec::new(),
        mounts: vec![Mount {
            target: "/".to_owned(),
            source,
            selector: "/".to_owned(),
            access: MountAccess::ReadWrite,
            output: Some(0),
        }],
        platform: Platform::host(),
    }
}

/// The median time of `runs` calls, after one that is not counted. `runs` is at least one.
pub fn median<T>(runs: usize, work: impl FnMut() -> T) -> Duration {
    let times = sorted_times(runs, work);
    times[times.len() / 2]
}

/// The shortest time of `runs` calls, after one that is not counted: what else the machine does can
/// only add to it, so that it may be held against a limit.
pub fn least<T>(runs: usize, work: impl FnMut() -> T) -> Duration {
    sorted_times(runs, work)[0]
}

/// At least one time.
fn sorted_times<T>(runs: usize, mut work: impl FnMut() -> T) -> Vec<Duration> {
    drop(black_box(work()));
    let mut times: Vec<Duration> = (0..runs.max(1))
        .map(|_| {
            let start = Instant::now();
            let made = black_box(work());
            let time = start.elapsed();
            drop(made);
            time
        })
        .collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use acetate_frontend::{SourceFile, parse};

    use super::*;

    #[test]
    fn the_dockerfile_is_one_that_parses() {
        let parsed = parse(&SourceFile::new("Dockerfile", dockerfile(200)));
        assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    }

    /// Time cannot be tested, but what is made can: twice the lines are twice the work.
    #[test]
    fn everything_is_linear_in_the_number_of_lines() {
        let one = build(application(2_000));
        let two = build(application(4_000));
        for (name, one, two) in [
            ("lines", one.n_lines, two.n_lines),
            ("steps", one.n_vertices, two.n_vertices),
            ("edges", one.n_edges, two.n_edges),
            ("needs", one.n_needs, two.n_needs),
            ("history", one.n_history, two.n_history),
            ("bytes of steps", one.n_bytes, two.n_bytes),
        ] {
            assert!(
                one > 0 && two <= 2 * one + one / 20,
                "{name}: {one}, then {two}"
            );
        }
        assert_eq!(one.n_rounds, two.n_rounds);
        assert!(one.n_vertices > 1_000, "every stage is built: {one:?}");
        assert!((2_000..2_040).contains(&one.n_lines), "{}", one.n_lines);
    }

    #[test]
    fn the_chain_has_one_vertex_a_step() {
        assert_eq!(chain(100).len(), 100);
    }

    #[test]
    fn the_median_leaves_outliers_out() {
        let mut calls = 0;
        let time = median(3, || {
            calls += 1;
            if calls == 2 {
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        assert_eq!(calls, 4);
        assert!(time < Duration::from_millis(150), "{time:?}");
    }
}
