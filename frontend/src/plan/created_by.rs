//! The texts of history lines (S93): lists and durations as Go prints them, since tools compare them.

use super::scope::{Declared, Scope};
use acetate_oci::Healthcheck;
use std::fmt::Write;

/// The comment of every line that a Dockerfile made.
pub(super) const COMMENT: &str = "buildkit.dockerfile.v0";

/// `RUN |2 a=b c=d /bin/sh -c make # buildkit`, `args` being what [`args`] made.
pub(super) fn run(args: &str, argv: &[String]) -> String {
    let len = argv.iter().map(|word| word.len() + 1).sum::<usize>();
    let mut text = String::with_capacity("RUN # buildkit".len() + args.len() + len);
    text.push_str("RUN");
    text.push_str(args);
    for word in argv {
        text.push(' ');
        text.push_str(word);
    }
    text.push_str(" # buildkit");
    text
}

/// ` |2 a=b c=d`: the ARGs in the order of first declaration, with last values.
pub(super) fn args(args: &Declared, scope: &Scope) -> String {
    let mut text = String::new();
    if args.len() > 0 {
        let _ = write!(text, " |{}", args.len());
    }
    for (name, value) in args.iter() {
        let value = scope.value(name).or(value).unwrap_or_default();
        let _ = write!(text, " {name}={value}");
    }
    text
}

/// `[a b]`.
pub(super) fn list<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    format!("[{}]", words.join(" "))
}

/// `["a" "b"]`.
pub(super) fn quoted_list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

/// `{Test:[CMD x] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}`.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// Go's `%q` of a string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        escape(&mut quoted, c, '"');
    }
    quoted.push('"');
    quoted
}

fn escape(out: &mut String, c: char, delimiter: char) {
    let short = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\\' => '\\',
        c if c == delimiter => c,
        c if c.is_ascii() && c.is_control() => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
            return;
        }
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
            return;
        }
        c => {
            out.push(c);
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

/// Go's form of a duration: `1h0m0s`, `1m30s`, `1.5s`, `250ms`, `0s`.
fn duration(nanos: i64) -> String {
    let (nanos, sign) = (nanos.unsigned_abs(), if nanos < 0 { "-" } else { "" });
    let text = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// `nanos / unit` with as many decimals as it takes.
fn fraction(nanos: u64, unit: u64) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!(
        "{whole}.{}",
        format!("{rest:0digits$}").trim_end_matches('0')
    )
}

/// The pairs of ENV, LABEL or ARG as they are shown.
pub(super) fn pairs(keyword: &str, pairs: &[(String, Option<String>)]) -> String {
    let mut text = keyword.to_owned();
    for (name, value) in pairs {
        text.push(' ');
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s93_args_stand_in_first_declaration_order_with_last_values() {
        let mut scope = Scope::default();
        scope.set("bar", "123");
        scope.set("foo", "bar2");
        let mut args = Declared::default();
        args.declare("foo", Some("bar".to_owned()));
        args.declare("bar", Some("123".to_owned()));
        args.declare("foo", Some("bar2".to_owned()));
        args.declare("unset", None);
        let argv = ["/bin/sh", "-c", "ls /etc/"].map(str::to_owned);
        assert_eq!(
            run(&super::args(&args, &scope), &argv),
            "RUN |3 foo=bar2 bar=123 unset= /bin/sh -c ls /etc/ # buildkit"
        );
        assert_eq!(
            run(&super::args(&Declared::default(), &scope), &argv),
            "RUN /bin/sh -c ls /etc/ # buildkit"
        );
    }

    #[test]
    fn strings_are_quoted_as_go_does() {
        let words = ["a\"b\\", "\n\t\u{1}", "ä'$"].map(str::to_owned);
        assert_eq!(quoted_list(&words), r#"["a\"b\\" "\n\t\x01" "ä'$"]"#);
        assert_eq!(list(&["/a", "/b"]), "[/a /b]");
    }

    #[test]
    fn durations_are_shown_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (300_000_000_000, "5m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn healthchecks_are_shown_as_go_does() {
        let check = Healthcheck {
            test: vec![
                "CMD-SHELL".to_owned(),
                "curl -f http://localhost/ || exit 1".to_owned(),
            ],
            interval: 30_000_000_000,
            retries: 3,
            ..Healthcheck::default()
        };
        assert_eq!(
            healthcheck(&check),
            "{Test:[CMD-SHELL curl -f http://localhost/ || exit 1] Interval:30s Timeout:0s \
             StartPeriod:0s StartInterval:0s Retries:3}"
        );
    }
}
