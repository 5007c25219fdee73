//! Prints the median times of single pure steps: `cargo bench -p acetate-benches --bench in_process`.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use acetate_benches::{chain, dockerfile, median};
use acetate_frontend::{SourceFile, parse};
use acetate_graph::key_all;

const RUNS: usize = 21;

fn main() {
    let source = SourceFile::new("Dockerfile", dockerfile(200));
    println!(
        "parse {} lines: {:?}",
        source.n_lines(),
        median(RUNS, || parse(&source))
    );
    println!(
        "build and key a chain of 10000: {:?}",
        median(RUNS, || chain(10_000))
    );
    let graph = chain(10_000);
    println!(
        "key 10000 vertices again: {:?}",
        median(RUNS, || key_all(&graph))
    );
}
