//! Go's `filepath.Match`.

use crate::class::Class;
use crate::error::PatternError;
use crate::text::first_char;

/// Says whether a pattern has any of `*`, `?`, `[` and `\`, so that it is more than a plain path.
pub fn has_meta(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '\\'])
}

/// A pattern with the rules of Go's `filepath.Match` on Unix.
///
/// `*` and `?` do not match `/`, classes do; `\` escapes; the whole path must match. As in Go, a star
/// takes the first place where the text up to the next star fits and never tries another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoPattern {
    pattern: String,
    chunks: Vec<Chunk>,
    /// One pattern per directory level; none when a class might match `/`, so that levels cannot be told.
    levels: Option<Vec<Vec<Chunk>>>,
}

/// A run of single characters, perhaps behind a star.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chunk {
    star: bool,
    items: Vec<Item>,
}

/// What matches one character.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Any,
    Char(char),
    Class(Class),
}

impl Item {
    fn matches(&self, ch: char) -> bool {
        match self {
            Self::Any => ch != '/',
            Self::Char(expected) => ch == *expected,
            Self::Class(class) => class.contains(ch),
        }
    }
}

impl GoPattern {
    /// Compiles a pattern; all of it is checked, also what no path would reach.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let chunks = compile(pattern).ok_or_else(|| PatternError::new(pattern))?;
        let levels = levels(&chunks);
        Ok(Self {
            pattern: pattern.to_owned(),
            chunks,
            levels,
        })
    }

    /// Returns the pattern as given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Says whether the whole path matches.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        match_chunks(&self.chunks, path.as_ref())
    }

    /// Says whether something below `dir` could match; `""` is the root and may always hold something.
    ///
    /// May say yes too often, never no too often.
    pub fn may_match_below(&self, dir: impl AsRef<[u8]>) -> bool {
        let dir = dir.as_ref();
        let Some(levels) = self.levels.as_ref().filter(|_| !dir.is_empty()) else {
            return true;
        };
        let n_parts = dir.split(|byte| *byte == b'/').count();
        let mut pairs = dir.split(|byte| *byte == b'/').zip(levels);
        n_parts < levels.len() && pairs.all(|(part, level)| match_chunks(level, part))
    }
}

fn compile(pattern: &str) -> Option<Vec<Chunk>> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut rest = pattern;
    while let Some(ch) = rest.chars().next() {
        rest = &rest[ch.len_utf8()..];
        let item = match ch {
            '*' => {
                // Stars in a row are one star.
                if !chunks
                    .last()
                    .is_some_and(|chunk| chunk.star && chunk.items.is_empty())
                {
                    chunks.push(Chunk {
                        star: true,
                        items: Vec::new(),
                    });
                }
                continue;
            }
            '?' => Item::Any,
            '[' => {
                let (class, behind) = Class::read(rest)?;
                rest = behind;
                Item::Class(class)
            }
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = &rest[escaped.len_utf8()..];
                Item::Char(escaped)
            }
            _ => Item::Char(ch),
        };
        match chunks.last_mut() {
            Some(chunk) => chunk.items.push(item),
            None => chunks.push(Chunk {
                star: false,
                items: vec![item],
            }),
        }
    }
    Some(chunks)
}

/// Cuts the chunks at every literal slash.
fn levels(chunks: &[Chunk]) -> Option<Vec<Vec<Chunk>>> {
    let mut levels = vec![Vec::new()];
    for chunk in chunks {
        let mut current = Chunk {
            star: chunk.star,
            items: Vec::new(),
        };
        for item in &chunk.items {
            match item {
                Item::Char('/') => {
                    levels.last_mut()?.push(std::mem::take(&mut current));
                    levels.push(Vec::new());
                }
                Item::Class(class) if class.contains('/') => return None,
                _ => current.items.push(item.clone()),
            }
        }
        levels.last_mut()?.push(current);
    }
    Some(levels)
}

fn match_chunks(chunks: &[Chunk], mut name: &[u8]) -> bool {
    for (idx, chunk) in chunks.iter().enumerate() {
        let is_last = idx + 1 == chunks.len();
        if chunk.star && chunk.items.is_empty() && is_last {
            return !name.contains(&b'/');
        }
        match place(chunk, name, is_last) {
            Some(rest) => name = rest,
            None => return false,
        }
    }
    name.is_empty()
}

/// Finds the first place of a chunk and returns what follows it; the last chunk must reach the end.
fn place<'n>(chunk: &Chunk, name: &'n [u8], is_last: bool) -> Option<&'n [u8]> {
    let fits =
        |from: &'n [u8]| match_items(&chunk.items, from).filter(|rest| !is_last || rest.is_empty());
    if let Some(rest) = fits(name) {
        return Some(rest);
    }
    if !chunk.star {
        return None;
    }
    let skippable = name.iter().take_while(|byte| **byte != b'/').count();
    (1..=skippable).find_map(|skip| fits(&name[skip..]))
}

fn match_items<'n>(items: &[Item], name: &'n [u8]) -> Option<&'n [u8]> {
    let mut rest = name;
    for item in items {
        let (ch, behind) = first_char(rest)?;
        if !item.matches(ch) {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

#[cfg(test)]
#[path = "go/tests.rs"]
mod tests;
