//! PAX records: `length key=value\n`, one list per entry.

use acetate_oci::Timestamp;
use std::collections::BTreeMap;

/// Before the name of an extended attribute.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A key and its value.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

/// Returns the records as bytes, in the order of their keys.
pub(crate) fn encode(records: &Records) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        // The blank, the equals sign and the line feed; the length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        out.extend_from_slice(len.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

/// Reads records; a repeated key is an error, because readers disagree on which one counts.
pub(crate) fn decode(bytes: &[u8]) -> Result<Records, String> {
    unique(decode_all(bytes)?)
}

/// Reads records in their order, repeated ones too.
pub(crate) fn decode_all(mut bytes: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = split_record(bytes).ok_or("a PAX record is malformed")?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = record.split_at(equals.ok_or("a PAX record has no value")?);
        records.push((key.to_vec(), value[1..].to_vec()));
        bytes = rest;
    }
    Ok(records)
}

/// Makes a map of records, none of which may be repeated.
pub(crate) fn unique(all: Vec<Record>) -> Result<Records, String> {
    let mut records = Records::new();
    for (key, value) in all {
        if records.contains_key(&key) {
            let key = String::from_utf8_lossy(&key);
            return Err(format!("the PAX record `{key}` is repeated"));
        }
        records.insert(key, value);
    }
    Ok(records)
}

/// Splits off the first record, without its length and line feed.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = number(&bytes[..blank])?.try_into().ok()?;
    let (record, rest) = bytes.split_at_checked(len)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

/// Reads decimal digits, and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Prints seconds with as many decimals as are needed.
pub(crate) fn print_time(time: Timestamp) -> String {
    if time.nanos == 0 {
        return time.secs.to_string();
    }
    let (sign, secs, nanos) = if time.secs < 0 {
        (
            "-",
            (time.secs + 1).unsigned_abs(),
            1_000_000_000 - time.nanos,
        )
    } else {
        ("", time.secs.unsigned_abs(), time.nanos)
    };
    let decimals = format!("{nanos:09}");
    format!("{sign}{secs}.{}", decimals.trim_end_matches('0'))
}

/// Reads seconds with decimals; those beyond the ninth are cut off.
pub(crate) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, decimals) = text.split_at(dot.unwrap_or(text.len()));
    let secs = i64::try_from(number(whole)?).ok()?;
    let decimals = decimals.strip_prefix(b".").unwrap_or_default();
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = decimals.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = digits.fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanos) {
        (false, _) => Timestamp::new(secs, nanos),
        (true, 0) => Timestamp::new(-secs, 0),
        (true, _) => Timestamp::new(-secs - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_count_themselves() {
        let one = |value: &str| {
            let records = Records::from([(b"k".to_vec(), value.as_bytes().to_vec())]);
            String::from_utf8(encode(&records)).unwrap()
        };
        assert_eq!(one("v"), "6 k=v\n");
        assert_eq!(one("12345"), "11 k=12345\n");
        assert_eq!(one("1234"), "9 k=1234\n");
        assert!(one(&"x".repeat(93)).starts_with("99 k=") || one(&"x".repeat(93)).len() == 99);
    }

    #[test]
    fn refuses_broken_records() {
        for text in [
            "x", "5 k=v\n", "7 k=v\n", "6 k=v ", "5 kv\n", "99 k=v\n", " k=v\n", "+6 k=v\n",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(decode(b"6 k=v\n6 k=w\n").is_err());
    }

    proptest! {
        #[test]
        fn records_round_trip(records in proptest::collection::btree_map("[a-z.]{1,12}", ".{0,120}", 0..5)) {
            let records: Records = records
                .into_iter()
                .map(|(key, value)| (key.into_bytes(), value.into_bytes()))
                .collect();
            prop_assert_eq!(decode(&encode(&records)), Ok(records));
        }

        #[test]
        fn times_round_trip(secs in -10_000_000_000_i64..10_000_000_000, nanos in 0_u32..1_000_000_000) {
            let time = Timestamp::new(secs, nanos);
            prop_assert_eq!(parse_time(print_time(time).as_bytes()), Some(time));
        }
    }
}
