//! A bucket as a cache: from a configuration to a client of its provider.

use std::str::FromStr;
use std::sync::Arc;

use acetate_net::{PlainHttp, Url, is_loopback};
use acetate_stdx::Redacted;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::backend::{Backend, Bucket};
use super::client::RemoteCache;
use super::config::Address;
use super::{RemoteConfig, RemoteError};

/// What a cache in a bucket is opened with.
#[derive(Debug, Clone)]
pub struct BucketConfig {
    /// What all caches are opened with. The address is `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`, whose prefix is the namespace; the token means nothing.
    pub remote: RemoteConfig,
    /// Settings of the provider's client by the names that `object_store` gives them, which are
    /// those of the usual variables in lower case: `aws_region`. Credentials are among them.
    pub options: Redacted<Vec<(String, String)>>,
}

impl BucketConfig {
    /// The bucket at `url` with these settings and the usual bounds.
    pub fn new(url: impl Into<String>, options: Redacted<Vec<(String, String)>>) -> Self {
        Self {
            remote: RemoteConfig::new(url),
            options,
        }
    }

    fn client(&self) -> ClientOptions {
        let limits = &self.remote.limits;
        ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(limits.connect)
            // The deadlines around every request bound the whole of it.
            .with_timeout_disabled()
            .with_read_timeout(limits.silence)
    }
}

impl RemoteCache {
    /// Takes the configuration of a bucket. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address is none, a setting is unknown or cannot be used, or plain HTTP is not spoken
    /// to where it leads.
    pub fn open_bucket(config: &BucketConfig) -> Result<Self, RemoteError> {
        let address = Address::parse_bucket(&config.remote.url)?;
        check_endpoints(config, &address)?;
        let (scheme, name) = address.parts();
        let options = config.options.expose().as_slice();
        let store = match scheme {
            "gs" => google(name, options, config.client()),
            "az" => azure(name, options, config.client()),
            _ => s3(name, options, config.client()),
        };
        let store = store.map_err(|error| RemoteError::Bucket {
            url: address.shown(),
            // The client's own words could quote a value.
            reason: hide(&error.to_string(), options),
        })?;
        Self::over(store, config)
    }

    /// The same with another client of the bucket, for example one in memory; the settings are used
    /// for nothing but to keep their values out of messages.
    ///
    /// # Errors
    /// When the address is none.
    pub fn over(store: Arc<dyn ObjectStore>, config: &BucketConfig) -> Result<Self, RemoteError> {
        let address = Address::parse_bucket(&config.remote.url)?;
        let backend = Backend::Bucket(Bucket::new(store, config.options.clone()));
        Ok(Self::with_backend(address, backend, &config.remote))
    }
}

type Opened = Result<Arc<dyn ObjectStore>, object_store::Error>;

fn s3(name: &str, options: &[(String, String)], client: ClientOptions) -> Opened {
    let mut builder = AmazonS3Builder::new();
    for (key, value) in keyed::<AmazonS3ConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    // One object is removed at a time, which more services know than a list of them.
    let builder = builder
        .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true")
        .with_bucket_name(name)
        .with_retry(no_retries());
    Ok(Arc::new(builder.with_client_options(client).build()?))
}

fn google(name: &str, options: &[(String, String)], client: ClientOptions) -> Opened {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (key, value) in keyed::<GoogleConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    let builder = builder.with_bucket_name(name).with_retry(no_retries());
    Ok(Arc::new(builder.with_client_options(client).build()?))
}

fn azure(name: &str, options: &[(String, String)], client: ClientOptions) -> Opened {
    let mut builder = MicrosoftAzureBuilder::new();
    for (key, value) in keyed::<AzureConfigKey>(options)? {
        builder = builder.with_config(key, value);
    }
    let builder = builder.with_container_name(name).with_retry(no_retries());
    Ok(Arc::new(builder.with_client_options(client).build()?))
}

fn keyed<K: FromStr<Err = object_store::Error>>(
    options: &[(String, String)],
) -> Result<Vec<(K, String)>, object_store::Error> {
    let keyed = options
        .iter()
        .map(|(key, value)| Ok((key.parse()?, value.clone())));
    keyed.collect()
}

/// The second try is made here, where its time is bounded.
fn no_retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 0,
        ..RetryConfig::default()
    }
}

fn check_endpoints(config: &BucketConfig, address: &Address) -> Result<(), RemoteError> {
    if config.remote.limits.plain_http == PlainHttp::Anywhere {
        return Ok(());
    }
    for (_, value) in config.options.expose() {
        let Ok(url) = Url::parse(value) else {
            continue;
        };
        if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
            let url = address.shown();
            return Err(RemoteError::PlainHttp { url });
        }
    }
    Ok(())
}

/// The text in one line, without the values of settings and without queries, which hold signatures.
pub(super) fn hide(text: &str, options: &[(String, String)]) -> String {
    const MOST: usize = 300;
    let secrets = options.iter().filter(|(key, value)| {
        let is_secret = ["key", "token", "secret", "sas", "password"];
        value.len() > 3 && is_secret.iter().any(|word| key.contains(word))
    });
    let mut text = text.to_owned();
    for (_, value) in secrets {
        text = text.replace(value.as_str(), "****");
    }
    let words = text
        .split_whitespace()
        .map(|word| match word.split_once('?') {
            Some((before, _)) if before.contains("://") => before,
            _ => word,
        });
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.replace(|c: char| c.is_control(), " ");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}..", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str, options: &[(&str, &str)]) -> Result<RemoteCache, RemoteError> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let options: Vec<_> = options.iter().map(own).collect();
        RemoteCache::open_bucket(&BucketConfig::new(url, options.into()))
    }

    #[test]
    fn every_provider_is_opened() {
        for (url, options) in [
            (
                "s3://b/p",
                &[("aws_region", "eu-1"), ("aws_endpoint", "http://[::1]:1")][..],
            ),
            ("gs://b", &[("google_skip_signature", "true")]),
            ("az://c/p/q", &[("azure_storage_account_name", "acc")]),
        ] {
            assert_eq!(open(url, options).unwrap().name(), url);
        }
    }

    #[test]
    fn what_cannot_be_opened_says_why_without_secrets() {
        for (url, options, words) in [
            (
                "s3://b",
                &[("aws_nothing", "hunter2")][..],
                "open the bucket `s3://b`: ",
            ),
            (
                "s3://b",
                &[
                    ("aws_endpoint", "http://storage.lan"),
                    ("aws_token", "hunter2"),
                ],
                "speak plain http to the cache `s3://b`",
            ),
            (
                "az://c",
                &[
                    ("azure_storage_account_name", "a"),
                    ("account_key", "hunter2!"),
                ],
                "open the bucket `az://c`: ",
            ),
            ("az://c", &[], "open the bucket `az://c`: "),
            ("ftp://c", &[], "buckets are s3, gs and az"),
        ] {
            let error = open(url, options).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn messages_are_one_short_line_without_signatures() {
        let options = [
            ("aws_secret_access_key".to_owned(), "hunter2".to_owned()),
            ("aws_region".to_owned(), "eu-1".to_owned()),
        ];
        let text = "GET https://h/x?sig=abc\n failed:  hunter2 in eu-1, what?";
        assert_eq!(
            hide(text, &options),
            "GET https://h/x failed: **** in eu-1, what?"
        );
        assert_eq!(
            hide(&"ä".repeat(400), &[]),
            format!("{}..", "ä".repeat(300))
        );
    }
}
