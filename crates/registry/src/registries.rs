//! Speaks to all registries of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use acetate_net::{HostTrust, Method, NetClient, Request, Response, Url};
use acetate_oci::Digest;
use acetate_stdx::{OnceMap, blocking};
use tokio::sync::Semaphore;

use crate::auth::{Asked, Auth, Intent, Scopes};
use crate::endpoint::Endpoint;
use crate::push::Pushed;
use crate::settings::Manner;
use crate::{Access, RegistryError, Repository};

/// How long a mirror that fails is not asked, in seconds.
const REST_SECS: i64 = 60;

/// All registries, as seen by one process; to be shared.
#[derive(Debug)]
pub struct Registries {
    pub(crate) net: NetClient,
    pub(crate) access: Access,
    pub(crate) auth: Auth,
    hosts: OnceMap<String, Arc<Host>>,
    /// Until when a mirror is passed over.
    resting: Mutex<BTreeMap<String, i64>>,
    pub(crate) uploads: Semaphore,
    pub(crate) sending: OnceMap<(Repository, Digest), Pushed>,
    pub(crate) fallbacks: tokio::sync::Mutex<()>,
}

/// How little is asked of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insecure {
    /// Its certificate may prove nothing.
    AnyCertificate,
    /// It speaks without TLS.
    PlainHttp,
}

/// A host, how it is spoken to, and what it asked for.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) scheme: &'static str,
    pub(crate) net: NetClient,
    pub(crate) asked: Asked,
}

/// A repository on the host that is asked, and what is to be done there.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) host: Arc<Host>,
    pub(crate) endpoint: Endpoint,
    /// Under which name its credentials are kept.
    pub(crate) repository: Repository,
    pub(crate) intent: Intent,
    pub(crate) scopes: Scopes,
}

/// How often a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
    /// Until it is answered, within the limits.
    Many,
    /// Once: the caller looks before it tries again.
    Once,
}

impl Site {
    /// What is done here, for an error.
    pub(crate) fn purpose(&self) -> String {
        let verb = match self.intent {
            Intent::Pull => "pull from",
            Intent::Push => "push to",
            Intent::Delete => "delete from",
        };
        format!("{verb} `{}`", self.repository)
    }

    /// A request below the repository.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<Request, RegistryError> {
        Ok(self.endpoint.request(method, self.host.scheme, path)?)
    }
}

impl Registries {
    /// All registries, over `net`, let in as `access` says; nothing is read before it is needed.
    pub fn new(net: NetClient, access: Access) -> Self {
        let uploads = Semaphore::new(access.n_uploads.clamp(1, 64));
        Self {
            net,
            access,
            auth: Auth::default(),
            hosts: OnceMap::new(),
            resting: Mutex::default(),
            uploads,
            sending: OnceMap::new(),
            fallbacks: tokio::sync::Mutex::default(),
        }
    }

    /// The same, but for one registry whose certificate is not looked at, or that has none.
    #[must_use]
    pub fn trusting(&self, registry: &Repository, how: Insecure) -> Self {
        let mut access = self.access.clone();
        let settings = &mut access.settings.registries;
        let settings = settings.entry(registry.domain().to_owned()).or_default();
        match how {
            Insecure::AnyCertificate => settings.insecure = true,
            Insecure::PlainHttp => settings.http = Some(true),
        }
        Self::new(self.net.clone(), access)
    }

    /// Does not ask this mirror again: what it gave was wrong.
    pub fn distrust(&self, mirror: &str) {
        tracing::warn!(mirror, "the mirror gave wrong bytes and is not asked again");
        self.rest_until(mirror, i64::MAX);
    }

    pub(crate) fn now(&self) -> i64 {
        self.access.clock.now().0
    }

    /// The site of the registry itself.
    pub(crate) async fn origin(
        &self,
        repository: &Repository,
        intent: Intent,
    ) -> Result<Site, RegistryError> {
        self.site(Endpoint::origin(repository), repository, intent)
            .await
    }

