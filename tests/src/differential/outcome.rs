use super::address::Places;
use super::ground::Ground;
use super::image::{Image, images};
use super::tree::{self, Tree};
use crate::listing::Item;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Output;

/// What a build came to, as text that can be kept and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether there is a result.
    pub built: bool,
    /// The command line was refused before anything was looked at.
    pub refused: bool,
    /// The last error, in the program's own words.
    pub error: String,
    /// Everything that was printed.
    pub said: String,
    /// The images and files that came out, by sections `## NAME`.
    pub result: String,
}

/// The files of a base image, by which layers are told from those of the build.
#[derive(Debug, Clone, Default)]
pub(super) struct Below {
    pub(super) diff_ids: Vec<String>,
    pub(super) lines: BTreeMap<String, String>,
}

impl Outcome {
    /// Reads what a build left behind.
    pub(super) fn read(ground: &Ground, output: &Output, out: &Path, below: &[Below]) -> Self {
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let said = ground.places.marked(&said);
        let built = output.status.success();
        let mut result = String::new();
        if built && out.is_dir() {
            result.push_str(&local(out));
        } else if built && out.exists() {
            for image in images(out) {
                result.push_str(&described(&ground.places, &image, below));
            }
        }
        Self {
            built,
            refused: output.status.code() == Some(2),
            error: if built {
                String::new()
            } else {
                without_chance(&error(&said))
            },
            said,
            result,
        }
    }

    /// What is kept of it in a file; `error` is there for people and compared by nobody.
    pub(super) fn kept(&self) -> String {
        if self.built {
            return format!("built\n{}", self.result);
        }
        format!("failed\nerror: {}\n", self.error)
    }

    /// Reads what was kept.
    pub(super) fn of_kept(text: &str) -> Self {
        let built = text.starts_with("built\n");
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        let (error, result) = if built { ("", rest) } else { (rest, "") };
        Self {
            built,
            refused: false,
            error: error
                .trim_start_matches("error: ")
                .trim_end_matches('\n')
                .to_owned(),
            said: String::new(),
            result: result.to_owned(),
        }
    }
}

/// The last line that begins with the word, and what follows it.
fn error(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let last = lines
        .iter()
        .rposition(|line| line.to_lowercase().starts_with("error"));
    let Some(last) = last else {
        return lines.last().copied().unwrap_or_default().to_owned();
    };
    let tail = &lines[last..];
    tail.join("\n       ")
        .trim_start_matches("ERROR: ")
        .trim_start_matches("error: ")
        .to_owned()
}

