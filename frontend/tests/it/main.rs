//! Tests of the frontend from outside: corpora, properties and mutations.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod expand;
mod expand_cost;
mod fuzz;
mod inputs;
mod planned;
mod properties;
mod sound;
mod summary;
mod syntax;

/// Each file of this folder is a module here: one that is not would never run.
#[test]
fn no_file_is_forgotten() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            name == "main" || main.contains(&format!("mod {name};")),
            "{name}"
        );
    }
}
