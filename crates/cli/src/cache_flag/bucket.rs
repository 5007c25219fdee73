//! Caches in buckets: `type=s3`, `type=gcs` and `type=azblob`.
//!
//! The names of options are those of the crate `object_store`, which are those of the variables that
//! the providers' own programs read, in lower case.

use super::attributes::Attributes;
use super::value;
use crate::environment::Environment;
use acetate_engine::CachePlace;
use anyhow::{Result, anyhow, bail};
use std::collections::BTreeMap;

type Options = BTreeMap<String, String>;

const S3_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

const GCS_VARIABLES: &[&str] = &[
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_SKIP_SIGNATURE",
];

const AZURE_VARIABLES: &[&str] = &[
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_TENANT_ID",
];

pub(super) fn s3(given: &Attributes, env: &Environment) -> Result<CachePlace> {
    let bucket = bucket_name("bucket", given.need("bucket", "NAME")?)?;
    let mut options = from_environment(S3_VARIABLES, env);
    s3_keys(given, &mut options)?;
    if let Some(region) = given.get("region") {
        options.insert("aws_region".to_owned(), region.to_owned());
    }
    // The one for this service goes before the one for all, as with the provider's own programs.
    let variables = [
        options.remove("aws_endpoint_url_s3"),
        options.remove("aws_endpoint_url"),
    ];
    let endpoint = match given.get("endpoint_url") {
        Some(url) => Some(endpoint_of("endpoint_url", url)?),
        None => variables.into_iter().flatten().next(),
    };
    let style = given.get("use_path_style");
    let uses_path = style.map(|text| value::boolean("use_path_style", text));
    let is_in_host = uses_path.transpose()? == Some(false);
    if is_in_host {
        let key = "aws_virtual_hosted_style_request";
        options.insert(key.to_owned(), "true".to_owned());
    }
    if let Some(mut url) = endpoint {
        if is_in_host {
            url = url.replacen("://", &format!("://{bucket}."), 1);
        }
        options.insert("aws_endpoint".to_owned(), url);
    }
    place("s3", bucket, given, options)
}

fn s3_keys(given: &Attributes, options: &mut Options) -> Result<()> {
    const KEYS: [&str; 3] = ["access_key_id", "secret_access_key", "session_token"];
    let [id, secret, token] = KEYS.map(|key| given.get(key));
    match (id, secret, token) {
        (None, None, None) => return Ok(()),
        (Some(_), Some(_), _) => {}
        _ => bail!("`access_key_id` and `secret_access_key` go together"),
    }
    // A session of the environment belongs to the keys there.
    for (key, value) in KEYS.into_iter().zip([id, secret, token]) {
        options.remove(&format!("aws_{key}"));
        set(options, &format!("aws_{key}"), value);
    }
    Ok(())
}

pub(super) fn gcs(given: &Attributes, env: &Environment) -> Result<CachePlace> {
    let bucket = bucket_name("bucket", given.need("bucket", "NAME")?)?;
    let mut options = from_environment(GCS_VARIABLES, env);
    if let Some(path) = given.get("service_account") {
        let path = value::file("service_account", path)?;
        options.clear();
        let path = path.to_string_lossy().into_owned();
        options.insert("google_service_account".to_owned(), path);
    }
    let endpoint = given.get("endpoint_url");
    let endpoint = endpoint.map(|url| endpoint_of("endpoint_url", url));
    set(
        &mut options,
        "google_base_url",
        endpoint.transpose()?.as_deref(),
    );
    place("gs", bucket, given, options)
}

pub(super) fn azblob(given: &Attributes, env: &Environment) -> Result<CachePlace> {
    let container = bucket_name("container", given.need("container", "NAME")?)?;
    let mut options = from_environment(AZURE_VARIABLES, env);
    let url = given.get("account_url");
    let url = url.map(|url| endpoint_of("account_url", url)).transpose()?;
    set(&mut options, "azure_storage_endpoint", url.as_deref());
    let account = given.get("account_name").map(str::to_owned);
    let account = account.or_else(|| account_of(url.as_deref()?));
    set(
        &mut options,
        "azure_storage_account_name",
        account.as_deref(),
    );
    if !options.contains_key("azure_storage_account_name") {
        bail!("`account_name` is missing, expected account_url=https://NAME.blob.core.windows.net");
    }
    let secret = given.get("secret_access_key");
    set(&mut options, "azure_storage_account_key", secret);
    place("az", container, given, options)
}

/// The account is the first part of the host in the provider's own addresses.
fn account_of(url: &str) -> Option<String> {
    let (_, host) = url.split_once("://")?;
    let (account, rest) = host.split_once('.')?;
    rest.starts_with("blob.").then(|| account.to_owned())
}

fn from_environment(names: &[&str], env: &Environment) -> Options {
    let found = env.those_of(names).into_iter();
    found
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}

fn set(options: &mut Options, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        options.insert(key.to_owned(), value.to_owned());
    }
}

fn place(scheme: &str, bucket: &str, given: &Attributes, options: Options) -> Result<CachePlace> {
    let mut url = format!("{scheme}://{bucket}");
    for key in ["prefix", "name"] {
        let path = given.get(key).unwrap_or_default().trim_matches('/');
        for segment in path.split('/').filter(|_| !path.is_empty()) {
            url.push('/');
            url.push_str(plain(key, segment)?);
        }
    }
    let options: Vec<(String, String)> = options.into_iter().collect();
    let options = options.into();
    Ok(CachePlace::Bucket { url, options })
}

fn plain<'a>(key: &str, segment: &'a str) -> Result<&'a str> {
    if segment.contains(';') {
        bail!("`{key}` is one name here; repeat the flag for others");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if segment.is_empty() || segment == "." || segment == ".." || !segment.chars().all(is_plain) {
        bail!(
            "`{key}` has the part `{segment}`, expected letters, digits, `.`, `_` and `-`, parted \
             by slashes"
        );
    }
    Ok(segment)
}

fn bucket_name<'a>(key: &str, text: &'a str) -> Result<&'a str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if is_name && text.chars().all(is_plain) {
        return Ok(text);
    }
    Err(anyhow!(
        "`{text}` is no {key}, expected letters, digits, `.`, `_` and `-`"
    ))
}

/// An address without credentials and without a slash at its end.
fn endpoint_of(key: &str, text: &str) -> Result<String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| anyhow!("`{key}` begins with https:// or http://"))?;
    if rest.contains(['@', '?', '#']) {
        bail!("`{key}` has credentials, a query or a fragment; expected https://HOST");
    }
    if rest.starts_with('/') || rest.is_empty() {
        bail!("`{key}` names no host; expected https://HOST");
    }
    Ok(text.trim_end_matches('/').to_owned())
}
