//! What a build did with caches, in a line each and as JSON.

use crate::size;
use acetate_engine::CacheSummary;
use serde_json::{Value, json};
use std::time::Duration;

/// One line for a cache that was of any use or was given anything; none for one that was not.
pub(crate) fn line(summary: &CacheSummary) -> Option<String> {
    let stats = &summary.stats;
    let mut parts = Vec::new();
    if stats.hits > 0 {
        let saved = Duration::from_millis(stats.saved_ms);
        parts.push(format!("saved {}", time(saved)));
    }
    if stats.bytes_down > 0 {
        parts.push(format!("{} down", size::human(stats.bytes_down)));
    }
    if stats.bytes_up > 0 {
        parts.push(format!("{} up", size::human(stats.bytes_up)));
    }
    let text = parts.join(", ");
    (!text.is_empty()).then(|| format!("cache {}: {text}", summary.name))
}

/// All counts of all caches.
pub(crate) fn json(summaries: &[CacheSummary]) -> Value {
    let one = |summary: &CacheSummary| json!({ "name": summary.name, "stats": summary.stats });
    summaries.iter().map(one).collect()
}

fn time(time: Duration) -> String {
    let secs = time.as_secs();
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, _) => format!("{:.1} s", time.as_secs_f64()),
        (0, minutes, secs) => format!("{minutes} m {secs} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        for (ms, words) in [
            (0, "0.0 s"),
            (1250, "1.2 s"),
            (252_000, "4 m 12 s"),
            (3_660_000, "1 h 1 m"),
        ] {
            assert_eq!(time(Duration::from_millis(ms)), words);
        }
    }

    #[test]
    fn a_cache_that_was_not_used_is_not_told_of() {
        let mut summary = CacheSummary {
            name: "http://h/x".to_owned(),
            ..CacheSummary::default()
        };
        assert_eq!(line(&summary), None);
        summary.stats.hits = 2;
        summary.stats.saved_ms = 252_000;
        summary.stats.bytes_down = 310 << 20;
        summary.stats.bytes_up = 12 << 20;
        assert_eq!(
            line(&summary).as_deref(),
            Some("cache http://h/x: saved 4 m 12 s, 325.059MB down, 12.583MB up")
        );
        assert_eq!(json(&[summary])[0]["stats"]["hits"], 2);
    }
}
