//! A page for people, without scripts and without anything from elsewhere.

use super::Failure;
use super::guard::allow;
use super::operation::Stats;
use crate::App;
use crate::auth::{Access, Caller};
use crate::storage::Object;
use acetate_cache_api::{Kind, Namespace};
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write as _;

const HEAD: &str = include_str!("page.html");

/// Hit rate, bytes, steps in flight, and the largest and the longest unused objects.
pub(super) fn show(app: &App, caller: &Caller) -> Result<Response, Failure> {
    allow(app, caller, &Namespace::root(), Access::Read)?;
    let stats = Stats::of(app)?;
    let mut rows = String::new();
    for (name, value) in [
        ("hit rate", rate(stats.hits, stats.misses)),
        ("records", stats.records.to_string()),
        ("content", stats.contents.to_string()),
        ("in use", size(stats.used_bytes)),
        ("limit", stats.max_bytes.map_or("none".to_owned(), size)),
        ("sent", size(stats.bytes_down)),
        ("received", size(stats.bytes_up)),
        ("time saved", format!("{} s", stats.saved_ms / 1000)),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
    }
    let mut flight = String::new();
    for (name, since_ms) in app.leases.in_flight() {
        let _ = writeln!(
            flight,
            "<tr><td>{}</td><td>{:.1} s</td></tr>",
            escape(&name),
            std::time::Duration::from_millis(since_ms).as_secs_f64()
        );
    }
    let now = app.disk.now();
    let index = app.disk.index();
    let parts = [
        ("{{numbers}}", rows),
        ("{{flight}}", flight),
        ("{{largest}}", objects(&index.notable(10, false)?, now)),
        ("{{oldest}}", objects(&index.notable(10, true)?, now)),
    ];
    // Each place is looked for behind the last one, so that no name can be mistaken for one.
    let (mut page, mut rest) = (String::new(), HEAD);
    for (place, text) in parts {
        let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
        page += before;
        page += &text;
        rest = after;
    }
    page += rest;
    Ok(Html(page).into_response())
}

fn objects(objects: &[Object], now: i64) -> String {
    let row = |object: &Object| {
        let kind = match object.kind {
            Kind::Action => "record",
            Kind::Content => "content",
        };
        format!(
            "<tr><td>{kind}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{} min</td></tr>\n",
            escape(&object.namespace.to_string()),
            &object.key.hex()[..12],
            size(object.size),
            (now - object.used).max(0) / 60
        )
    };
    objects.iter().map(row).collect()
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
