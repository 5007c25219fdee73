//! How long to wait before a request is sent again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::Limits;
use crate::response::Headers;

/// The wait before try `n_tries + 1`: doubled each time, bounded, spread by up to a quarter so
/// that many machines which failed together do not return together.
pub(crate) fn delay(limits: &Limits, n_tries: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(n_tries.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let plain = limits
        .first_backoff
        .saturating_mul(factor)
        .min(limits.longest_backoff);
    let per_mille = RandomState::new().hash_one(n_tries) % 250;
    plain.saturating_sub(plain.saturating_mul(u32::try_from(per_mille).unwrap_or(0)) / 1000)
}

/// Whether an answer says that a later try may do better.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// The wait that the server asks for, in seconds or until a date by its own clock.
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    let value = headers.get("retry-after")?.trim();
    if let Ok(secs) = value.parse() {
        return Some(Duration::from_secs(secs));
    }
    let until = http_date(value)?;
    let now = http_date(headers.get("date")?.trim())?;
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// Seconds since the first year of `Sun, 06 Nov 1994 08:49:37 GMT`; only differences matter.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let name = words
        .next()
        .filter(|name| name.len() == 3 && name.is_ascii())?;
    let place = MONTHS.find(name).filter(|place| place % 3 == 0)?;
    let month = u64::try_from(place).ok()? / 3 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| *year < 10_000)?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (h, m, s) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    // Years that begin in March put the leap day last.
    let (y, m0) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m0 * 153 + 2) / 5 + day;
    (h < 24 && m < 60 && s < 61 && day < 32).then_some(((days * 24 + h) * 60 + m) * 60 + s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let limits = Limits {
            first_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(1),
            ..Limits::default()
        };
        for (n_tries, most) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (90, 1000),
        ] {
            let wait = delay(&limits, n_tries).as_millis();
            assert!(
                wait <= most && wait >= most * 3 / 4,
                "try {n_tries}: {wait} ms"
            );
        }
    }

    #[test]
    fn dates_differ_by_seconds() {
        let at = |text| http_date(text).unwrap();
        let base = at("Sun, 28 Feb 2016 23:59:50 GMT");
        assert_eq!(at("Mon, 29 Feb 2016 00:00:00 GMT") - base, 10);
        assert_eq!(at("Tue, 01 Mar 2016 00:00:00 GMT") - base, 10 + 86_400);
        assert_eq!(at("Tue, 28 Feb 2017 23:59:50 GMT") - base, 366 * 86_400);
        for bad in [
            "",
            "now",
            "Sun, 06 Nov",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "x, 1 Jan y 1:2:3",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_passing_faults_are_retried() {
        for status in [429, 500, 502, 503, 504] {
            assert!(is_transient(status));
        }
        for status in [200, 206, 401, 403, 404, 416, 501] {
            assert!(!is_transient(status));
        }
    }
}
