//! Sizes in bytes, as people write them.

/// Reads sizes such as `64m`, `1.5GiB` and `4096`: powers of 1024, in any case, with or without a
/// `b` or `ib` behind the unit and a blank before it.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let len = text
        .find(|ch: char| !ch.is_ascii_digit() && ch != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(len);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    scaled(number, 1 << shift)
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let bytes = whole.checked_mul(scale)?;
    // More digits than these make no byte of difference below a pebibyte.
    let digits: String = fraction.chars().take(18).collect();
    if digits.is_empty() {
        return Some(bytes);
    }
    let part = digits.parse::<u128>().ok()? * u128::from(scale);
    let divisor = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let bytes = bytes.checked_add(u64::try_from(part / divisor).ok()?)?;
    // A second dot is not seen by the parse of a truncated fraction.
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(bytes)
}

/// Bytes in decimal units, as docker shows sizes.
pub(crate) fn human(bytes: u64) -> String {
    decimal(bytes, 3)
}

/// The same with one digit behind the point, for what changes while it is looked at.
pub(crate) fn short(bytes: u64) -> String {
    decimal(bytes, 1)
}

fn decimal(bytes: u64, n_digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    for next in units {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes}B")
    } else {
        format!("{value:.n_digits$}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, human, short};

    #[test]
    fn shown_sizes_are_short() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.000kB"),
            (1_234_567, "1.235MB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!([12, 1_234_567].map(short), ["12B", "1.2MB"]);
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("5b", Some(5)),
            ("5 B", Some(5)),
            ("32k", Some(32 << 10)),
            ("32 KB", Some(32 << 10)),
            ("32KiB", Some(32 << 10)),
            ("64m", Some(64 << 20)),
            ("64 mib", Some(64 << 20)),
            ("2g", Some(2 << 30)),
            ("1.5G", Some(3 << 29)),
            (".5g", Some(1 << 29)),
            ("1.g", Some(1 << 30)),
            ("0.0000000009k", Some(0)),
            ("1.25 tb", Some(5 << 38)),
            ("3p", Some(3 << 50)),
            ("18446744073709551615", Some(u64::MAX)),
            ("", None),
            (".", None),
            ("m", None),
            (" 1m", None),
            ("1  m", None),
            ("-1", None),
            ("+1", None),
            ("1x", None),
            ("1ki", None),
            ("1kbb", None),
            ("1bk", None),
            ("1.2.3k", None),
            ("1.000000000000000000.k", None),
            ("1e3", None),
            ("18446744073709551616", None),
            ("99999999p", None),
            ("１m", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
