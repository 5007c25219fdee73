//! Text files of fields: Debian's control files, mail headers, apk's database.

/// Bytes as text; what is no UTF-8 becomes a replacement character.
pub(super) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).replace("\r\n", "\n")
}

/// Paragraphs that blank lines part, each as its lines.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        let mut paragraph = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
            paragraph.push(line);
        }
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

/// The value of the first line `Name: value` of a paragraph, whatever the case of the name.
pub(super) fn field<'a>(paragraph: &[&'a str], name: &str) -> Option<&'a str> {
    values(paragraph, name).next()
}

/// The values of all lines `Name: value`.
pub(super) fn values<'a>(paragraph: &[&'a str], name: &str) -> impl Iterator<Item = &'a str> {
    paragraph.iter().filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        let value = value.trim();
        (key.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}
