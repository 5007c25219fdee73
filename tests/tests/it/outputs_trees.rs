//! Attributes of `type=local` and `type=tar`; what is expected is what `BuildKit` writes.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails a test")]

use acetate_tests::{World, files_below, items_of_tar};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

const DOCKERFILE: &str = "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /d/$TARGETARCH\n";
const MANY: &str = "--platform=linux/amd64,linux/arm64";
const PROVENANCE: &str = "--provenance=mode=min";

/// Mode and time of all that an output wrote, directories too.
type Found = BTreeMap<String, (u32, i64)>;

#[track_caller]
fn written(world: &World, kind: &str, attributes: &str, args: &[&str]) -> Found {
    let dest = world.fresh("out");
    let output = format!("-otype={kind},dest={}{attributes}", dest.display());
    world.build(&[&[output.as_str()], args].concat()).ok();
    if kind == "tar" {
        let items = items_of_tar(&std::fs::read(dest).unwrap());
        let of = |item: &acetate_tests::Item| (item.mode, item.mtime.try_into().unwrap());
        let name = |item: &acetate_tests::Item| item.path.trim_end_matches('/').to_owned();
        return items.iter().map(|item| (name(item), of(item))).collect();
    }
    let mut found = Found::new();
    for file in files_below(&dest) {
        for path in file.ancestors().filter(|path| path.parent().is_some()) {
            let meta = std::fs::symlink_metadata(dest.join(path)).unwrap();
            found.insert(
                path.display().to_string(),
                (meta.mode() & 0o7777, meta.mtime()),
            );
        }
    }
    found
}

fn names(found: &Found) -> Vec<&str> {
    found.keys().map(String::as_str).collect()
}

#[test]
fn platforms_are_split_when_there_are_several_or_when_asked() {
    let world = World::of(DOCKERFILE);
    let one = "--platform=linux/amd64";
    let (flat, split) = (
        ["d", "d/amd64"],
        ["linux_amd64", "linux_amd64/d", "linux_amd64/d/amd64"],
    );
    let two = [
        &split[..],
        &["linux_arm64", "linux_arm64/d", "linux_arm64/d/arm64"],
    ]
    .concat();
    for kind in ["local", "tar"] {
        let of = |attributes: &str, platform: &str| {
            let found = written(&world, kind, attributes, &[platform]);
            names(&found).join(" ")
        };
        assert_eq!(of("", one), flat.join(" "), "{kind}");
        assert_eq!(of(",platform-split=false", one), flat.join(" "), "{kind}");
        assert_eq!(of(",platform-split=true", one), split.join(" "), "{kind}");
        assert_eq!(of("", MANY), two.join(" "), "{kind}");
        assert_eq!(of(",platform-split=true", MANY), two.join(" "), "{kind}");
        let merged = "d d/amd64 d/arm64";
        assert_eq!(of(",platform-split=false", MANY), merged, "{kind}");
    }
    let clash = World::of("FROM scratch\nCOPY Dockerfile /same\n");
    for kind in ["local", "tar"] {
        let dest = clash.fresh("out");
        let output = format!("-otype={kind},platform-split=false,dest={}", dest.display());
        clash.build(&[&output, MANY]).fails(&[
            "`same` of `linux/amd64` and of `linux/arm64`",
            "platform-split=false",
        ]);
        assert!(!dest.exists() || files_below(&dest).is_empty());
    }
}

#[test]
fn attestations_lie_beside_the_files_for_their_owner_alone() {
    let world = World::of(DOCKERFILE);
    for kind in ["local", "tar"] {
        let modes = |attributes: &str, args: &[&str]| -> Vec<(String, u32)> {
            let found = written(&world, kind, attributes, args);
            let told = found
                .into_iter()
                .filter(|(name, _)| name.contains("provenance"));
            told.map(|(name, (mode, _))| (name, mode)).collect()
        };
        let own = |names: &[&str]| -> Vec<(String, u32)> {
            names
                .iter()
                .map(|name| ((*name).to_owned(), 0o600))
                .collect()
        };
        assert_eq!(modes("", &[PROVENANCE]), own(&["provenance.json"]));
        assert_eq!(
            modes(",attestation-prefix=x-", &[PROVENANCE]),
            own(&["x-provenance.json"])
        );
        assert_eq!(
            modes(
                ",platform-split=true",
                &[PROVENANCE, "--platform=linux/amd64"]
            ),
            own(&["linux_amd64/provenance.json"])
        );
        assert_eq!(
            modes(",attestation-prefix=x-", &[PROVENANCE, MANY]),
            own(&[
                "linux_amd64/x-provenance.json",
                "linux_arm64/x-provenance.json"
            ])
        );
        assert_eq!(
            modes(
                ",attestation-prefix=x-,platform-split=false",
                &[PROVENANCE, MANY]
            ),
            own(&[
                "x-provenance.linux_amd64.json",
                "x-provenance.linux_arm64.json"
            ])
        );
    }
}

#[test]
fn an_epoch_is_the_time_of_all_that_is_written() {
    let world = World::of(DOCKERFILE);
    for kind in ["local", "tar"] {
        let found = written(&world, kind, ",source-date-epoch=500", &[MANY, PROVENANCE]);
        assert_eq!(found.len(), 8, "{found:?}");
        for (name, (_, time)) in &found {
            assert_eq!(*time, 500, "{kind}: {name}");
        }
        let found = written(&world, kind, "", &[PROVENANCE]);
        assert!(found.values().all(|(_, time)| *time > 500), "{found:?}");
    }
}

#[test]
fn the_mode_says_what_becomes_of_other_files() {
    let world = World::of(DOCKERFILE);
    let out = world.fresh("out");
    for (mode, left) in [
        ("", 2),
        (",mode=copy", 2),
        (",mode=delete,platform-split=false", 1),
    ] {
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("stale"), "").unwrap();
        let output = format!("-otype=local,dest={}{mode}", out.display());
        world.build(&[&output]).ok();
        assert_eq!(files_below(&out).len(), left, "{mode}");
    }
    // Of several platforms nothing else stays either.
    std::fs::write(out.join("stale"), "").unwrap();
    let output = format!("-otype=local,dest={},mode=delete", out.display());
    world.build(&[&output, MANY]).ok();
    let found: Vec<String> = files_below(&out)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(found, ["linux_amd64/d/amd64", "linux_arm64/d/arm64"]);
}
