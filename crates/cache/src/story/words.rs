//! Differences in words.

use super::{Change, Difference, FileChange, FileDifference, Value};
use acetate_oci::Digest;
use std::fmt::{self, Display};

/// How many characters of a value are shown.
const SHOWN: usize = 60;

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { then, now } => instruction(f, then, now),
            Self::Variable {
                name,
                is_arg,
                change,
                ..
            } => {
                let keyword = if *is_arg { "ARG" } else { "ENV" };
                let subject = format!("`{keyword} {}`", one_line(name));
                changed(f, &subject, change)
            }
            Self::Setting { name, change, .. } => changed(f, name, change),
            Self::ImageMoved { name, then, now } => {
                write!(f, "base ")?;
                if let Some(name) = name.text() {
                    write!(f, "`{}` ", one_line(name))?;
                }
                write!(f, "moved from {} to {}", short(then), short(now))
            }
            Self::OtherImage { change } => changed(f, "base", change),
            Self::Files { context, files } => of_files(f, context, files),
            Self::Fetched { address, content } => fetched(f, address, content.as_ref()),
            Self::Step { then, now, .. } => step(f, then.as_deref(), now.as_deref()),
            Self::Format { then, now } => write!(
                f,
                "the format of cache keys was {then}, is {now}: another version of acetate made the record"
            ),
        }
    }
}

impl Display for FileDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.as_str() {
            "" => ".".to_owned(),
            path => one_line(path),
        };
        match &self.change {
            FileChange::Added => write!(f, "`{path}` was added"),
            FileChange::Removed => write!(f, "`{path}` was removed"),
            FileChange::Kind(then, now) => write!(f, "`{path}` was {then}, is {now}"),
            FileChange::Mode(then, now) => {
                write!(f, "mode of `{path}` was {then:04o}, is {now:04o}")
            }
            FileChange::Owner((uid, gid), (new_uid, new_gid)) => {
                write!(
                    f,
                    "owner of `{path}` was {uid}:{gid}, is {new_uid}:{new_gid}"
                )
            }
            FileChange::Content => write!(f, "content of `{path}` changed"),
            FileChange::Target(then, now) => write!(
                f,
                "link `{path}` pointed to `{}`, points to `{}`",
                one_line(then),
                one_line(now)
            ),
            FileChange::Extra => write!(f, "extended attributes or hard links of `{path}` changed"),
            FileChange::Below => write!(f, "something in the directory `{path}` changed"),
        }
    }
}

/// `was A, is B`; what may not be shown is only said to differ.
fn changed(f: &mut fmt::Formatter<'_>, subject: &str, change: &Change) -> fmt::Result {
    let tick = |text: &str| {
        let text = one_line(text);
        if text.is_empty() || text.contains(' ') {
            format!("`{text}`")
        } else {
            text
        }
    };
    match (&change.then, &change.now) {
        (Some(Value::Plain(then)), Some(Value::Plain(now))) => {
            let (then, now) = (excerpt(then, now), excerpt(now, then));
            write!(f, "{subject}: was {}, is {}", tick(&then), tick(&now))
        }
        (Some(Value::Hidden(_)), Some(Value::Plain(_))) => {
            write!(f, "{subject} differs (the other value is not shared)")
        }
        (Some(_), Some(_)) => write!(f, "{subject} differs (its value is not kept)"),
        (None, Some(Value::Plain(now))) => {
            write!(f, "{subject} is new: {}", tick(&excerpt(now, "")))
        }
        (None, _) => write!(f, "{subject} is new"),
        (Some(Value::Plain(then)), None) => {
            write!(f, "{subject} is gone: was {}", tick(&excerpt(then, "")))
        }
        (Some(Value::Hidden(_)), None) => write!(f, "{subject} is gone"),
    }
}

fn instruction(f: &mut fmt::Formatter<'_>, then: &str, now: &str) -> fmt::Result {
    let (then, now) = (excerpt(then, now), excerpt(now, then));
    write!(f, "instruction was `{then}`, is `{now}`")
}

fn of_files(f: &mut fmt::Formatter<'_>, context: &str, files: &[FileDifference]) -> fmt::Result {
    match files {
        [] => write!(f, "the files that it takes changed")?,
        [only] => write!(f, "{only}")?,
        [first, rest @ ..] => write!(f, "{first} and {} more", rest.len())?,
    }
    if context.is_empty() {
        return Ok(());
    }
    write!(f, " (context {})", one_line(context))
}

fn fetched(
    f: &mut fmt::Formatter<'_>,
    address: &Change,
    content: Option<&(String, String)>,
) -> fmt::Result {
    let Some((then, now)) = content else {
        return changed(f, "address", address);
    };
    let shown = address.now.as_ref().and_then(Value::text);
    let shown = shown.map_or_else(
        || "an address".to_owned(),
        |it| format!("`{}`", one_line(it)),
    );
    write!(
        f,
        "what {shown} gives changed from {} to {}",
        brief(then),
        brief(now)
    )
}

fn step(f: &mut fmt::Formatter<'_>, then: Option<&str>, now: Option<&str>) -> fmt::Result {
    match (then, now) {
        (Some(then), Some(now)) if bare(then) == bare(now) => {
            write!(f, "the result of {} differs", one_line(now))
        }
        (Some(then), Some(now)) => {
            write!(f, "uses {} instead of {}", one_line(now), one_line(then))
        }
        (None, Some(now)) => write!(f, "uses {}, which is new", one_line(now)),
        (Some(then), None) => write!(f, "no longer uses {}", one_line(then)),
        (None, None) => write!(f, "what it uses differs"),
    }
}

/// A name without its number.
fn bare(name: &str) -> &str {
    let behind = name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    behind.map_or(name, |(_, text)| text)
}

/// The part of a text in which it differs from another one, cut to a length that fits a line.
pub fn excerpt(text: &str, other: &str) -> String {
    let shown: Vec<char> = one_line(text).chars().collect();
    if shown.len() <= SHOWN {
        return shown.into_iter().collect();
    }
    let same = one_line(other)
        .chars()
        .zip(&shown)
        .take_while(|(a, b)| a == *b)
        .count();
    // A little of what is the same, to find the place by.
    let from = if same + 10 < SHOWN {
        0
    } else {
        same.min(shown.len()).saturating_sub(20)
    };
    let to = (from + SHOWN).min(shown.len());
    let mut out = String::new();
    if from > 0 {
        out.push('…');
    }
    out.extend(&shown[from..to]);
    if to < shown.len() {
        out.push('…');
    }
    out
}

/// A text on one line, without what would move a cursor.
fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_end().chars().map(visible).collect()
}

fn short(digest: &Digest) -> String {
    format!("sha256:{}", &digest.hex()[..12])
}

/// A digest or a commit, cut to what people compare.
fn brief(text: &str) -> String {
    let is_hex = |text: &str| text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.strip_prefix("sha256:") {
        Some(hex) if is_hex(hex) => format!("sha256:{}", &hex[..12]),
        None if is_hex(text) => text[..12].to_owned(),
        _ => one_line(text),
    }
}
