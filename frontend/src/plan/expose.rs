//! The words of EXPOSE, after expansion.

/// More ports than this in one range are refused: there are no more.
const MAX_PORT: u32 = 65_535;

/// Reads `[[host-ip:]host-port:]port[-last][/proto]` into `port/proto` words.
///
/// Addresses and host ports are dropped, as they mean nothing in an image. The error is the message.
pub(super) fn ports(word: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = match word.split_once('/') {
        Some((range, protocol)) => (range, protocol.to_ascii_lowercase()),
        None => (word, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let container = range
        .rsplit_once(':')
        .map_or(range, |(_, container)| container);
    if container.is_empty() {
        return Err(format!("no port specified: {word}"));
    }
    let invalid = || format!("invalid containerPort: {container}");
    let (first, last) = match container.split_once('-') {
        Some((first, last)) => (port(first), port(last)),
        None => (port(container), port(container)),
    };
    let (first, last) = first.zip(last).ok_or_else(invalid)?;
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

fn port(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port <= MAX_PORT)
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn s17_reads_ports_ranges_and_protocols() {
        for (word, expected) in [
            ("80", "80/tcp"),
            ("80/TCP", "80/tcp"),
            ("53/udp", "53/udp"),
            ("9/sctp", "9/sctp"),
            ("8000-8002/udp", "8000/udp 8001/udp 8002/udp"),
            ("127.0.0.1:8080:80", "80/tcp"),
            ("8080:80/udp", "80/udp"),
            ("[::1]:8080:80", "80/tcp"),
        ] {
            assert_eq!(ports(word).map(|p| p.join(" ")), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn refuses_what_is_no_port() {
        for (word, message) in [
            ("80/http", "invalid proto: http"),
            ("", "no port specified: "),
            ("/tcp", "no port specified: /tcp"),
            ("http", "invalid containerPort: http"),
            ("65536", "invalid containerPort: 65536"),
            ("+80", "invalid containerPort: +80"),
            ("90-80", "invalid containerPort: 90-80"),
            ("1-", "invalid containerPort: 1-"),
        ] {
            assert_eq!(ports(word), Err(message.to_owned()));
        }
    }
}
