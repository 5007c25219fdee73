//! Reads manifests and indexes, or only what they are.

use acetate_net::{Fetched, Method, NetError, Response};
use acetate_oci::{Descriptor, Digest, MediaType};

use crate::registries::{Registries, Site, Tries};
use crate::{Name, RegistryError, Repository};

/// The largest manifest or index that is read, in bytes, as in registries.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// The document that a tag or digest stands for.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its bytes, verified when a digest was asked for.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// The type that the registry names, if it does.
    pub media_type: Option<MediaType>,
}

impl Registries {
    /// Reads a manifest or index; mirrors are asked first.
    ///
    /// # Errors
    /// When there is none, or it does not have the digest asked for or announced.
    pub async fn manifest(
        &self,
        repository: &Repository,
        name: &Name,
    ) -> Result<Served, RegistryError> {
        let sites = self.readable(repository).await?;
        let (last, mirrors) = sites
            .split_last()
            .expect("a registry is its own last mirror");
        for site in mirrors {
            match self.manifest_at(site, name, Tries::Once).await {
                Err(error) if error.blames_mirror() => self.rest(&site.endpoint.host, &error),
                result => return result,
            }
        }
        self.manifest_at(last, name, Tries::Many).await
    }

    pub(crate) async fn manifest_at(
        &self,
        site: &Site,
        name: &Name,
        tries: Tries,
    ) -> Result<Served, RegistryError> {
        let what = what(site, name);
        let mut n_cut = 0;
        let fetched = loop {
            match self.manifest_once(site, name, tries, &what).await {
                Err(RegistryError::Net(error @ NetError::Interrupted { .. })) => {
                    n_cut += 1;
                    if tries == Tries::Once || n_cut > self.net.limits().n_retries {
                        return Err(error.into());
                    }
                    self.net.pause(n_cut).await;
                }
                result => break result?,
            }
        };
        let digest = Digest::of(&fetched.body);
        let expected = match name {
            Name::Digest(digest) => Some(*digest),
            Name::Tag(_) => announced(&fetched.headers),
        };
        if expected.is_some_and(|expected| expected != digest) {
            let reason = format!("its bytes have the digest `{digest}`, not the promised one");
            return Err(RegistryError::corrupt(what, reason));
        }
        if is_page(&fetched.body) {
            let reason = "it is a web page, as of a login or of a proxy, and no manifest";
            return Err(RegistryError::corrupt(what, reason));
        }
        Ok(Served {
            digest,
            media_type: media_type(&fetched.headers),
            bytes: fetched.body,
        })
    }

    async fn manifest_once(
        &self,
        site: &Site,
        name: &Name,
        tries: Tries,
        what: &str,
    ) -> Result<Fetched, RegistryError> {
        let request = site.request(Method::Get, &format!("manifests/{name}"))?;
        let request = request.header("accept", accepted());
        let response = self.send(site, &request, tries).await?;
        if response.status() == 200 {
            return match response.fetch(MANIFEST_LIMIT).await {
                Err(NetError::TooLarge { limit, .. }) => Err(RegistryError::corrupt(
                    what,
                    format!("it is larger than the limit of {limit} bytes"),
                )),
                fetched => Ok(fetched?),
            };
        }
        Err(self.refusal(site, response, "read", what).await)
    }

    /// Says what a manifest is without reading it, where the registry tells; none when there is
    /// none. Only the registry itself is asked.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn describe(
        &self,
        repository: &Repository,
        name: &Name,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let site = self.origin(repository, crate::auth::Intent::Pull).await?;
        self.describe_at(&site, name).await
    }

    pub(crate) async fn describe_at(
        &self,
        site: &Site,
        name: &Name,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let request = site.request(Method::Head, &format!("manifests/{name}"))?;
        let request = request.header("accept", accepted());
        let response = self.send(site, &request, Tries::Many).await?;
        match response.status() {
            200 => {}
            404 => return Ok(None),
            // Some registries do not speak HEAD here.
            400 | 405 | 501 => return self.described_by_reading(site, name).await,
            _ => {
                return Err(self
                    .refusal(site, response, "look at", &what(site, name))
                    .await);
            }
        }
        let parts = described(&response);
        match (parts, name) {
            (Some(found), Name::Digest(wanted)) if found.digest != *wanted => {
                let reason = format!(
                    "the registry says that it has the digest `{}`",
                    found.digest
                );
                Err(RegistryError::corrupt(what(site, name), reason))
            }
            (Some(found), _) => Ok(Some(found)),
            (None, _) => self.described_by_reading(site, name).await,
        }
    }

    async fn described_by_reading(
        &self,
        site: &Site,
        name: &Name,
    ) -> Result<Option<Descriptor>, RegistryError> {
        match self.manifest_at(site, name, Tries::Many).await {
            Ok(served) => {
                let media_type = served.media_type.unwrap_or(MediaType::OCI_MANIFEST);
                Ok(Some(Descriptor::of(media_type, &served.bytes)))
            }
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// True for HTML, which networks that want a login answer to everything.
fn is_page(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"<")
}

fn what(site: &Site, name: &Name) -> String {
    format!("the manifest `{name}` of `{}`", site.repository)
}

/// All that the head of an answer has to say for a descriptor.
fn described(response: &Response) -> Option<Descriptor> {
    let headers = response.headers();
    let digest = announced(headers)?;
    Some(Descriptor::new(
        media_type(headers)?,
        digest,
        response.announced()?,
    ))
}

fn announced(headers: &acetate_net::Headers) -> Option<Digest> {
    // An algorithm that we do not know cannot be checked, and need not be.
    headers.get("docker-content-digest")?.trim().parse().ok()
}

fn media_type(headers: &acetate_net::Headers) -> Option<MediaType> {
    let text = headers.get("content-type")?;
    let text = text.split(';').next()?.trim();
    (!text.is_empty()).then(|| MediaType::new(text))
}

/// The `Accept` header of all that is read.
fn accepted() -> String {
    let kinds = [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
    ];
    kinds.map(|kind| kind.to_string()).join(", ")
}
