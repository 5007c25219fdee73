//! The value of `--chmod`.

/// A checked `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chmod {
    given: String,
    /// Permission bits, at most 07777; none is a symbolic list such as `u=rwX,go=rX`.
    octal: Option<u32>,
}

impl Chmod {
    /// Reads the value; the error is the message.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if octal && mode <= 0o7777 => Ok(Self::new(text, Some(mode))),
                _ => Err(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                )),
            };
        }
        if text.split(',').all(is_clause) {
            Ok(Self::new(text, None))
        } else {
            Err(format!(
                "invalid chmod parameter: '{text}'. it should be an octal string or a list such as u=rwX,go=rX"
            ))
        }
    }

    fn new(given: &str, octal: Option<u32>) -> Self {
        Self {
            given: given.to_owned(),
            octal,
        }
    }

    /// The text.
    pub(super) fn as_given(&self) -> &str {
        &self.given
    }

    /// Whether the source's own mode plays no part.
    pub(super) fn is_octal(&self) -> bool {
        self.octal.is_some()
    }

    /// The one spelling that enters ops, so that `755` and `0755` are one step.
    pub(super) fn canonical(&self) -> String {
        match self.octal {
            Some(mode) => format!("{mode:04o}"),
            None => self.given.clone(),
        }
    }
}

/// `[ugoa]*` followed by one or more of `[-+=]` with permissions.
fn is_clause(clause: &str) -> bool {
    let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let mut actions = rest.split(['-', '+', '=']);
    // Nothing may stand between the classes and the first operator.
    actions.next() == Some("")
        && (rest.len() > 1 || rest == "=")
        && actions.all(|permissions| {
            matches!(permissions, "u" | "g" | "o")
                || permissions.chars().all(|c| "rwxXst".contains(c))
        })
}

#[cfg(test)]
mod tests {
    use super::Chmod;

    #[test]
    fn reads_octal_and_symbolic_modes() {
        for (text, canonical) in [
            ("755", "0755"),
            ("0755", "0755"),
            ("0", "0000"),
            ("07777", "7777"),
            ("u=rwX,go=rX", "u=rwX,go=rX"),
            ("+x", "+x"),
            ("a-w+r", "a-w+r"),
            ("g=u", "g=u"),
        ] {
            assert_eq!(
                Chmod::parse(text).map(|mode| mode.canonical()),
                Ok(canonical.to_owned())
            );
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for text in ["64a", "10000", "8", "0o7"] {
            assert_eq!(
                Chmod::parse(text),
                Err(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                ))
            );
        }
        for text in ["", "u", "u+q", "x+r", "u=rw,", "+"] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
