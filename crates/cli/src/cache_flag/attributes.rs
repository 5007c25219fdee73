//! Which attributes `--cache-from` and `--cache-to` have, and where.

use crate::csv;
use acetate_frontend::did_you_mean;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fmt;

/// Which of the two flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    From,
    To,
}

impl Side {
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::From => "--cache-from",
            Self::To => "--cache-to",
        }
    }
}

/// The kinds of caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Local,
    Inline,
    Registry,
    S3,
    Gcs,
    Azblob,
}

pub(super) const KINDS: &[(&str, Kind)] = &[
    ("http", Kind::Http),
    ("local", Kind::Local),
    ("inline", Kind::Inline),
    ("registry", Kind::Registry),
    ("s3", Kind::S3),
    ("gcs", Kind::Gcs),
    ("azblob", Kind::Azblob),
];

impl Kind {
    fn parse(text: &str) -> Result<Self> {
        if text == "gha" {
            bail!(
                "type=gha is not supported: the cache service of GitHub Actions is not spoken; \
                 use type=http, or type=s3, gcs or azblob, or keep a type=local directory with \
                 actions/cache"
            );
        }
        if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == text) {
            return Ok(*kind);
        }
        let meant = meant(text, KINDS.iter().map(|(name, _)| *name));
        bail!(
            "unknown type `{text}`{meant}, expected http, local, inline, registry, s3, gcs or \
             azblob"
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = KINDS.iter().find(|(_, kind)| kind == self);
        f.write_str(found.map_or("?", |(name, _)| name))
    }
}

/// An attribute, and where it has an effect.
pub(super) struct Rule {
    pub(super) key: &'static str,
    /// One flag only; none for both.
    side: Option<Side>,
    kinds: &'static [Kind],
}

const fn rule(key: &'static str, side: Option<Side>, kinds: &'static [Kind]) -> Rule {
    Rule { key, side, kinds }
}

impl Rule {
    pub(super) fn is_for(&self, side: Side, kind: Kind) -> bool {
        self.side.is_none_or(|only| only == side) && self.kinds.contains(&kind)
    }
}

const FROM: Option<Side> = Some(Side::From);
const TO: Option<Side> = Some(Side::To);
const BUCKETS: &[Kind] = &[Kind::S3, Kind::Gcs, Kind::Azblob];
/// Those that records are sent to one by one.
const REMOTE: &[Kind] = &[Kind::Http, Kind::S3, Kind::Gcs, Kind::Azblob];
/// Those that the end of a build waits for.
const AWAITED: &[Kind] = &[
    Kind::Http,
    Kind::Registry,
    Kind::S3,
    Kind::Gcs,
    Kind::Azblob,
];
/// Those that can fail by themselves.
const FALLIBLE: &[Kind] = READ;
/// Those that keep layers as blobs of images.
const BLOBS: &[Kind] = &[Kind::Local, Kind::Registry];
const WRITTEN: &[Kind] = &[
    Kind::Http,
    Kind::Local,
    Kind::Inline,
    Kind::Registry,
    Kind::S3,
    Kind::Gcs,
    Kind::Azblob,
];
const READ: &[Kind] = &[
    Kind::Http,
    Kind::Local,
    Kind::Registry,
    Kind::S3,
    Kind::Gcs,
    Kind::Azblob,
];