/// Puts marks where an error has names that are made up anew in every build.
fn without_chance(error: &str) -> String {
    let words = error
        .split(' ')
        .map(|word| match word.split_once("/cachemounts/buildkit") {
            Some((_, rest)) => {
                let path = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
                format!("{{rootfs}}{path}")
            }
            None if word.contains("::") => "{id}:".to_owned(),
            None if word.contains("/runc-overlayfs/") => "{state}".to_owned(),
            None => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

fn described(places: &Places, image: &Image, below: &[Below]) -> String {
    let mut text = String::from("## image\n");
    text.push_str(&config(&image.config));
    text.push_str("## history\n");
    for entry in image.config["history"].as_array().into_iter().flatten() {
        text.push_str(&places.marked(&history(entry)));
    }
    let base = below
        .iter()
        .filter(|base| image.diff_ids.starts_with(&base.diff_ids))
        .max_by_key(|base| base.diff_ids.len());
    let none = Below::default();
    let base = base.unwrap_or(&none);
    for (n, layer) in image.layers.iter().enumerate().skip(base.diff_ids.len()) {
        let _ = write!(text, "## layer {n}\n{}", tree::entries(layer));
    }
    text.push_str("## files\n");
    let lines = Tree::of(&image.layers).lines();
    for (path, line) in &lines {
        if !base.lines.get(path).is_some_and(|old| is_old(old, line)) {
            let _ = writeln!(text, "{}", places.marked(line));
        }
    }
    for path in base.lines.keys().filter(|path| !lines.contains_key(*path)) {
        let _ = writeln!(text, "gone: {path}");
    }
    text
}

/// Whether an entry is the base's still. The time of a directory changes with what is made in it,
/// even by the builder itself for a mount, and is that of the build then.
fn is_old(old: &str, line: &str) -> bool {
    let untimed = |line: &str| line.split(" mtime=").next().map(str::to_owned);
    line == old || line.starts_with('d') && untimed(line) == untimed(old)
}

/// Every field but those that are told elsewhere or are the time of the build.
fn config(config: &Value) -> String {
    let mut config = config.clone();
    let old = |value: &Value| value.as_str().is_some_and(is_input);
    if let Some(fields) = config.as_object_mut() {
        fields.remove("history");
        fields.remove("rootfs");
        fields.retain(|name, value| name != "created" || old(value));
    }
    let text = serde_json::to_string_pretty(&config).expect("JSON is text");
    format!("{text}\n")
}

fn history(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let mark = if entry["empty_layer"] == Value::Bool(true) {
        ' '
    } else {
        '*'
    };
    let mut line = format!("{mark} {}", text("created_by"));
    for name in ["comment", "author"] {
        if !text(name).is_empty() {
            let _ = write!(line, " | {name}={}", text(name));
        }
    }
    if is_input(text("created")) {
        let _ = write!(line, " | created={}", text("created"));
    }
    line.push('\n');
    line
}

/// Times before 2020 came from an input.
fn is_input(time: &str) -> bool {
    let year = time.get(..4).and_then(|year| year.parse::<u32>().ok());
    year.is_some_and(|year| year < 2020)
}

/// The files of a directory, as they lie there.
fn local(dir: &Path) -> String {
    let mut text = String::from("## local\n");
    walk(dir, dir, &mut text);
    text
}

fn walk(root: &Path, dir: &Path, text: &mut String) {
    let entries = std::fs::read_dir(dir).expect("a directory is listed");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let metadata = path.symlink_metadata().expect("it was listed");
        let kind = metadata.file_type();
        let letter = match () {
            () if kind.is_dir() => 'd',
            () if kind.is_symlink() => 'l',
            () if kind.is_fifo() => 'p',
            () => '-',
        };
        let name = path.strip_prefix(root).unwrap_or(&path);
        let item = Item {
            kind: letter,
            path: String::new(),
            mode: metadata.mode() & 0o7777,
            uid: u64::from(metadata.uid()),
            gid: u64::from(metadata.gid()),
            size: metadata.len(),
            mtime: u64::try_from(metadata.mtime()).unwrap_or_default(),
            target: std::fs::read_link(&path)
                .ok()
                .map(|target| target.display().to_string()),
            device: (0, 0),
            pax: BTreeMap::new(),
            content: match letter {
                '-' => std::fs::read(&path).expect("a file is read"),
                _ => Vec::new(),
            },
        };
        let _ = writeln!(text, "{}", tree::line(&name.display().to_string(), &item));
        if letter == 'd' {
            walk(root, &path, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        for kept in ["built\n## image\n{}\n", "failed\nerror: a\n       b\n"] {
            assert_eq!(Outcome::of_kept(kept).kept(), kept);
        }
    }

    #[test]
    fn names_of_one_build_are_not_kept() {
        let error = "no: /x/root/cachemounts/buildkit12/d/f with ref ab::cd: \"/a\": not found";
        assert_eq!(
            without_chance(error),
            "no: {rootfs}/d/f with ref {id}: \"/a\": not found"
        );
    }

    #[test]
    fn a_directory_of_the_base_may_change_its_time() {
        assert!(is_old("d0755 0:0 etc mtime=1", "d0755 0:0 etc"));
        assert!(!is_old("d0755 0:0 etc mtime=1", "d0700 0:0 etc"));
        assert!(!is_old("-0755 0:0 f mtime=1 \"x\"", "-0755 0:0 f \"x\""));
    }

    #[test]
    fn the_last_error_counts() {
        let said = "#5 ERROR: x\nERROR: first\nfine\nERROR: failed to build: y\nmore\n";
        assert_eq!(error(said), "failed to build: y\n       more");
        assert_eq!(error("nothing\n"), "nothing");
    }
}
