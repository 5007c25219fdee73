//! `acetate image ls`.

use super::text::{Side, short, table};
use super::{Site, print};
use crate::failure::Failure;
use crate::flags::ImageLsFlags;
use crate::size::human;
use acetate_engine::{StoredImage, StoredPlatform};
use acetate_oci::{Digest, Reference, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Lists the images of this machine, the newest first.
pub(super) fn ls(site: Site<'_>, flags: &ImageLsFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let mut images = engine.stored_images()?;
    if let Some(pattern) = &flags.pattern {
        images.retain(|image| fits(pattern, &image.name));
    }
    images.sort_by_key(|image| {
        let created = image.main().and_then(|it| it.created);
        (
            std::cmp::Reverse(created.map(|it| it.secs)),
            image.name.to_string(),
        )
    });
    if flags.json {
        return Ok(print::json(&list(&images))?);
    }
    if flags.quiet {
        let mut seen = std::collections::BTreeSet::new();
        let ids = images.iter().filter_map(StoredImage::main);
        let fresh = ids.filter(|image| seen.insert(image.id));
        let lines = fresh.map(|image| id(image.id, flags.no_trunc) + "\n");
        return Ok(print::out(&lines.collect::<String>())?);
    }
    Ok(print::out(&rows(&images, flags, engine.now()))?)
}

fn rows(images: &[StoredImage], flags: &ImageLsFlags, now: i64) -> String {
    let mut columns = vec![("REPOSITORY", Side::Left), ("TAG", Side::Left)];
    if flags.digests {
        columns.push(("DIGEST", Side::Left));
    }
    columns.extend([
        ("IMAGE ID", Side::Left),
        ("CREATED", Side::Left),
        ("SIZE", Side::Right),
    ]);
    let row = |image: &StoredImage| {
        let (repository, tag) = parts(&image.name);
        let mut row = vec![repository, tag];
        if flags.digests {
            row.push(image.digest.to_string());
        }
        let main = image.main();
        row.push(main.map_or_else(|| "-".to_owned(), |it| id(it.id, flags.no_trunc)));
        row.push(ago(now, main.and_then(|it| it.created)));
        row.push(human(size(image)));
        row
    };
    table(&columns, &images.iter().map(row).collect::<Vec<_>>())
}

/// The bytes of the layers of all platforms, those in common counted once.
fn size(image: &StoredImage) -> u64 {
    unique(std::slice::from_ref(image)).values().sum()
}

/// The layers of images by their blobs, each once.
fn unique(images: &[StoredImage]) -> BTreeMap<Digest, u64> {
    let platforms = images.iter().flat_map(|image| &image.platforms);
    let layers = platforms.flat_map(|it| &it.layers);
    layers.map(|layer| (layer.blob, layer.size)).collect()
}

/// The short name without its tag, and the tag.
pub(super) fn parts(name: &Reference) -> (String, String) {
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or_default().to_owned();
    match name.tag() {
        Some(tag) => {
            let bare = bare.strip_suffix(&format!(":{tag}")).unwrap_or(&bare);
            (bare.to_owned(), tag.to_owned())
        }
        None => (bare, "<none>".to_owned()),
    }
}

fn list(images: &[StoredImage]) -> Value {
    let one = |image: &StoredImage| {
        let (repository, tag) = parts(&image.name);
        json!({
            "name": image.name.to_string(),
            "repository": repository,
            "tag": image.name.tag().map(|_| tag),
            "digest": image.digest,
            "id": image.main().map(|it| it.id),
            "created": image.main().and_then(|it| it.created),
            "bytes": size(image),
            "platforms": image.platforms.iter().map(platform).collect::<Vec<_>>(),
        })
    };
    json!({
        "images": images.iter().map(one).collect::<Vec<_>>(),
        "total_bytes": unique(images).values().sum::<u64>(),
    })
}

fn platform(image: &StoredPlatform) -> Value {
    json!({
        "platform": image.platform.to_string(),
        "id": image.id,
        "manifest": image.manifest,
        "bytes": image.size(),
    })
}

pub(super) fn id(digest: Digest, whole: bool) -> String {
    if whole {
        digest.to_string()
    } else {
        short(&digest.hex()).to_owned()
    }
}

/// Whether a name is like a pattern: with its tag where the pattern has one.
fn fits(pattern: &str, name: &Reference) -> bool {
    let (repository, tag) = parts(name);
    let full = format!("{}/{}", name.domain(), name.path());
    match pattern.rsplit_once(':') {
        Some((wanted, wanted_tag)) if !wanted_tag.contains('/') => {
            (like(wanted, &repository) || like(wanted, &full)) && like(wanted_tag, &tag)
        }
        _ => like(pattern, &repository) || like(pattern, &full),
    }
}

/// `*` stands for anything, `?` for one character.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                // The last star takes one character more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How long ago something was, as docker says it.
pub(super) fn ago(now: i64, created: Option<Timestamp>) -> String {
    let Some(created) = created.filter(|it| it.secs > 0) else {
        return "N/A".to_owned();
    };
    let secs = now.saturating_sub(created.secs).max(0);
    let told = |n: i64, unit: &str| match n {
        1 if unit == "hour" => "About an hour ago".to_owned(),
        1 => format!("1 {unit} ago"),
        n => format!("{n} {unit}s ago"),
    };
    match secs {
        0..60 => told(secs, "second"),
        60..3600 => told(secs / 60, "minute"),
        3600..172_800 => told(secs / 3600, "hour"),
        172_800..1_209_600 => told(secs / 86_400, "day"),
        1_209_600..5_184_000 => told(secs / 604_800, "week"),
        5_184_000..63_072_000 => told(secs / 2_592_000, "month"),
        _ => told(secs / 31_536_000, "year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filtered_as_docker_does() {
        let name: Reference = "r.example/team/app:1.2".parse().unwrap();
        for pattern in [
            "r.example/team/app",
            "r.example/*",
            "*app:1.*",
            "*/app:?.2",
            "*",
        ] {
            assert!(fits(pattern, &name), "{pattern}");
        }
        for pattern in ["app", "r.example/team", "*app:2", "r.example/team/app:1"] {
            assert!(!fits(pattern, &name), "{pattern}");
        }
        let short: Reference = "debian".parse().unwrap();
        assert!(fits("debian", &short) && fits("docker.io/library/debian:latest", &short));
    }

    #[test]
    fn times_are_told_as_docker_tells_them() {
        for (secs, expected) in [
            (5, "5 seconds ago"),
            (60, "1 minute ago"),
            (3700, "About an hour ago"),
            (7300, "2 hours ago"),
            (3 * 86_400, "3 days ago"),
            (21 * 86_400, "3 weeks ago"),
            (70 * 86_400, "2 months ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            let created = Timestamp::from_secs(1_000_000_000 - secs);
            assert_eq!(ago(1_000_000_000, Some(created)), expected);
        }
        assert_eq!(ago(9, None), "N/A");
        assert_eq!(ago(9, Some(Timestamp::from_secs(0))), "N/A");
    }

    #[test]
    fn a_name_is_shown_in_two_parts() {
        let shown = |text: &str| parts(&text.parse().unwrap());
        assert_eq!(shown("debian"), ("debian".to_owned(), "latest".to_owned()));
        let digest = Digest::of(b"x");
        assert_eq!(
            shown(&format!("localhost:5000/a@{digest}")),
            ("localhost:5000/a".to_owned(), "<none>".to_owned())
        );
    }
}
