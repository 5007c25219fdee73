//! The names in a client certificate.

use super::rule::Facts;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// What rules can ask for.
pub(crate) const NAMES: [&str; 3] = ["common-name", "dns", "uri"];

/// The identifier of a common name, 2.5.4.3, in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `UTF8String`, `PrintableString` and `IA5String`: the ones that are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The common name of the subject and the alternative names; none when it is no certificate.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut facts = Facts::new();
    let mut add = |kind: &str, names: Vec<String>| facts.insert(kind.to_owned(), names);
    add("common-name", common_names(parsed.subject()));
    // Names of hosts are compared without regard to case (RFC 4343).
    let dns = parsed.valid_dns_names().map(str::to_ascii_lowercase);
    add("dns", dns.collect());
    add("uri", parsed.valid_uri_names().map(str::to_owned).collect());
    Some(facts)
}

/// How its holder is called.
pub(super) fn shown(facts: &Facts) -> String {
    let mut all = NAMES.iter().filter_map(|kind| facts.get(*kind)?.first());
    let name = all.next().map_or("without a name", String::as_str);
    format!("cert:{name}")
}

/// The common names of a subject, without its outer sequence (RFC 5280, 4.1.2.4).
fn common_names(subject: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut sets = subject;
    while let Some((SET, mut pairs, rest)) = element(sets) {
        sets = rest;
        while let Some((SEQUENCE, pair, rest)) = element(pairs) {
            pairs = rest;
            found.extend(common_name(pair));
        }
    }
    found
}

fn common_name(pair: &[u8]) -> Option<String> {
    let (tag, id, rest) = element(pair)?;
    let (kind, value, _) = element(rest)?;
    let is_one = tag == OBJECT_IDENTIFIER && id == COMMON_NAME && TEXTS.contains(&kind);
    is_one.then(|| String::from_utf8(value.to_vec()).ok())?
}

/// The first element of some DER: its tag, its content, and what is behind it. Nothing in a name is
/// long enough for a length of more than two bytes.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&len, rest) = rest.split_first()?;
            (usize::from(len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len()).unwrap();
        [&[tag, len], content].concat()
    }

    #[test]
    fn common_names_are_found_among_others() {
        let pair = |id: &[u8], kind, text: &[u8]| {
            let pair = [der(OBJECT_IDENTIFIER, id), der(kind, text)].concat();
            der(SET, &der(SEQUENCE, &pair))
        };
        let organisation: &[u8] = &[0x55, 0x04, 0x0a];
        let subject = [
            pair(organisation, 0x0c, b"org"),
            pair(COMMON_NAME, 0x0c, "r\u{fc}nner".as_bytes()),
            pair(COMMON_NAME, 0x13, b"second"),
            pair(COMMON_NAME, 0x1e, b"\0u\0t\0f"),
            pair(COMMON_NAME, 0x0c, b"\xff"),
        ];
        let subject = subject.concat();
        assert_eq!(common_names(&subject), ["r\u{fc}nner", "second"]);
        // Cut anywhere, it is never read beyond its end.
        for end in 0..subject.len() {
            assert!(common_names(&subject[..end]).len() <= 2);
        }
        assert_eq!(names(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
