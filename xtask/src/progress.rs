//! Reads what `--progress=plain` printed: which steps ran, which were taken from the cache, and
//! which of them ran at the same time.
//!
//! The lines are those that `docker buildx build` users know: `#7 [build 2/6] RUN make` names a
//! step, `#7 CACHED` and `#7 DONE 1.2s` end it.

use std::collections::BTreeMap;

/// What a log says of one step, with line numbers as its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Stage and instruction, as `[build 2/6] RUN make`.
    pub(crate) name: String,
    pub(crate) cached: bool,
    first_line: usize,
    last_line: usize,
    done: bool,
}

/// All steps of a build that stand for an instruction, in order of appearance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    steps: Vec<Step>,
}

impl Log {
    pub(crate) fn parse(text: &str) -> Self {
        let mut steps: BTreeMap<u64, Step> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((id, said)) = numbered(line) else {
                continue;
            };
            if is_instruction(said) {
                steps.entry(id).or_insert_with(|| Step {
                    name: said.to_owned(),
                    cached: false,
                    first_line: number,
                    last_line: number,
                    done: false,
                });
            } else if let Some(step) = steps.get_mut(&id) {
                step.last_line = number;
                step.cached |= said == "CACHED";
                step.done |= said.starts_with("DONE");
            }
        }
        let mut steps: Vec<Step> = steps.into_values().collect();
        steps.sort_by_key(|step| step.first_line);
        Self { steps }
    }

    /// The steps that were carried out.
    pub(crate) fn ran(&self) -> Vec<&Step> {
        self.steps
            .iter()
            .filter(|step| step.done && !step.cached)
            .collect()
    }

    pub(crate) fn n_cached(&self) -> usize {
        self.steps.iter().filter(|step| step.cached).count()
    }

    /// Whether a step that ran is named like this.
    pub(crate) fn ran_like(&self, part: &str) -> bool {
        self.ran().iter().any(|step| step.name.contains(part))
    }

    /// Whether the steps of two stages overlapped in time.
    pub(crate) fn overlapped(&self, one: &str, other: &str) -> bool {
        let of = |stage: &str| {
            let start = format!("[{stage} ");
            let ran = self.ran().into_iter();
            ran.filter(move |step| step.name.starts_with(&start))
                .cloned()
                .collect::<Vec<_>>()
        };
        let others = of(other);
        of(one).iter().any(|a| {
            others
                .iter()
                .any(|b| a.first_line < b.last_line && b.first_line < a.last_line)
        })
    }
}

fn numbered(line: &str) -> Option<(u64, &str)> {
    let (id, said) = line.strip_prefix('#')?.split_once(' ')?;
    Some((id.parse().ok()?, said.trim_end()))
}

/// A line that names a step of the Dockerfile, other than a FROM.
fn is_instruction(said: &str) -> bool {
    let Some((stage, instruction)) = said
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return false;
    };
    let word = instruction.split_whitespace().next().unwrap_or_default();
    let known = ["RUN", "COPY", "ADD", "WORKDIR"];
    !stage.starts_with("internal") && known.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#2 [build 1/3] FROM debian
#2 DONE 0.1s
#3 [build 2/3] RUN apt-get update
#4 [docs 2/2] RUN groff
#3 0.310 Get:1 x
#4 DONE 0.5s
#3 DONE 1.2s
#5 [build 3/3] COPY src/ ./
#5 CACHED
";

    #[test]
    fn instructions_that_ran_are_told_from_cached_ones() {
        let log = Log::parse(LOG);
        let ran: Vec<&str> = log.ran().iter().map(|step| step.name.as_str()).collect();
        assert_eq!(
            ran,
            ["[build 2/3] RUN apt-get update", "[docs 2/2] RUN groff"]
        );
        assert_eq!(log.n_cached(), 1);
        assert!(log.ran_like("apt-get") && !log.ran_like("COPY"));
    }

    #[test]
    fn overlap_needs_both_to_be_under_way() {
        assert!(Log::parse(LOG).overlapped("build", "docs"));
        let in_turn = "#3 [build 2/3] RUN a\n#3 DONE 1s\n#4 [docs 2/2] RUN b\n#4 DONE 1s\n";
        assert!(!Log::parse(in_turn).overlapped("build", "docs"));
    }

    #[test]
    fn a_step_that_failed_did_not_run_to_its_end() {
        let log = Log::parse("#3 [build 2/3] RUN a\n#3 ERROR: process ended with 1\n");
        assert!(log.ran().is_empty());
    }
}
