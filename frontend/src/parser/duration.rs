//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

/// The units and their nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DurationError {
    /// The message for it.
    Invalid(String),
    /// It is below zero.
    Negative,
}

/// Reads a duration; a fraction below a nanosecond is cut off.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = |what: String| DurationError::Invalid(format!("time: {what}"));
    let bad = || invalid(format!("invalid duration {text:?}"));
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(bad());
        }
        let unit_len = after.find(|ch: char| ch == '.' || ch.is_ascii_digit());
        let (unit, after) = after.split_at(unit_len.unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(invalid(format!("missing unit in duration {text:?}")));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(invalid(format!(
                "unknown unit {unit:?} in duration {text:?}"
            )));
        };
        let amount = amount(whole, fraction, *nanos).ok_or_else(bad)?;
        total = total
            .checked_add(amount)
            .filter(|sum| i64::try_from(*sum).is_ok())
            .ok_or_else(bad)?;
        rest = after;
    }
    if is_negative && total > 0 {
        Err(DurationError::Negative)
    } else {
        Ok(Duration::from_nanos(total))
    }
}

fn digits(text: &str) -> (&str, &str) {
    let len = text
        .find(|ch: char| !ch.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(len)
}

fn amount(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        // Each decimal place is worth a tenth of the one before.
        let value = u128::from(place) * u128::from(digit - b'0') / 10;
        total = total.checked_add(u64::try_from(value).ok()?)?;
        place /= 10;
        if place == 0 {
            break;
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::{DurationError, parse};

    #[test]
    fn reads_durations() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("30m", 1_800_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("0.25ms", 250_000),
            ("1.9999999999ns", 1),
        ] {
            assert_eq!(parse(text).unwrap().as_nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, message) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5y", "time: unknown unit \"y\" in duration \"5y\""),
            ("5 s", "time: unknown unit \" s\" in duration \"5 s\""),
            ("99999999999h", "time: invalid duration \"99999999999h\""),
            (
                "9999999999999999999999s",
                "time: invalid duration \"9999999999999999999999s\"",
            ),
        ] {
            assert_eq!(
                parse(text),
                Err(DurationError::Invalid(message.to_owned())),
                "{text}"
            );
        }
        assert_eq!(parse("-5s"), Err(DurationError::Negative));
    }
}
