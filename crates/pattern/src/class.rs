//! Character classes: `[a-z]`, `[^a]`.

/// A compiled class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Reads a class behind its `[`, up to and including `]`; `None` when it is malformed.
    ///
    /// `-` and `]` must be escaped to be members, and there must be a member.
    pub(crate) fn read(text: &str) -> Option<(Self, &str)> {
        let (negated, mut rest) = match text.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut ranges = Vec::new();
        loop {
            if let Some(behind) = rest.strip_prefix(']').filter(|_| !ranges.is_empty()) {
                return Some((Self { negated, ranges }, behind));
            }
            let (low, behind) = member(rest)?;
            let (high, behind) = match behind.strip_prefix('-') {
                Some(behind) => member(behind)?,
                None => (low, behind),
            };
            ranges.push((low, high));
            rest = behind;
        }
    }

    pub(crate) fn contains(&self, ch: char) -> bool {
        let inside = self
            .ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&ch));
        inside != self.negated
    }
}

/// Reads one member, escaped or not; something must follow it.
fn member(text: &str) -> Option<(char, &str)> {
    let text = match text.chars().next()? {
        '-' | ']' => return None,
        '\\' => &text[1..],
        _ => text,
    };
    let ch = text.chars().next()?;
    let rest = &text[ch.len_utf8()..];
    (!rest.is_empty()).then_some((ch, rest))
}
