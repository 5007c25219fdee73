//! Reading the value of `RUN --mount=`.

use thiserror::Error;

use crate::ast::{Mount, MountField, MountKind, MountSharing, MountSpec};
use crate::remote;
use crate::span::{Span, Spanned};
use crate::suggest::did_you_mean;

/// Why the value of a `--mount` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct MountError {
    /// The finding, suggestion included.
    pub message: String,
}

/// The keys, for suggestions.
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
];

const KINDS: [MountKind; 5] = [
    MountKind::Bind,
    MountKind::Cache,
    MountKind::Tmpfs,
    MountKind::Secret,
    MountKind::Ssh,
];

impl MountSpec {
    /// Splits and checks the value of a flag, as far as that is possible without variables.
    pub(crate) fn parse(raw: Spanned<String>) -> Result<Self, MountError> {
        let fields = fields(&raw)?;
        let spec = Self { raw, fields };
        let value_of = |field: &MountField| field.value.clone().unwrap_or_default();
        if spec
            .fields
            .iter()
            .any(|field| field.key == "from" && has_variable(&value_of(field)))
        {
            return Err(error(
                "'from' doesn't support variable expansion, define alias stage instead",
            ));
        }
        if !spec.raw.value.contains('$') {
            spec.resolve(|value| Ok::<_, MountError>(value.to_owned()))?;
        }
        Ok(spec)
    }

    /// Expands the values with `expand` (never asked for `from`), checks them, and gives the typed mount.
    ///
    /// The error of `expand` is taken over as the message.
    pub fn resolve<E: std::fmt::Display>(
        &self,
        mut expand: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Mount, MountError> {
        let mut draft = Draft::default();
        for field in &self.fields {
            let value = match &field.value {
                Some(value) if field.key != "from" => {
                    Some(expand(value).map_err(|failure| error(failure.to_string()))?)
                }
                other => other.clone(),
            };
            match value {
                Some(value) => draft.set(&field.key, value)?,
                None => draft.set_bare(&field.key)?,
            }
        }
        draft.finish()
    }
}

/// A mount whose fields may still contradict each other.
#[derive(Default)]
struct Draft {
    mount: Mount,
    read_only: Option<bool>,
    sharing: Option<MountSharing>,
}

impl Draft {
    fn set_bare(&mut self, key: &str) -> Result<(), MountError> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.set_required(true)?,
            _ => {
                return Err(error(format!(
                    "invalid field '{key}' must be a key=value pair"
                )));
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), MountError> {
        match key {
            "type" => self.mount.kind = kind(&value)?,
            "from" => self.mount.from = Some(value),
            "source" | "src" => self.mount.source = Some(value),
            "target" | "dst" | "destination" => self.mount.target = Some(value),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => self.set_required(boolean(key, &value)?)?,
            "size" => self.mount.size = Some(self.size(&value)?),
            "id" => self.mount.id = Some(value),
            "sharing" => self.sharing = Some(sharing(&value)?),
            "mode" => self.mount.mode = Some(number(key, &value, 8)?),
            "uid" => self.mount.uid = Some(number(key, &value, 10)?),
            "gid" => self.mount.gid = Some(number(key, &value, 10)?),
            "env" => self.mount.env = Some(value),
            _ => {
                let message = format!("unexpected key '{key}' in '{key}={value}'");
                return Err(suggested(message, key, KEYS));
            }
        }
        Ok(())
    }

    /// The type counts as it is known so far: fields are read in order.
    fn set_required(&mut self, required: bool) -> Result<(), MountError> {
        match self.mount.kind {
            MountKind::Secret | MountKind::Ssh => self.mount.required = required,
            kind => return Err(unexpected("required", kind)),
        }
        Ok(())
    }

    fn size(&self, value: &str) -> Result<u64, MountError> {
        match self.mount.kind {
            MountKind::Tmpfs => {
                ram_in_bytes(value).ok_or_else(|| error(format!("invalid size: '{value}'")))
            }
            kind => Err(unexpected("size", kind)),
        }
    }

