//! A page for people, without scripts and without anything from elsewhere.

use super::Failure;
use super::guard::allow;
use super::operation::stats;
use crate::App;
use crate::auth::{Access, Caller};
use acetate_cache_api::Namespace;
use acetate_cache_api::admin::{Entry, InFlight, SeenMiss, ServerStats};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const PAGE: &str = include_str!("page.html");
const LOCKED: &str = include_str!("locked.html");

/// Nothing is loaded, run, framed or sent on from here.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";

/// Hit rate, bytes, steps in flight, why steps had to run, and the largest and the longest unused
/// objects.
pub(super) async fn show(app: &Arc<App>, caller: &Caller) -> Result<Response, Failure> {
    match allow(app, caller, &Namespace::root(), Access::Read) {
        Ok(()) => {}
        // Browsers ask for a name and a password, and this is what is behind their question.
        Err(failure @ Failure::Unauthorized) => {
            let mut response = failure.into_response();
            let challenge = response.headers_mut().remove(header::WWW_AUTHENTICATE);
            let mut page = finish(StatusCode::UNAUTHORIZED, LOCKED.to_owned());
            if let Some(challenge) = challenge {
                page.headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
            }
            return Ok(page);
        }
        Err(failure) => return Err(failure),
    }
    let app = Arc::clone(app);
    let stats = acetate_stdx::blocking(move || stats(&app, &Namespace::root())).await?;
    Ok(finish(StatusCode::OK, fill(&stats)))
}

fn finish(status: StatusCode, page: String) -> Response {
    let mut response = (status, Html(page)).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn fill(stats: &ServerStats) -> String {
    let parts = [
        ("{{numbers}}", numbers(stats)),
        ("{{flight}}", stats.in_flight.iter().map(step).collect()),
        ("{{misses}}", stats.last_misses.iter().map(miss).collect()),
        ("{{largest}}", stats.largest.iter().map(entry).collect()),
        ("{{oldest}}", stats.oldest.iter().map(entry).collect()),
    ];
    // Each place is looked for behind the last one, so that no name can be mistaken for one.
    let (mut page, mut rest) = (String::new(), PAGE);
    for (place, text) in parts {
        let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
        page += before;
        page += &text;
        rest = after;
    }
    page + rest
}

fn numbers(stats: &ServerStats) -> String {
    let mut rows = String::new();
    for (name, value) in [
        ("hit rate", rate(stats.hits, stats.misses)),
        ("time saved", format!("{} s", stats.saved_ms / 1000)),
        ("bytes saved", size(stats.bytes_down)),
        ("bytes received", size(stats.bytes_up)),
        ("records", stats.records.to_string()),
        ("content", stats.contents.to_string()),
        ("in use", size(stats.used_bytes)),
        ("limit", stats.max_bytes.map_or("none".to_owned(), size)),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
    }
    rows
}

fn step(step: &InFlight) -> String {
    let secs = |ms| format!("{:.1} s", Duration::from_millis(ms).as_secs_f64());
    let expected = step.expected_ms.map_or_else(String::new, secs);
    let cells = [&step.name, &step.namespace, &secs(step.since_ms), &expected];
    row(&cells.map(String::as_str))
}

fn miss(seen: &SeenMiss) -> String {
    let miss = &seen.miss;
    let age = format!("{} s", seen.age_secs);
    row(&[
        &miss.step,
        &miss.reason,
        &seen.namespace,
        start(&miss.key),
        &age,
    ])
}

fn entry(entry: &Entry) -> String {
    let age = format!("{} min", entry.age_secs / 60);
    let saved = match entry.saved_ms {
        0 => String::new(),
        ms => format!("{} s", ms.div_ceil(1000)),
    };
    let (key, size) = (start(&entry.key), size(entry.size));
    row(&[&entry.kind, &entry.namespace, key, &size, &age, &saved])
}

/// As much of a key as people read.
fn start(key: &str) -> &str {
    &key[..key.floor_char_boundary(12)]
}

fn row(cells: &[&str]) -> String {
    let cells = cells
        .iter()
        .map(|cell| format!("<td>{}</td>", escape(cell)));
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

fn rate(hits: u64, misses: u64) -> String {
    match hits + misses {
        0 => "nobody asked yet".to_owned(),
        all => format!("{} % of {all}", hits * 100 / all),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        10_000_000..=9_999_999_999 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Names come from clients: none of them becomes a part of the page.
fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&#39;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escape("<b a=\"'&\">"), "&lt;b a=&quot;&#39;&amp;&quot;&gt;");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(rate(0, 0), "nobody asked yet");
        assert_eq!(rate(3, 1), "75 % of 4");
        assert_eq!(size(512), "512 B");
        assert_eq!(size(20 << 20), "20 MiB");
    }
}
