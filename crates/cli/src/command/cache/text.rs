//! Tables and numbers for people.

use crate::size::human;
use acetate_engine::cache_tools::{CacheMountName, Fidelity, KeyKind, Origin};

/// On which side the entries of a column stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Side {
    Left,
    Right,
}

/// Rows below each other, the first of which is the head; two blanks between columns.
pub(in crate::command) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let head = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |at: usize| {
        let cells = all.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in all {
        let cells = row.iter().zip(columns).zip(&widths);
        let cells = cells.map(|((cell, (_, side)), width)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Pairs below each other.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    let lines = pairs.iter().map(|(name, value)| {
        let name = format!("{name}:");
        format!("{name:<width$}  {value}").trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// A time that a step took.
pub(super) fn took(ms: u64) -> String {
    let secs = ms / 1000;
    match secs {
        0 => format!("{ms}ms"),
        1..60 => format!("{secs}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// How long ago something was.
pub(super) fn age(secs: u64) -> String {
    match secs {
        0..86_400 => took(secs.saturating_mul(1000)),
        _ => format!("{}d", secs / 86_400),
    }
}

/// A size of which a part may not be known.
pub(super) fn size(bytes: u64, is_whole: bool) -> String {
    let size = human(bytes);
    if is_whole { size } else { format!("{size}+") }
}

/// The beginning of a key that is shown.
pub(in crate::command) fn short(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}

/// Text from elsewhere without what a terminal could take for a command.
pub(in crate::command) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

pub(super) fn kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Definition => "definition",
        KeyKind::Content => "content",
        KeyKind::Hint => "hint",
        KeyKind::Mount => "mount",
        KeyKind::Story => "story",
        KeyKind::Form => "form",
    }
}

pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Local => "here".to_owned(),
        Origin::Imported { from, signer: None } => plain(from),
        Origin::Imported {
            from,
            signer: Some(signer),
        } => format!("{} signed by {}", plain(from), plain(signer)),
    }
}

pub(super) fn fidelity(fidelity: &Fidelity) -> String {
    match fidelity {
        Fidelity::Full => "full".to_owned(),
        Fidelity::Reduced { reason } => format!("reduced: {}", plain(reason)),
    }
}

/// What a cache mount begins with, in words.
pub(super) fn begins(name: &CacheMountName) -> String {
    let words: Vec<&str> = name.begins.split(' ').collect();
    match words.as_slice() {
        ["empty", mode, uid, gid] => match mode.parse::<u32>() {
            Ok(mode) => format!(
                "empty, mode {mode:04o}, owner {}:{}",
                plain(uid),
                plain(gid)
            ),
            Err(_) => plain(&name.begins),
        },
        ["base", digest] => format!("with the files {}", plain(digest)),
        _ => plain(&name.begins),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let columns = [
            ("KEY", Side::Left),
            ("SIZE", Side::Right),
            ("X", Side::Left),
        ];
        let row = |texts: [&str; 3]| texts.map(str::to_owned).to_vec();
        let rows = [row(["abcdef", "1", "é"]), row(["a", "12345", ""])];
        assert_eq!(
            table(&columns, &rows),
            "KEY      SIZE  X\nabcdef      1  é\na       12345\n"
        );
        assert_eq!(table(&columns[..1], &[]), "KEY\n");
        let lines = [("a", "1".to_owned()), ("long", "2".to_owned())];
        assert_eq!(pairs(&lines), "a:     1\nlong:  2\n");
    }

    #[test]
    fn numbers_are_short() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1234, "1.2s"),
            (59_999, "59.9s"),
            (61_000, "1m01s"),
            (3_661_000, "1h01m"),
        ] {
            assert_eq!(took(ms), text);
        }
        assert_eq!(
            (age(59), age(86_400)),
            ("59.0s".to_owned(), "1d".to_owned())
        );
        assert_eq!(
            (size(10, true), size(10, false)),
            ("10B".into(), "10B+".into())
        );
        assert_eq!(
            (short("0123456789abcdef"), short("01")),
            ("0123456789ab", "01")
        );
    }

    #[test]
    fn what_comes_from_elsewhere_is_plain() {
        let from = Origin::Imported {
            from: "https://h/\u{1b}[31m".to_owned(),
            signer: Some("ab\n".to_owned()),
        };
        assert_eq!(origin(&from), "https://h/[31m signed by ab");
        let name = |begins: &str| CacheMountName {
            id: "x".to_owned(),
            begins: begins.to_owned(),
        };
        assert_eq!(
            begins(&name("empty 493 0 7")),
            "empty, mode 0755, owner 0:7"
        );
        assert_eq!(begins(&name("empty x 0 7")), "empty x 0 7");
        assert_eq!(begins(&name("base sha256:1")), "with the files sha256:1");
    }
}