    /// All sites that may be asked, in order; mirrors that failed lately are left out.
    pub(crate) async fn readable(
        &self,
        repository: &Repository,
    ) -> Result<Vec<Site>, RegistryError> {
        let mut sites = Vec::new();
        for endpoint in Endpoint::all(repository, &self.access.settings) {
            if endpoint.mirrors.is_none() {
                sites.push(self.site(endpoint, repository, Intent::Pull).await?);
            } else if !self.is_resting(&endpoint.host) {
                let there = Repository::at(&endpoint.host, &endpoint.path);
                sites.push(self.site(endpoint, &there, Intent::Pull).await?);
            }
        }
        Ok(sites)
    }

    pub(crate) async fn site(
        &self,
        endpoint: Endpoint,
        repository: &Repository,
        intent: Intent,
    ) -> Result<Site, RegistryError> {
        let host = if endpoint.is_plain {
            self.plain_host(&endpoint.host).await
        } else {
            self.host(&endpoint.host).await?
        };
        Ok(Site {
            scopes: Scopes::of(&endpoint.path, intent),
            host,
            repository: repository.clone(),
            endpoint,
            intent,
        })
    }

    /// A host, as settings and certificates say; these are read once.
    pub(crate) async fn host(&self, name: &str) -> Result<Arc<Host>, RegistryError> {
        let make = || async {
            let (settings, own) = (self.access.settings.clone(), name.to_owned());
            let directories = self.access.certificates.clone();
            let manner = blocking(move || Manner::read(&settings, &directories, &own)).await?;
            let net = match manner.trust {
                Some(trust) => self.net.trusting(trust),
                None => self.net.clone(),
            };
            Ok::<_, RegistryError>(Arc::new(Host {
                scheme: manner.scheme,
                net,
                asked: Asked::default(),
            }))
        };
        self.hosts.get_or_try_init(&name.to_owned(), make).await
    }

    /// A host that the settings of another one want to be spoken to by plain HTTP.
    async fn plain_host(&self, name: &str) -> Arc<Host> {
        let make = || async {
            let trust = HostTrust {
                host: name.to_owned(),
                is_plain_allowed: true,
                ..HostTrust::default()
            };
            Arc::new(Host {
                scheme: "http",
                net: self.net.trusting(trust),
                asked: Asked::default(),
            })
        };
        self.hosts
            .get_or_init(&format!("http://{name}"), make)
            .await
    }

    /// Sends a request, and is let in when the host asks for it.
    pub(crate) async fn send(
        &self,
        site: &Site,
        request: &Request,
        tries: Tries,
    ) -> Result<Response, RegistryError> {
        // Everything here waits for it, so that its size would be everybody's.
        Box::pin(self.let_in(site, request, tries)).await
    }

    async fn let_in(
        &self,
        site: &Site,
        request: &Request,
        tries: Tries,
    ) -> Result<Response, RegistryError> {
        let mut ticket = self.ticket(site).await?;
        for last in [false, true] {
            let request = request.clone().authorization(ticket.header());
            let response = match tries {
                Tries::Many => site.host.net.send(&request).await?,
                Tries::Once => site.host.net.attempt(&request).await?,
            };
            // Another host that a redirect led to has no right to ask for anything.
            let is_own = response.url().origin() == request.url().origin();
            if response.status() != 401 || last || !is_own {
                return Ok(response);
            }
            match self.answer(site, &response, ticket).await? {
                Some(next) => ticket = next,
                None => return Ok(response),
            }
        }
        unreachable!("the second round returns")
    }

    /// Does not ask a mirror for a while.
    pub(crate) fn rest(&self, mirror: &str, error: &RegistryError) {
        tracing::warn!(mirror, %error, "the mirror is passed over");
        // One that merely lacks something is asked for the next thing.
        if !matches!(error, RegistryError::NotFound { .. }) {
            self.rest_until(mirror, self.now().saturating_add(REST_SECS));
        }
    }

    fn rest_until(&self, mirror: &str, until: i64) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = resting.entry(mirror.to_owned()).or_insert(until);
        *known = until.max(*known);
    }

    fn is_resting(&self, mirror: &str) -> bool {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.get(mirror).is_some_and(|until| self.now() < *until)
    }
}

/// Host and port of an address, as in the settings.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