/// In the order in which they are listed to users.
pub(super) const ATTRIBUTES: &[Rule] = &[
    rule("url", None, &[Kind::Http]),
    rule("ref", None, &[Kind::Registry]),
    rule("registry.insecure", None, &[Kind::Registry]),
    rule("src", FROM, &[Kind::Local]),
    rule("dest", TO, &[Kind::Local]),
    rule("tag", None, &[Kind::Local]),
    rule("digest", FROM, &[Kind::Local]),
    rule("reset", TO, &[Kind::Local]),
    rule("bucket", None, &[Kind::S3, Kind::Gcs]),
    rule("container", None, &[Kind::Azblob]),
    rule("prefix", None, BUCKETS),
    rule("name", None, BUCKETS),
    rule("region", None, &[Kind::S3]),
    rule("endpoint_url", None, &[Kind::S3, Kind::Gcs]),
    rule("use_path_style", None, &[Kind::S3]),
    rule("account_url", None, &[Kind::Azblob]),
    rule("account_name", None, &[Kind::Azblob]),
    rule("access_key_id", None, &[Kind::S3]),
    rule("secret_access_key", None, &[Kind::S3, Kind::Azblob]),
    rule("session_token", None, &[Kind::S3]),
    rule("service_account", None, &[Kind::Gcs]),
    rule("token-env", None, &[Kind::Http]),
    rule("token-file", None, &[Kind::Http]),
    rule("trust", FROM, REMOTE),
    rule("lease", FROM, &[Kind::Http]),
    rule("mode", TO, WRITTEN),
    rule("stages", TO, WRITTEN),
    rule("min-cost", TO, WRITTEN),
    rule("mounts", TO, REMOTE),
    rule("mounts-max", TO, REMOTE),
    rule("sign", TO, REMOTE),
    rule("forms", TO, REMOTE),
    rule("wait", TO, AWAITED),
    rule("ignore-error", TO, FALLIBLE),
    rule("compression", TO, BLOBS),
    rule("compression-level", TO, BLOBS),
    rule("force-compression", TO, BLOBS),
    rule("image-manifest", TO, BLOBS),
    rule("oci-mediatypes", TO, BLOBS),
];

/// What scripts leave empty when there is nothing to say.
const MAY_BE_EMPTY: &[&str] = &[
    "prefix",
    "name",
    "region",
    "endpoint_url",
    "account_name",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "service_account",
];

/// What `BuildKit` has for its own way of keeping things.
const FOREIGN: &[&str] = &[
    "blobs_prefix",
    "disable_accept_encoding",
    "manifests_prefix",
    "retry_max_attempts",
    "retry_mode",
    "timeout",
    "touch_refresh",
    "upload_parallelism",
];

/// What would put the secret of a server into the history of the command line.
const TOKENS: &[&str] = &["token", "password", "authorization", "bearer"];

/// The attributes of one flag; all of them have an effect there.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) side: Side,
    pub(super) kind: Kind,
    values: BTreeMap<String, String>,
}

impl Attributes {
    pub(super) fn parse(side: Side, text: &str) -> Result<Self> {
        let mut fields = fields(text)?;
        let bare = fields
            .first()
            .map(|first| bare(first))
            .transpose()?
            .flatten();
        let mut values = BTreeMap::new();
        let kind = match &bare {
            Some((kind, key)) => {
                values.insert((*key).to_owned(), fields.remove(0));
                *kind
            }
            None => kind_of(&fields)?,
        };
        check_kind(side, kind)?;
        for field in fields {
            let attribute = csv::Attribute::from(field);
            let key = attribute.key.as_str();
            match (&bare, key) {
                (None, "type") => continue,
                (Some((_, key)), "type") => {
                    bail!("`type` has no place beside a bare address, write type={kind},{key}=..")
                }
                _ => {}
            }
            check_key(side, kind, key)?;
            let value = attribute.value()?;
            if value.is_empty() && !MAY_BE_EMPTY.contains(&key) {
                bail!("`{key}` is empty");
            }
            values.insert(key.to_owned(), value.to_owned());
        }
        values.retain(|_, value| !value.is_empty());
        Ok(Self { side, kind, values })
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// A value that the kind of cache cannot do without.
    pub(super) fn need(&self, key: &str, what: &str) -> Result<&str> {
        let kind = self.kind;
        let missing = || anyhow!("`{key}` is missing, expected type={kind},{key}={what}");
        self.get(key).ok_or_else(missing)
    }
}

/// The fields; what is wrong with them is told without those that could be secrets.
fn fields(text: &str) -> Result<Vec<String>> {
    let lower = text.to_ascii_lowercase();
    let is_secret = ["secret", "token", "key"]
        .iter()
        .any(|word| lower.contains(word));
    let hide = |error| {
        if is_secret {
            anyhow!("double quotes stand where they cannot")
        } else {
            error
        }
    };
    csv::fields(text).map_err(hide)
}

/// What an address or a name without a key is; none where the first field is an attribute.
fn bare(field: &str) -> Result<Option<(Kind, &'static str)>> {
    let lower = field.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(Some((Kind::Http, "url")));
    }
    if field.contains('=') {
        return Ok(None);
    }
    if field.is_empty() {
        bail!("expected an address, or type=KIND with attributes");
    }
    if lower.contains("://") {
        bail!(
            "this is no address of a cache: those begin with http:// or https://, and a bucket is \
             written type=s3,bucket=NAME"
        );
    }
    if KINDS.iter().any(|(name, _)| *name == lower) {
        bail!("expected an address (did you mean type={lower}?)");
    }
    Ok(Some((Kind::Registry, "ref")))
}

