use super::StorageError;
use acetate_net::Url;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What is behind the directory of a server.
#[derive(Debug, Clone, Default)]
pub enum Backing {
    /// Nothing: the directory holds all objects.
    #[default]
    Nothing,
    /// A bucket: it holds all objects, and the directory copies of some.
    Bucket {
        /// Where it is.
        store: Arc<dyn ObjectStore>,
        /// What the names of all objects begin with.
        prefix: Path,
        /// For so long content that was seen in it is believed to be there.
        known_for: Duration,
    },
}

/// The address of a bucket: `s3://bucket/prefix?endpoint=...`, `gs://bucket/prefix` or
/// `az://container/prefix?account=...`. It holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    provider: Provider,
    bucket: String,
    prefix: Path,
    options: BTreeMap<String, String>,
    known_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    S3,
    Google,
    Azure,
}

impl Provider {
    fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }

    /// What an address may say besides the bucket.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["allow-http", "endpoint", "path-style", "region"],
            Self::Google => &["allow-http", "endpoint"],
            Self::Azure => &["account", "allow-http", "endpoint"],
        }
    }
}

/// How long content is believed to be in a bucket that said so, unless the address says it.
const KNOWN_FOR: Duration = Duration::from_secs(600);

fn setup(reason: impl std::fmt::Display) -> StorageError {
    StorageError::Setup(format!("the address of the bucket {reason}"))
}

impl FromStr for BucketUrl {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| setup(format_args!("is none: {error}")))?;
        let provider = Provider::of(url.scheme())
            .ok_or_else(|| setup("must begin with `s3://`, `gs://` or `az://`"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(setup(
                "holds credentials: give them by the environment, as the tools of the provider do",
            ));
        }
        let bucket = url.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or_else(|| setup("names no bucket"))?.to_owned();
        let prefix = Path::from_url_path(url.path()).map_err(setup)?;
        let mut options = BTreeMap::new();
        let mut known_for = KNOWN_FOR;
        for (name, value) in url.query_pairs() {
            if name == "known-for" {
                let seconds = value.parse();
                let seconds = seconds.map_err(|_| setup("has no seconds in `known-for`"))?;
                known_for = Duration::from_secs(seconds);
            } else if provider.options().contains(&name.as_ref()) {
                options.insert(name.into_owned(), value.into_owned());
            } else {
                let known = provider.options().join("`, `");
                return Err(setup(format_args!(
                    "has the unknown option `{name}`; known are `{known}` and `known-for`"
                )));
            }
        }
        Ok(Self {
            provider,
            bucket,
            prefix,
            options,
            known_for,
        })
    }
}

impl BucketUrl {
    /// Sets up the client; nothing is asked yet. The environment holds the credentials, under the
    /// names that the tools of the provider use.
    ///
    /// # Errors
    /// When they, or an option, cannot be used.
    pub fn open<'a>(
        &self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Backing, StorageError> {
        let store = match self.provider {
            Provider::S3 => self.s3(environment),
            Provider::Google => self.google(environment),
            Provider::Azure => self.azure(environment),
        };
        Ok(Backing::Bucket {
            store: store.map_err(|error| StorageError::Setup(error.to_string()))?,
            prefix: self.prefix.clone(),
            known_for: self.known_for,
        })
    }

    fn s3<'a>(
        &self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut builder = AmazonS3Builder::new();
        for (key, value) in own(environment, "AWS_") {
            builder = builder.with_config(key, value);
        }
        builder = builder
            .with_bucket_name(&self.bucket)
            .with_retry(retries())
            .with_client_options(self.client());
        if let Some(endpoint) = self.options.get("endpoint") {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = self.options.get("region") {
            builder = builder.with_region(region);
        }
        if self.is_set("path-style") {
            builder = builder.with_virtual_hosted_style_request(false);
        }
        Ok(Arc::new(builder.build()?))
    }

