use crate::span::LineRange;
use serde::Serialize;

/// Lines of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Which of the sources.
    #[serde(skip_serializing_if = "is_zero")]
    pub source_index: u32,
    /// One range for every line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

/// From one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first place.
    pub start: Position,
    /// The last place.
    pub end: Position,
}

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From 1.
    pub line: u32,
}

impl Location {
    /// All lines of a range.
    pub(super) fn of_lines(lines: LineRange) -> Self {
        let ranges = (lines.first..=lines.last).map(|line| {
            let place = Position { line };
            Range {
                start: place,
                end: place,
            }
        });
        Self {
            source_index: 0,
            ranges: ranges.collect(),
        }
    }

    /// The first and the last line.
    pub fn lines(&self) -> Option<LineRange> {
        let first = self.ranges.first()?.start.line;
        let last = self.ranges.last()?.end.line;
        Some(LineRange::new(first, last))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
