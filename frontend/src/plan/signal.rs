//! The signals that STOPSIGNAL accepts.

/// Linux signal names without `SIG`; the real-time ones are handled apart.
const NAMES: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Says whether `text` names a signal: a number from 1 to 64, or a name with or without `SIG`.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name)
        || offset(name, "RTMIN+").is_some_and(|n| (1..=15).contains(&n))
        || offset(name, "RTMAX-").is_some_and(|n| (1..=14).contains(&n))
}

fn offset(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn knows_the_signal_table() {
        for good in [
            "SIGTERM",
            "term",
            "9",
            "64",
            "RTMIN+3",
            "SIGRTMAX-14",
            "SIGRTMIN",
            "sigwinch",
        ] {
            assert!(is_signal(good), "{good}");
        }
        for bad in [
            "", "0", "65", "-1", "SIGFOO", "RTMIN+16", "RTMAX-15", "SIG", "TERM ",
        ] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
