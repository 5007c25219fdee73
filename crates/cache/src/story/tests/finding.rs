//! Which story is found, and which is taken.

use super::*;
use futures_util::FutureExt;
use std::slice::from_ref;
use std::sync::Arc;

fn of(stage: &str, text: &str, key: &str) -> Story {
    changed(|it| {
        it.key = digest(key);
        it.instruction.stage = stage.into();
        it.instruction.text = text.into();
    })
}

fn on(mut story: Story, below: &str) -> Story {
    story.inputs[0].input = step("x", below);
    story
}

fn finders(stories: &[Story]) -> Vec<Finders> {
    let mut nth = Nth::default();
    stories.iter().map(|story| nth.finders(story)).collect()
}

fn store() -> (tempfile::TempDir, Arc<Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn keep(local: &LocalStories, stories: &[Story]) {
    let all: Vec<(Story, Finders)> = stories.iter().cloned().zip(finders(stories)).collect();
    local.keep(&all);
}

/// What the last of the stories is explained by.
fn found(local: &LocalStories, stories: &[Story]) -> Option<Story> {
    let now = stories.last().unwrap();
    let wanted = Wanted {
        key: now.key,
        finders: *finders(stories).last().unwrap(),
        text: now.instruction.text.clone(),
        below: now.below().copied(),
    };
    let found = local.find(&[wanted]).now_or_never().unwrap().remove(0);
    let present = stories.iter().map(|story| story.instruction.text.as_str());
    nearest(now, found, &present.collect()).map(|nearest| nearest.found.story)
}

#[test]
fn a_step_is_found_after_every_usual_edit() {
    let (_dir, store) = store();
    let local = LocalStories::new(store);
    let before = [
        of("build", "RUN make all", "1"),
        of("build", "COPY src /src", "2"),
        of("build", "RUN make test", "3"),
    ];
    keep(&local, &before);
    let test = &before[2];
    for (why, now) in [
        ("nothing but its key", of("build", "RUN make test", "k")),
        ("the stage was renamed", of("other", "RUN make test", "k")),
        (
            "the text was edited",
            of("build", "RUN make test --fast", "k"),
        ),
        (
            "it stands on something else",
            on(of("build", "RUN make test", "k"), "z"),
        ),
    ] {
        let new = on(of("build", "RUN inserted-line", "i"), "y");
        assert_eq!(found(&local, &[new, now]).as_ref(), Some(test), "{why}");
    }
    // What has little in common is another instruction, unless it stands on the same thing.
    let other = of("build", "RUN something quite different", "k");
    assert!(found(&local, from_ref(&other)).is_some());
    assert_eq!(found(&local, &[on(other, "z")]), None);
    // An instruction that is still there is not the earlier form of another one.
    let inserted = of("build", "RUN something quite different", "k");
    assert_eq!(
        found(&local, &[before[0].clone(), before[2].clone(), inserted]),
        None
    );
    let elsewhere = on(of("third", "RUN make tests", "k"), "z");
    assert_eq!(found(&local, &[elsewhere]), None);
}

#[test]
fn equal_instructions_are_told_apart_by_their_order() {
    let (_dir, store) = store();
    let local = LocalStories::new(store);
    let twice = [
        on(of("build", "RUN sync", "1"), "a"),
        on(of("build", "RUN sync", "2"), "b"),
    ];
    keep(&local, &twice);
    let now = [
        on(of("build", "RUN sync", "3"), "c"),
        on(of("build", "RUN sync", "4"), "d"),
    ];
    assert_eq!(found(&local, &now[..1]).unwrap().key, digest("1"));
    assert_eq!(found(&local, &now).unwrap().key, digest("2"));
}

#[test]
fn the_nearest_story_has_the_fewest_differences() {
    let (_dir, store) = store();
    let local = LocalStories::new(store);
    let near = changed(|it| {
        it.key = digest("near");
        it.variables[1] = variable("VERSION", "1.1", true);
    });
    let far = changed(|it| {
        it.key = digest("far");
        it.variables[0] = variable("PATH", "/x", false);
        it.variables[1] = variable("VERSION", "1.0", true);
    });
    // The far one is the newer one.
    keep(&local, from_ref(&near));
    keep(&local, &[far]);
    let now = changed(|it| it.key = digest("now"));
    assert_eq!(found(&local, from_ref(&now)), Some(near.clone()));
    // Of equally near ones the newer one is taken.
    let newer = changed(|it| {
        it.key = digest("newer");
        it.variables[1] = variable("VERSION", "0.9", true);
    });
    keep(&local, from_ref(&newer));
    assert_eq!(found(&local, &[now]), Some(newer));
    // The same key differs in nothing.
    let same = changed(|it| it.key = digest("near"));
    assert_eq!(found(&local, &[same]).unwrap().key, digest("near"));
}

#[test]
fn only_a_few_stories_are_kept_and_the_others_are_forgotten() {
    let (_dir, store) = store();
    let local = LocalStories::new(Arc::clone(&store));
    for n in 0..9 {
        keep(&local, &[of("build", "RUN x", &n.to_string())]);
    }
    let usage = |n: &str| {
        let now = [of("build", "RUN x", n)];
        let names = finders(&now);
        local.knows(&[(digest(n), names[0])])[0]
    };
    let known: Vec<bool> = (0..9).map(|n| usage(&n.to_string())).collect();
    assert_eq!(
        known,
        [false, false, false, false, false, true, true, true, true]
    );
    store.index().flush().unwrap();
    // Three lists and four stories.
    assert_eq!(store.usage().unwrap().facts, 7);
}

#[test]
fn long_stories_are_packed_and_cut() {
    let (_dir, store) = store();
    let local = LocalStories::new(store);
    let many = |n: usize, len: usize| {
        let path = |n: usize| format!("dir{}/{n:0len$}", n % 10);
        let all = (0..n).map(|n| file(&path(n), &n.to_string())).collect();
        changed(|it| it.inputs[1].input = files(all))
    };
    let kept = many(1000, 40);
    keep(&local, from_ref(&kept));
    assert_eq!(found(&local, from_ref(&kept)), Some(kept));
    let cut = many(3000, 2000);
    keep(&local, from_ref(&cut));
    let found = found(&local, &[cut]).unwrap();
    let Input::Files { listing, .. } = &found.inputs[1].input else {
        panic!("{:?}", found.inputs[1]);
    };
    assert!(matches!(listing, Listing::Directories(dirs) if dirs.len() == 10));
}

#[test]
fn stories_of_another_version_are_none() {
    let (_dir, store) = store();
    let key = acetate_store::FactKey::new("story", digest("1").as_bytes());
    store.index().put_facts(vec![(key, b"junk".to_vec())]);
    let local = LocalStories::new(store);
    assert_eq!(found(&local, &[of("build", "RUN x", "1")]), None);
}
