//! Every rule has its page, and the list of pages has every rule.

use crate::checks::{RULES, find};
use std::path::Path;

#[test]
fn every_rule_has_a_page_that_the_list_names() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = std::fs::read_to_string(top.join("docs/checks/README.md")).unwrap();
    for rule in &RULES {
        let page = std::fs::read_to_string(top.join(rule.page)).unwrap_or_default();
        assert!(
            page.starts_with(&format!("# {}\n", rule.name)),
            "{}",
            rule.page
        );
        for part in ["## Wrong\n", "## Right\n"] {
            assert!(page.contains(part), "{}: no {part}", rule.page);
        }
        let file = rule.page.rsplit('/').next().unwrap();
        assert!(
            list.contains(&format!("[{}]({file})", rule.name)),
            "{}",
            rule.name
        );
    }
    let pages = std::fs::read_dir(top.join("docs/checks")).unwrap().count();
    assert_eq!(pages, RULES.len() + 1);
}

#[test]
fn the_examples_are_what_they_are_said_to_be() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for rule in &RULES {
        let page = std::fs::read_to_string(top.join(rule.page)).unwrap();
        let example = |part: &str| {
            let rest = page.split_once(part).unwrap().1;
            let code = rest.split_once("```dockerfile\n").unwrap().1;
            code.split_once("```").unwrap().0.to_owned()
        };
        let mut request = super::request();
        request.checks = vec![rule.name.to_owned()];
        request.ignore = Some("dist\n".to_owned());
        if rule.name == "InvalidBaseImagePlatform" {
            request.platforms = vec!["linux/arm64".parse().unwrap()];
        }
        let found = |text: &str| {
            let warnings = super::linted(text, &request).warnings.into_iter();
            warnings.map(|it| it.rule_name).collect::<Vec<_>>()
        };
        let wrong = found(&example("## Wrong\n"));
        assert!(
            wrong.iter().all(|name| name == rule.name) && !wrong.is_empty(),
            "{}: {wrong:?}",
            rule.name
        );
        assert_eq!(found(&example("## Right\n")), [""; 0], "{}", rule.name);
    }
}

#[test]
fn names_are_unique_and_found_in_any_case() {
    for (idx, rule) in RULES.iter().enumerate() {
        assert!(RULES[..idx].iter().all(|other| other.name != rule.name));
        assert_eq!(find(&rule.name.to_lowercase()), Some(rule));
    }
    assert_eq!(RULES.iter().filter(|rule| !rule.own).count(), 22);
    assert!(RULES.iter().all(|rule| !rule.own || rule.experimental));
}
