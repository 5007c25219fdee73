//! [`TrustedKeys`]: the keys whose results are taken.

use std::collections::BTreeMap;
use std::path::Path;

use acetate_oci::Timestamp;

use super::private::read_text;
use super::{KeyError, KeyFault, PublicKey, pem};

/// Longer than any list that is meant.
const MAX_TEXT: u64 = 1 << 20;
/// More keys than anybody keeps apart.
const MAX_KEYS: usize = 1000;
const MAX_NAME: usize = 64;
const SECS_A_DAY: i64 = 86_400;

/// A list of public keys, one a line: the key, and optionally its name and the days of its validity.
///
/// ```text
/// # who signs for org/repo
/// 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= main 2026-01-01..2026-12-31
/// ```
///
/// A key is base64 of its 32 bytes or of its DER, or a block of PEM, which may have several lines;
/// name and dates then follow the end of the block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
    by_id: BTreeMap<String, usize>,
}

/// One key of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What people call it.
    pub name: Option<String>,
    /// When it is taken.
    pub validity: Validity,
}

/// From when until when a key is taken, in seconds since 1970; without limits it always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validity {
    /// The first second.
    pub from: Option<i64>,
    /// The first second after the end.
    pub until: Option<i64>,
}

impl Validity {
    /// True when the time is before the first second.
    pub fn is_before(&self, time: i64) -> bool {
        self.from.is_some_and(|from| time < from)
    }

    /// True when the time is after the last second.
    pub fn is_over(&self, time: i64) -> bool {
        self.until.is_some_and(|until| time >= until)
    }

    fn parse(text: &str) -> Result<Self, KeyFault> {
        let (from, until) = text.split_once("..").ok_or(KeyFault::Dates)?;
        if from.is_empty() && until.is_empty() {
            return Err(KeyFault::Dates);
        }
        let validity = Self {
            from: day(from)?,
            // The last day belongs to it.
            until: day(until)?.map(|begin| begin + SECS_A_DAY),
        };
        let is_backwards = validity.from.is_some_and(|from| validity.is_over(from));
        if is_backwards {
            return Err(KeyFault::Backwards);
        }
        Ok(validity)
    }
}

impl TrustedKeys {
    /// Reads a list.
    ///
    /// # Errors
    /// At the first line that is not understood, and when no key is in it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::read(text).map_err(|(line, fault)| KeyError::Text { line, fault })
    }

    /// Reads a list from a file.
    ///
    /// # Errors
    /// As [`TrustedKeys::parse`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let (text, _) = read_text(path, MAX_TEXT)?;
        Self::read(&text).map_err(|(line, fault)| KeyError::File {
            path: path.to_owned(),
            line,
            fault,
        })
    }

    /// The keys, in the order of the list.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    pub(super) fn find(&self, id: &str) -> Option<&TrustedKey> {
        self.by_id.get(id).and_then(|idx| self.keys.get(*idx))
    }

    fn read(text: &str) -> Result<Self, (usize, KeyFault)> {
        let mut list = Self::default();
        let mut lines: Vec<usize> = Vec::new();
        let (mut rest, mut line) = (text, 1);
        while !rest.is_empty() {
            let behind = match entry(rest).map_err(|fault| (line, fault))? {
                (Some(key), behind) => {
                    list.add(key, &lines).map_err(|fault| (line, fault))?;
                    lines.push(line);
                    behind
                }
                (None, behind) => behind,
            };
            let read = &rest[..rest.len() - behind.len()];
            line += read.matches('\n').count();
            rest = behind;
        }
        if list.keys.is_empty() {
            return Err((0, KeyFault::Empty));
        }
        Ok(list)
    }

    fn add(&mut self, key: TrustedKey, lines: &[usize]) -> Result<(), KeyFault> {
        if self.keys.len() >= MAX_KEYS {
            return Err(KeyFault::TooMany);
        }
        for (other, line) in self.keys.iter().zip(lines) {
            if other.key == key.key {
                return Err(KeyFault::SameKey(*line));
            }
            if other.name.is_some() && other.name == key.name {
                return Err(KeyFault::SameName(*line));
            }
        }
        self.by_id.insert(key.key.id(), self.keys.len());
        self.keys.push(key);
        Ok(())
    }
}

/// The key at the beginning of a text, if its first line is not empty, and what is behind its line.
fn entry(text: &str) -> Result<(Option<TrustedKey>, &str), KeyFault> {
    let (first, behind) = text.split_once('\n').unwrap_or((text, ""));
    let first = first.trim();
    if first.is_empty() || first.starts_with('#') {
        return Ok((None, behind));
    }
    // A block of PEM goes on in the next lines, a line of base64 does not.
    let whole = if pem::is_begin(first) { text } else { first };
    let (key, remark) = PublicKey::parse(whole)?;
    let (remark, behind) = if pem::is_begin(first) {
        remark.split_once('\n').unwrap_or((remark, ""))
    } else {
        (remark, behind)
    };
    let (name, validity) = parse_remark(remark)?;
    let key = TrustedKey {
        key,
        name,
        validity,
    };
    Ok((Some(key), behind))
}

fn parse_remark(text: &str) -> Result<(Option<String>, Validity), KeyFault> {
    let (mut name, mut validity) = (None, None);
    let words = text.split_whitespace();
    for word in words.take_while(|word| !word.starts_with('#')) {
        if word.contains("..") && validity.is_none() {
            validity = Some(Validity::parse(word)?);
        } else if is_name(word) && name.is_none() && validity.is_none() {
            name = Some(word.to_owned());
        } else {
            return Err(KeyFault::Remark);
        }
    }
    Ok((name, validity.unwrap_or_default()))
}

/// Whether a key may be called so: it is shown in messages, and never taken for dates.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._@/+-".contains(c);
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_plain) && !text.contains("..")
}

/// The first second of a day in UTC.
fn day(text: &str) -> Result<Option<i64>, KeyFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let time: Timestamp = format!("{text}T00:00:00Z")
        .parse()
        .map_err(|_| KeyFault::Dates)?;
    Ok(Some(time.secs))
}
