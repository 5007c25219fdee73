//! Characters of paths that may not be UTF-8.

/// Splits off the first character; a byte that starts none stands for itself, as U+FFFD.
pub(crate) fn first_char(bytes: &[u8]) -> Option<(char, &[u8])> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), &bytes[1..]));
    }
    let end = bytes.len().min(4);
    let valid = match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(ch) => Some((ch, &bytes[ch.len_utf8()..])),
        None => Some((char::REPLACEMENT_CHARACTER, &bytes[1..])),
    }
}