    fn google<'a>(
        &self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut builder = GoogleCloudStorageBuilder::new();
        for (key, value) in own(environment, "GOOGLE_") {
            builder = builder.with_config(key, value);
        }
        builder = builder
            .with_bucket_name(&self.bucket)
            .with_retry(retries())
            .with_client_options(self.client());
        if let Some(endpoint) = self.options.get("endpoint") {
            builder = builder.with_base_url(endpoint);
        }
        Ok(Arc::new(builder.build()?))
    }

    fn azure<'a>(
        &self,
        environment: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut builder = MicrosoftAzureBuilder::new();
        for (key, value) in own(environment, "AZURE_") {
            builder = builder.with_config(key, value);
        }
        builder = builder
            .with_container_name(&self.bucket)
            .with_retry(retries())
            .with_client_options(self.client());
        if let Some(account) = self.options.get("account") {
            builder = builder.with_account(account);
        }
        if let Some(endpoint) = self.options.get("endpoint") {
            builder = builder.with_endpoint(endpoint.clone());
        }
        Ok(Arc::new(builder.build()?))
    }

    fn is_set(&self, option: &str) -> bool {
        self.options
            .get(option)
            .is_some_and(|value| value == "true")
    }

    fn client(&self) -> ClientOptions {
        // The time of a whole body depends on its size, so that only silence is bounded; a part that is
        // sent must be there within that time.
        ClientOptions::new()
            .with_allow_http(self.is_set("allow-http"))
            .with_connect_timeout(Duration::from_secs(3))
            .with_timeout_disabled()
            .with_read_timeout(Duration::from_secs(30))
    }
}

/// The variables of a provider that its client knows, by the names of its settings.
fn own<'a, K: FromStr>(
    environment: impl Iterator<Item = (&'a str, &'a str)>,
    prefix: &str,
) -> impl Iterator<Item = (K, &'a str)> {
    let own = environment.filter(move |(name, _)| name.starts_with(prefix));
    own.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

/// Few tries: a client of a cache would rather build than wait.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buckets() {
        let url: BucketUrl =
            "s3://fleet/a/b?endpoint=http://127.0.0.1:7070&region=eu-1&path-style=true\
                              &allow-http=true&known-for=30"
                .parse()
                .unwrap();
        assert_eq!((url.provider, url.bucket.as_str()), (Provider::S3, "fleet"));
        assert_eq!(url.prefix, Path::from("a/b"));
        assert_eq!(url.options["endpoint"], "http://127.0.0.1:7070");
        assert_eq!(url.known_for, Duration::from_secs(30));
        let secrets = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_PROFILE", "nobody knows this one"),
        ];
        let backing = url.open(secrets.into_iter()).unwrap();
        let Backing::Bucket { store, .. } = &backing else {
            panic!("{backing:?}")
        };
        assert_eq!(store.to_string(), "AmazonS3(fleet)");
        for (text, name) in [
            ("gs://fleet", "GoogleCloudStorage(fleet)"),
            (
                "az://fleet/x?account=acme",
                "MicrosoftAzure { account: acme, container: fleet }",
            ),
        ] {
            let backing = text.parse::<BucketUrl>().unwrap().open([].into_iter());
            let Ok(Backing::Bucket { store, .. }) = backing else {
                panic!("{backing:?}")
            };
            assert_eq!(store.to_string(), name);
        }
    }

    #[test]
    fn what_cannot_be_a_bucket_is_refused() {
        for (text, part) in [
            ("fleet", "is none"),
            ("http://fleet", "must begin with"),
            ("s3://id:secret@fleet", "holds credentials"),
            ("s3:///prefix", "names no bucket"),
            (
                "s3://fleet?secret_access_key=secret",
                "unknown option `secret_access_key`",
            ),
            ("gs://fleet?region=eu", "unknown option `region`"),
            ("s3://fleet?known-for=long", "no seconds"),
        ] {
            let error = text.parse::<BucketUrl>().unwrap_err().to_string();
            assert!(
                error.contains(part) && !error.contains("=secret"),
                "{error}"
            );
        }
    }
}
