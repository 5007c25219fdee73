//! The three forms of a date in HTTP.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or
/// `Sun Nov  6 08:49:37 1994` (RFC 9110, section 5.6.7).
pub(crate) fn parse(text: &str) -> Option<i64> {
    let words: Vec<&str> = text
        .split([' ', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    let [day, month, year, time] = match words[..] {
        [weekday, day, month, year, time, "GMT"] if weekday.ends_with(',') => {
            [day, month, year, time]
        }
        [_, month, day, time, year] => [day, month, year, time],
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let year = match year.parse::<u16>().ok()? {
        // Of a year of two digits the nearest one is meant.
        short @ 0..70 if year.len() == 2 => 2000 + short,
        short @ 70..100 if year.len() == 2 => 1900 + short,
        year => year,
    };
    let day: u8 = day.parse().ok()?;
    let stamp = format!("{year:04}-{month:02}-{day:02}T{time}Z");
    let stamp: acetate_oci::Timestamp = stamp.parse().ok()?;
    Some(stamp.secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_and_nothing_else() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