fn kind_of(fields: &[String]) -> Result<Kind> {
    let attributes = fields.iter().cloned().map(csv::Attribute::from);
    let mut types = attributes.filter(|attribute| attribute.key == "type");
    match types.next_back() {
        Some(attribute) => Kind::parse(attribute.value()?),
        None => bail!("`type` is missing, expected an address, or type=KIND with attributes"),
    }
}

fn check_kind(side: Side, kind: Kind) -> Result<()> {
    match (side, kind) {
        (Side::From, Kind::Inline) => bail!(
            "type=inline goes with --cache-to only; it is read from the image: \
             --cache-from type=registry,ref=IMAGE"
        ),
        _ => Ok(()),
    }
}

/// An attribute that would have no effect is an error: it was meant to have one.
fn check_key(side: Side, kind: Kind, key: &str) -> Result<()> {
    if kind == Kind::Http && TOKENS.contains(&key) {
        bail!(
            "`{key}` would be seen in the list of processes and in the shell's history; use \
             token-env=NAME, token-file=FILE or the variable ACETATE_CACHE_TOKEN"
        );
    }
    if FOREIGN.contains(&key) {
        bail!("`{key}` of other builders has no meaning here, leave it out");
    }
    let Some(rule) = ATTRIBUTES.iter().find(|rule| rule.key == key) else {
        let keys: Vec<&str> = keys(side, kind).collect();
        let meant = meant(key, keys.iter().copied());
        bail!(
            "unknown attribute `{key}`{meant}, type={kind} has {}",
            keys.join(", ")
        );
    };
    if let Some(only) = rule.side.filter(|only| *only != side) {
        let instead = match (key, kind) {
            ("dest", Kind::Local) => "; here it is src=DIRECTORY",
            ("src", Kind::Local) => "; here it is dest=DIRECTORY",
            _ => "",
        };
        bail!("`{key}` goes with {} only{instead}", only.flag());
    }
    if !rule.kinds.contains(&kind) {
        let kinds: Vec<String> = rule
            .kinds
            .iter()
            .map(|kind| format!("type={kind}"))
            .collect();
        let why = match key {
            "sign" | "trust" => format!(
                "; nothing signs what is in type={kind}, share the records that have to be signed \
                 by a server or a bucket"
            ),
            _ => String::new(),
        };
        bail!("`{key}` goes with {} only{why}", kinds.join(", "));
    }
    Ok(())
}

fn keys(side: Side, kind: Kind) -> impl Iterator<Item = &'static str> {
    let allowed = ATTRIBUTES
        .iter()
        .filter(move |rule| rule.is_for(side, kind));
    allowed.map(|rule| rule.key)
}

fn meant<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> String {
    let meant = did_you_mean(text, known);
    meant.map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"))
}

/// A flag as messages may show it: without what could be a secret.
pub(super) fn shown(text: &str) -> String {
    const HIDDEN: &[&str] = &["access_key_id", "secret_access_key", "session_token"];
    let hide = |field: String| {
        let key = csv::Attribute::from(field.clone()).key;
        if HIDDEN.contains(&key.as_str()) || TOKENS.contains(&key.as_str()) {
            return format!("{key}=****");
        }
        let Some((scheme, rest)) = field.split_once("://") else {
            return field;
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        match rest.rsplit_once('@') {
            Some((_, behind)) => format!("{scheme}://****@{behind}"),
            None => format!("{scheme}://{rest}"),
        }
    };
    let fields = csv::fields(text).unwrap_or_default();
    fields.into_iter().map(hide).collect::<Vec<_>>().join(",")
}