    fn finish(mut self) -> Result<Mount, MountError> {
        let mount = &self.mount;
        let kind = mount.kind;
        let owned = [
            ("mode", mount.mode.is_some()),
            ("uid", mount.uid.is_some()),
            ("gid", mount.gid.is_some()),
        ];
        let may_own = matches!(kind, MountKind::Secret | MountKind::Ssh | MountKind::Cache);
        if let Some((key, _)) = owned.iter().find(|(_, given)| *given && !may_own) {
            let kind = kind.as_str();
            return Err(error(format!("{key} not allowed for {kind:?} type mounts")));
        }
        if kind == MountKind::Secret {
            check_secret(mount, self.sharing)?;
        }
        if kind == MountKind::Ssh && mount.source.as_ref().is_some_and(|it| !it.is_empty()) {
            return Err(error("ssh does not support source"));
        }
        if self.sharing.is_some() && kind != MountKind::Cache {
            let kind = kind.as_str();
            return Err(error(format!("invalid cache sharing set for {kind} mount")));
        }
        let read_only_by_default = !matches!(kind, MountKind::Cache | MountKind::Tmpfs);
        self.mount.read_only = self.read_only.unwrap_or(read_only_by_default);
        self.mount.sharing = self.sharing.unwrap_or_default();
        Ok(self.mount)
    }
}

fn check_secret(mount: &Mount, sharing: Option<MountSharing>) -> Result<(), MountError> {
    let given = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
    let named = [&mount.source, &mount.target, &mount.id, &mount.env]
        .into_iter()
        .any(given);
    let message = if given(&mount.from) {
        "secret mount should not have a from"
    } else if sharing.is_some() {
        "secret mount should not define sharing"
    } else if !named {
        "invalid secret mount. one of source, target required"
    } else if given(&mount.source) && given(&mount.id) {
        "both source and id can't be set"
    } else {
        return Ok(());
    };
    Err(error(message))
}

fn kind(value: &str) -> Result<MountKind, MountError> {
    let lower = value.to_lowercase();
    KINDS
        .into_iter()
        .find(|kind| kind.as_str() == lower)
        .ok_or_else(|| {
            let message = format!("unsupported mount type {value:?}");
            // The reference wants `tmp` to suggest `tmpfs`: a beginning counts as close.
            let begun = KINDS
                .into_iter()
                .map(MountKind::as_str)
                .find(|kind| lower.len() > 2 && kind.starts_with(&lower));
            match begun {
                Some(kind) => error(format!("{message} (did you mean {kind}?)")),
                None => suggested(message, value, KINDS.map(MountKind::as_str)),
            }
        })
}

fn sharing(value: &str) -> Result<MountSharing, MountError> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(MountSharing::Shared),
        "private" => Ok(MountSharing::Private),
        "locked" => Ok(MountSharing::Locked),
        _ => {
            let message = format!("unsupported sharing value {value:?}");
            Err(suggested(message, value, ["shared", "private", "locked"]))
        }
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, MountError> {
    remote::boolean(value).ok_or_else(|| error(format!("invalid value for {key}: {value}")))
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, MountError> {
    // `from_str_radix` would take a sign.
    let digits = Some(value).filter(|value| !value.starts_with('+'));
    digits
        .and_then(|value| u32::from_str_radix(value, radix).ok())
        .ok_or_else(|| error(format!("invalid value {value} for {key}")))
}

/// Reads sizes like `128m`, `1.5GiB`, `.5 g`, `4096`: powers of 1024, case ignored, `b` or `ib` behind the unit,
/// at most one blank in front of it.
fn ram_in_bytes(text: &str) -> Option<u64> {
    let number_end = text.rfind(|ch: char| ch.is_ascii_digit() || matches!(ch, '.' | ' '))?;
    let (number, unit) = text.split_at(number_end + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    let size = number.parse::<f64>().ok()? * f64::from(shift).exp2();
    // Whatever lies outside is no size of anything; a fraction of a byte is none, either.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in range"
    )]
    (0.0..MAX_SIZE).contains(&size).then_some(size as u64)
}

/// The first size that is too large, 2^63.
const MAX_SIZE: f64 = 9_223_372_036_854_775_808.0;

/// Splits the value at commas; a field in double quotes may hold commas and doubled quotes.
fn fields(raw: &Spanned<String>) -> Result<Vec<MountField>, MountError> {
    let text = raw.value.as_str();
    // Only an unquoted value on one line has the same bytes as the source.
    let is_exact = raw.span.len() == text.len();
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let (field, len) = field(&text[at..])?;
        let span = if is_exact {
            let start = raw.span.start as usize + at;
            Span::new(start, start + len)
        } else {
            raw.span
        };
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (field.as_str(), None),
        };
        found.push(MountField {
            key: key.to_lowercase(),
            value,
            span,
        });
        at += len;
        if text[at..].is_empty() {
            return Ok(found);
        }
        at += 1;
    }
}

/// Splits a list at commas as the value of a mount is split.
pub(crate) fn split_fields(text: &str) -> Result<Vec<String>, MountError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let (field, len) = field(&text[at..])?;
        found.push(field);
        at += len;
        if text[at..].is_empty() {
            return Ok(found);
        }
        at += 1;
    }
}

/// Reads one field up to a comma or the end; returns it with the number of bytes read.
fn field(text: &str) -> Result<(String, usize), MountError> {
    let csv = |what: &str| error(format!("failed to parse csv mounts: {what}"));
    if !text.starts_with('"') {
        let len = text.find(',').unwrap_or(text.len());
        if text[..len].contains('"') {
            return Err(csv("bare \" in non-quoted field"));
        }
        return Ok((text[..len].to_owned(), len));
    }
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, ch)) = chars.next() {
        if ch != '"' {
            value.push(ch);
            continue;
        }
        match chars.next() {
            None | Some((_, ',')) => return Ok((value, at + 1)),
            Some((_, '"')) => value.push('"'),
            Some(_) => break,
        }
    }
    Err(csv("extraneous or missing \" in quoted field"))
}

fn has_variable(text: &str) -> bool {
    text.find('$').is_some_and(|at| at + 1 < text.len())
}

fn unexpected(key: &str, kind: MountKind) -> MountError {
    error(format!(
        "unexpected key '{key}' for mount type '{}'",
        kind.as_str()
    ))
}

fn suggested<'a>(
    message: String,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> MountError {
    match did_you_mean(word, candidates) {
        Some(candidate) => error(format!("{message} (did you mean {candidate}?)")),
        None => error(message),
    }
}

fn error(message: impl Into<String>) -> MountError {
    MountError {
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
