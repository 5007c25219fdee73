//! The cases of `testdata/syntax`: small Dockerfiles and what is read out of them.
//!
//! ```text
//! === title
//! a Dockerfile; ␉ is a tab, ␍ a carriage return, ␠ a blank, ⌧ nothing at all
//! ---
//! what `summary` writes
//! ```

use crate::summary::summary;
use acetate_frontend::{SourceFile, parse};
use std::path::Path;

fn unmask(text: &str) -> String {
    let text = text.replace('␉', "\t").replace('␍', "\r").replace('␠', " ");
    text.replace("⌧\n", "").replace('⌧', "")
}

#[test]
fn every_case_is_read_as_it_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/syntax");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut n_cases = 0;
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for case in text.split("=== ").skip(1) {
            let (title, rest) = case.split_once('\n').expect("a title");
            let (dockerfile, expected) = rest.split_once("---\n").expect("an expectation");
            let source = SourceFile::new("Dockerfile", unmask(dockerfile));
            let found = summary(&source, &parse(&source));
            if found.trim_end() != expected.trim_end() {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                wrong.push(format!(
                    "{name}: {title}\n{dockerfile}--- expected\n{expected}--- found\n{found}"
                ));
            }
            n_cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(n_cases >= 100, "{n_cases}");
}
