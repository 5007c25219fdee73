use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened since the server started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) incomplete: Counter,
    pub(crate) errors: Counter,
    pub(crate) refused: Counter,
    pub(crate) full: Counter,
    pub(crate) wrong_content: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) content_hits: Counter,
    pub(crate) content_misses: Counter,
    pub(crate) bytes_up: Counter,
    pub(crate) bytes_down: Counter,
    pub(crate) leases_granted: Counter,
    pub(crate) leases_held: Counter,
    pub(crate) saved_ms: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One line of the exposition: name, labels, help, value.
type Row<'a> = (&'static str, &'static str, &'static str, &'a Counter);

impl Metrics {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = self.lookups();
        rows.extend(self.others());
        rows
    }

    fn lookups(&self) -> Vec<Row<'_>> {
        let records = |labels, counter| {
            let help = "Records that were asked for.";
            ("acetate_lookups_total", labels, help, counter)
        };
        let content = |labels, counter| {
            let help = "Content that was asked for.";
            ("acetate_content_total", labels, help, counter)
        };
        vec![
            records("result=\"hit\"", &self.hits),
            records("result=\"miss\"", &self.misses),
            records("result=\"incomplete\"", &self.incomplete),
            records("result=\"error\"", &self.errors),
            content("result=\"hit\"", &self.content_hits),
            content("result=\"miss\"", &self.content_misses),
        ]
    }

    fn others(&self) -> Vec<Row<'_>> {
        let plain = |name, help, counter| (name, "", help, counter);
        let bytes = |labels, counter| ("acetate_bytes_total", labels, "Bytes of bodies.", counter);
        let leases = |labels, counter| {
            (
                "acetate_leases_total",
                labels,
                "Claims of records.",
                counter,
            )
        };
        vec![
            plain(
                "acetate_refused_total",
                "Requests that were not allowed.",
                &self.refused,
            ),
            plain(
                "acetate_full_total",
                "Uploads for which there was no room.",
                &self.full,
            ),
            plain(
                "acetate_wrong_content_total",
                "Uploads that were not what their name says.",
                &self.wrong_content,
            ),
            plain(
                "acetate_conflicts_total",
                "Records that were there already and differed.",
                &self.conflicts,
            ),
            bytes("direction=\"up\"", &self.bytes_up),
            bytes("direction=\"down\"", &self.bytes_down),
            leases("result=\"granted\"", &self.leases_granted),
            leases("result=\"held\"", &self.leases_held),
            plain(
                "acetate_saved_milliseconds_total",
                "Time that hits saved.",
                &self.saved_ms,
            ),
        ]
    }

    /// The text format of Prometheus, version 0.0.4.
    pub(crate) fn exposition(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut out = String::new();
        let mut last = "";
        for (name, labels, help, counter) in self.rows() {
            if name != last {
                // Writing to a string cannot fail.
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
                last = name;
            }
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{labels}}}")
            };
            let _ = writeln!(out, "{name}{labels} {}", counter.get());
        }
        for (name, help, value) in gauges {
            let _ = writeln!(
                out,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_explained_once() {
        let metrics = Metrics::default();
        metrics.hits.add(3);
        let text = metrics.exposition(&[("acetate_used_bytes", "Bytes of all objects.", 7)]);
        assert!(
            text.contains("\nacetate_lookups_total{result=\"hit\"} 3\n")
                || text.contains("acetate_lookups_total{result=\"hit\"} 3\n")
        );
        assert!(text.ends_with("# TYPE acetate_used_bytes gauge\nacetate_used_bytes 7\n"));
        let helps: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# HELP"))
            .collect();
        let mut names: Vec<&str> = helps
            .iter()
            .filter_map(|line| line.split(' ').nth(2))
            .collect();
        let n = names.len();
        names.dedup();
        assert_eq!(names.len(), n);
    }
}
