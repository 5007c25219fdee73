//! Durations, as Go programs write them.

use std::time::Duration;

/// Reads durations such as `90s`, `1m30s`, `1.5h` and `0`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let len = rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
        let (number, behind) = rest.split_at(len);
        let (nanos, behind) = unit(behind)?;
        total = total.checked_add(scaled(number, nanos)?)?;
        rest = behind;
    }
    Some(total)
}

/// The longer names first: `m` begins `ms` too.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

fn unit(text: &str) -> Option<(u64, &str)> {
    UNITS
        .iter()
        .find_map(|(name, nanos)| Some((*nanos, text.strip_prefix(name)?)))
}

fn scaled(number: &str, nanos: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // More digits than these make no nanosecond of difference, not even below an hour.
    let digits: String = fraction.chars().take(18).collect();
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let part = format!("0{digits}").parse::<u128>().ok()? * u128::from(nanos) / scale;
    let nanos = whole
        .checked_mul(nanos)?
        .checked_add(u64::try_from(part).ok()?)?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let nanos = Duration::from_nanos;
        for (text, expected) in [
            ("0", Some(nanos(0))),
            ("0s", Some(nanos(0))),
            ("60s", Some(nanos(60_000_000_000))),
            ("1m30s", Some(nanos(90_000_000_000))),
            ("1h2m3s4ms5us6ns", Some(nanos(3_723_004_005_006))),
            ("1.5h", Some(nanos(5_400_000_000_000))),
            (".5s", Some(nanos(500_000_000))),
            ("1.s", Some(nanos(1_000_000_000))),
            ("2µs", Some(nanos(2_000))),
            ("2μs", Some(nanos(2_000))),
            ("0.3333333333333333333h", Some(nanos(1_199_999_999_999))),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("5 s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.2.3s", None),
            ("5d", None),
            ("5s3", None),
            ("5sm", None),
            ("１s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
