//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`.
//!
//! A pattern is a list of segments with a star between each two; a segment is a list of single characters.
//! Neither a star nor a question mark matches a line feed, so how many of these a match holds is known from
//! its pattern, and with that the line that each segment is on. Placing the segments from left to right
//! needs no backtracking then, so time is bounded by the length of the value times the length of the pattern.

use std::ops::{Range, RangeInclusive};

/// Which of several possible ends a match takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The first.
    Shortest,
    /// The last.
    Longest,
}

/// One character of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Any,
    Char(char),
}

/// A compiled pattern; there is always at least one segment.
pub(super) struct Pattern {
    segments: Vec<Vec<Item>>,
}

impl Pattern {
    /// Compiles a pattern; the error is the reason alone.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut done = Vec::new();
        let mut segment = Vec::new();
        let mut chars = text.chars();
        while let Some(ch) = chars.next() {
            match ch {
                '*' => done.push(std::mem::take(&mut segment)),
                '?' => segment.push(Item::Any),
                '\\' => segment.push(Item::Char(escaped(chars.next())?)),
                _ => segment.push(Item::Char(ch)),
            }
        }
        done.push(segment);
        Ok(Self { segments: done })
    }

    /// Removes the prefix that matches, if there is one.
    pub(super) fn trim_prefix(&self, value: &str, reach: Reach) -> String {
        let chars: Vec<char> = value.chars().collect();
        let end = self.end_from(&chars, 0, reach).unwrap_or(0);
        chars[end..].iter().collect()
    }

    /// Removes the suffix that matches, if there is one.
    pub(super) fn trim_suffix(&self, value: &str, reach: Reach) -> String {
        let chars: Vec<char> = value.chars().rev().collect();
        let end = self.reversed().end_from(&chars, 0, reach).unwrap_or(0);
        chars[end..].iter().rev().collect()
    }

    /// Replaces the first match, which is as long as possible.
    pub(super) fn replace_first(&self, value: &str, replacement: &str) -> String {
        let chars: Vec<char> = value.chars().collect();
        let Some(found) = self.find(&chars, 0) else {
            return value.to_owned();
        };
        let mut out: String = chars[..found.start].iter().collect();
        out.push_str(replacement);
        out.extend(&chars[found.end..]);
        out
    }

    /// Replaces all matches from left to right; an empty match right after another match does not count.
    pub(super) fn replace_all(&self, value: &str, replacement: &str) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut copied = 0;
        let mut from = 0;
        let mut previous_end = None;
        while from <= chars.len() {
            let Some(found) = self.find(&chars, from) else {
                break;
            };
            let abuts = found.is_empty() && previous_end == Some(found.start);
            if !abuts {
                out.extend(&chars[copied..found.start]);
                out.push_str(replacement);
                copied = found.end;
            }
            previous_end = Some(found.end);
            from = if found.is_empty() {
                found.end + 1
            } else {
                found.end
            };
        }
        out.extend(&chars[copied.min(chars.len())..]);
        out
    }

    fn reversed(&self) -> Self {
        let reverse = |segment: &Vec<Item>| segment.iter().rev().copied().collect();
        Self {
            segments: self.segments.iter().rev().map(reverse).collect(),
        }
    }

    /// Finds the leftmost match at or after `from`.
    fn find(&self, chars: &[char], from: usize) -> Option<Range<usize>> {
        let mut from = from;
        loop {
            let start =
                (from..=chars.len()).find(|at| segment_at(&self.segments[0], chars, *at))?;
            if let Some(end) = self.end_from(chars, start, Reach::Longest) {
                return Some(start..end);
            }
            // When the segments after a star do not fit behind the leftmost start, they fit behind no
            // later one on that line.
            from = start + chars[start..].iter().position(|ch| *ch == '\n')? + 1;
        }
    }

    /// Returns the end of a match that starts exactly at `start`.
    fn end_from(&self, chars: &[char], start: usize, reach: Reach) -> Option<usize> {
        let (first, rest) = self.segments.split_first()?;
        if !segment_at(first, chars, start) {
            return None;
        }
        let mut at = start + first.len();
        let Some((last, middle)) = rest.split_last() else {
            return Some(at);
        };
        for segment in middle {
            at = find_segment(segment, chars, at)? + segment.len();
        }
        let place = match reach {
            Reach::Shortest => find_segment(last, chars, at),
            Reach::Longest => rfind_segment(last, chars, at),
        };
        place.map(|place| place + last.len())
    }
}

fn escaped(next: Option<char>) -> Result<char, String> {
    match next {
        Some(ch @ ('*' | '?' | '\\' | '}' | '/')) => Ok(ch),
        Some(ch) => Err(format!("invalid escape '\\{ch}'")),
        None => Err("invalid escape '\\' at the end".to_owned()),
    }
}

fn segment_at(segment: &[Item], chars: &[char], at: usize) -> bool {
    chars.get(at..at + segment.len()).is_some_and(|window| {
        let mut pairs = segment.iter().zip(window);
        pairs.all(|(item, ch)| match item {
            Item::Any => *ch != '\n',
            Item::Char(wanted) => wanted == ch,
        })
    })
}

/// Finds the first place behind a star that begins at `from`.
fn find_segment(segment: &[Item], chars: &[char], from: usize) -> Option<usize> {
    star(chars, from)?.find(|at| segment_at(segment, chars, *at))
}

/// Finds the last place behind a star that begins at `from`.
fn rfind_segment(segment: &[Item], chars: &[char], from: usize) -> Option<usize> {
    let mut places = star(chars, from)?.rev();
    places.find(|at| segment_at(segment, chars, *at))
}

/// Where a star that begins at `from` can end.
fn star(chars: &[char], from: usize) -> Option<RangeInclusive<usize>> {
    let line = chars.get(from..)?;
    let len = line.iter().position(|ch| *ch == '\n');
    Some(from..=from + len.unwrap_or(line.len()))
}
