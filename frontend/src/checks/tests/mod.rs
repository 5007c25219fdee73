//! Every check by tables: a title, a Dockerfile, and what it is warned of.

mod copied;
mod froms;
mod own;
mod pages;
mod settings;
mod variables;
mod words;

use crate::SourceFile;
use crate::call::{LintResult, Linted, lint};
use crate::pins::{Need, PinnedImage, Pins};
use crate::request::PlanRequest;
use acetate_oci::{Digest, ImageConfig};

/// A title, the text of a Dockerfile, and the warnings as `Rule: text (line N)`, in order.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// Checks every row; what ends with an error says so in a last line `error: text`.
#[track_caller]
fn check_all(rows: &[Row]) {
    check_with(rows, |_| {});
}

#[track_caller]
fn check_with(rows: &[Row], set: impl Fn(&mut PlanRequest)) {
    for (title, text, expected) in rows {
        let mut request = request();
        set(&mut request);
        assert_eq!(shown(&linted(text, &request)), *expected, "{title}\n{text}");
    }
}

fn request() -> PlanRequest {
    PlanRequest::new("linux/amd64".parse().unwrap())
}

/// Lints until nothing is missing; every image is for amd64 and sets `BASE_SET`.
fn linted(text: &str, request: &PlanRequest) -> LintResult {
    let source = SourceFile::new("Dockerfile", text);
    let mut pins = Pins::default();
    for _ in 0..10 {
        let needs = match lint(&source, request, &pins) {
            Linted::Done(result) => return result,
            Linted::Needs(needs, _) => needs,
        };
        for need in needs {
            let Need::Image(need, _) = need else {
                panic!("only images may be asked for: {need:?}");
            };
            let platform = "linux/amd64".parse().unwrap();
            let mut config = ImageConfig::scratch(&platform);
            config.config.env = vec!["PATH=/bin".to_owned(), "BASE_SET=1".to_owned()];
            let manifest = Digest::of(b"image");
            let image = PinnedImage {
                manifest,
                platform,
                config,
                n_layers: 1,
            };
            pins.images.insert(need, image);
        }
    }
    panic!("linting does not end");
}

fn shown(result: &LintResult) -> Vec<String> {
    let warnings = result.warnings.iter().map(|warning| {
        let line = warning.location.lines().map_or(0, |lines| lines.first);
        format!("{}: {} (line {line})", warning.rule_name, warning.detail)
    });
    let error = result.build_error.iter();
    let error = error.map(|error| format!("error: {}", error.message));
    warnings.chain(error).collect()
}
