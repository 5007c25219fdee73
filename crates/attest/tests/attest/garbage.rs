use crate::support::{everything, info};
use acetate_attest::sbom::{Limits, MemoryTree, Tree, document, parse_license, scan};
use acetate_attest::scanner::{OutputFile, collect};
use acetate_attest::{Requested, redact};
use proptest::prelude::*;

/// A change to one file: cut it, or replace, insert or repeat bytes.
#[derive(Debug, Clone)]
enum Change {
    Cut(usize),
    Replace(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let bytes = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..8),
            prop::sample::select(vec![
                "@",
                "/",
                ":",
                "\n\n",
                "  ",
                "(",
                ")",
                "\"",
                "{",
                "}",
                "-",
                "\u{fffd}ü",
                "=>",
                "\t"
            ])
            .prop_map(|s| s.as_bytes().to_vec()),
        ]
    };
    prop_oneof![
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), bytes()).prop_map(|(at, b)| Change::Replace(at, b)),
        (any::<usize>(), bytes()).prop_map(|(at, b)| Change::Insert(at, b)),
        (any::<usize>(), 1..64_usize).prop_map(|(at, n)| Change::Repeat(at, n)),
    ]
}

fn apply(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    let place = |at: usize, bytes: &[u8]| at % (bytes.len() + 1);
    match change {
        Change::Cut(at) => bytes.truncate(place(*at, &bytes)),
        Change::Replace(at, with) => {
            let at = place(*at, &bytes);
            let end = (at + with.len()).min(bytes.len());
            bytes.splice(at..end, with.iter().copied());
        }
        Change::Insert(at, with) => {
            let at = place(*at, &bytes);
            bytes.splice(at..at, with.iter().copied());
        }
        Change::Repeat(at, n) => {
            let at = place(*at, &bytes);
            let part: Vec<u8> = bytes[at..(at + n).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_files_never_panic(which in any::<usize>(), changes in prop::collection::vec(change(), 1..6)) {
        let tree = everything();
        let files = tree.files().unwrap();
        let file = &files[which % files.len()];
        let bytes = changes.iter().fold(tree.read(&file.path, u64::MAX).unwrap(), apply);
        let tree = if file.executable {
            tree.with_program(&file.path, bytes)
        } else {
            tree.with(&file.path, bytes)
        };
        let found = scan(&tree, &Limits::default()).unwrap();
        let one = document(&info(), &found);
        prop_assert_eq!(one, document(&info(), &found));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let tree = everything();
        let mut garbage = MemoryTree::new();
        for file in tree.files().unwrap() {
            garbage = garbage.with(&file.path, bytes.clone());
        }
        scan(&garbage, &Limits::default()).unwrap();
        drop(collect(vec![OutputFile { path: "sbom.spdx.json".to_owned(), bytes }]));
    }

    #[test]
    fn any_text_is_survived(text in ".{0,80}") {
        drop(Requested::parse(&[&text], Some(&text), Some(&text)));
        parse_license(&text);
        redact(&text);
    }

    #[test]
    fn no_password_survives(user in "[a-z]{1,8}", password in "[a-zA-Z0-9/:@]{6,20}", around in "[a-z ]{0,10}") {
        let text = format!("{around}https://{user}:SECRET{password}@host/path {around}");
        prop_assert!(!redact(&text).contains("SECRET"), "{}", redact(&text));
    }
}

#[test]
fn deep_nesting_is_survived() {
    let deep = 200_000;
    let tree = MemoryTree::new()
        .with("composer.lock", "[".repeat(deep))
        .with(
            "package-lock.json",
            "{\"dependencies\":{\"a\":".repeat(deep),
        )
        .with("Cargo.lock", format!("a = {}", "[".repeat(deep)))
        .with("poetry.lock", format!("a = {}", "{a=".repeat(deep)));
    let found = scan(&tree, &Limits::default()).unwrap();
    assert_eq!(found.problems.len(), 4);
}
