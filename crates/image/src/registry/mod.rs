//! Reads from registries by the OCI distribution specification, anonymously.

mod challenge;
mod download;
mod tokens;

use acetate_net::{Fetched, NetClient, Request, Response, is_loopback};
use acetate_oci::{Digest, MediaType, Reference};

use self::challenge::Challenge;
pub(crate) use self::download::Piece;
use self::tokens::Tokens;
use crate::ImageError;
use crate::document::MANIFEST_LIMIT;

/// The domain of names without one, and the host that serves it.
const DOCKER_DOMAIN: &str = "docker.io";
const DOCKER_HOST: &str = "registry-1.docker.io";

/// Longest text of a registry's error that is read, in bytes.
const REASON_LIMIT: u64 = 64 << 10;

/// All registries, as seen by one process.
#[derive(Debug)]
pub(crate) struct Registries {
    net: NetClient,
    tokens: Tokens,
}

/// The document that a tag or digest stands for.
#[derive(Debug)]
pub(crate) struct Served {
    /// Its bytes, verified when a digest was asked for.
    pub(crate) bytes: Vec<u8>,
    /// Their digest.
    pub(crate) digest: Digest,
}

impl Registries {
    pub(crate) fn new(net: NetClient) -> Self {
        Self {
            net,
            tokens: Tokens::default(),
        }
    }

    /// Reads a manifest or index by digest, else by tag.
    ///
    /// Its size is limited; a digest asked for, or announced by the registry, must match.
    pub(crate) async fn manifest(
        &self,
        image: &Reference,
        digest: Option<Digest>,
    ) -> Result<Served, ImageError> {
        let name = match digest {
            Some(digest) => digest.to_string(),
            None => image.tag().unwrap_or("latest").to_owned(),
        };
        let request = request(image, &format!("manifests/{name}"))?.header("accept", accepted());
        let response = self.send(image, &request).await?;
        let what = format!("the manifest `{name}` of `{image}`");
        let fetched = accept(response, &what, image).await?;
        let found = Digest::of(&fetched.body);
        let announced = fetched.headers.get("docker-content-digest");
        let expected = match digest {
            Some(digest) => Some(digest),
            // An algorithm that we do not know cannot be checked, and need not be.
            None => announced.and_then(|text| text.parse::<Digest>().ok()),
        };
        if expected.is_some_and(|expected| expected != found) {
            return Err(ImageError::corrupt(
                what,
                format!("its bytes have the digest `{found}`, not the promised one"),
            ));
        }
        Ok(Served {
            bytes: fetched.body,
            digest: found,
        })
    }

    /// Sends a request, getting a token when the registry asks for one.
    async fn send(&self, image: &Reference, request: &Request) -> Result<Response, ImageError> {
        let repository = (image.domain().to_owned(), image.path().to_owned());
        let mut token = self.tokens.current(&repository);
        for last in [false, true] {
            let bearer = token.as_ref().map(tokens::Token::header);
            let response = self
                .net
                .send(&request.clone().authorization(bearer))
                .await?;
            if response.status() != 401 || last {
                return Ok(response);
            }
            let challenge = response
                .headers()
                .all("www-authenticate")
                .find_map(Challenge::parse)
                .ok_or_else(|| ImageError::Denied {
                    image: image.to_string(),
                    reason: "the registry wants a login".to_owned(),
                })?;
            token = Some(
                self.tokens
                    .renew(&self.net, &repository, token, &challenge)
                    .await?,
            );
        }
        unreachable!("the second round returns")
    }
}

/// A GET below the repository of an image.
fn request(image: &Reference, path: &str) -> Result<Request, ImageError> {
    let domain = image.domain();
    let host = if domain == DOCKER_DOMAIN {
        DOCKER_HOST
    } else {
        domain
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let scheme = if is_loopback(name) { "http" } else { "https" };
    Ok(Request::get(&format!(
        "{scheme}://{host}/v2/{}/{path}",
        image.path()
    ))?)
}

fn accepted() -> String {
    let kinds = [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
    ];
    kinds.map(|kind| kind.to_string()).join(", ")
}

/// Reads the body of a good answer, or turns a bad one into an error.
async fn accept(response: Response, what: &str, image: &Reference) -> Result<Fetched, ImageError> {
    if response.status() == 200 {
        return Ok(response.fetch(MANIFEST_LIMIT).await?);
    }
    Err(refusal(response, what, image).await)
}

/// The error behind a status that is no success.
async fn refusal(response: Response, what: &str, image: &Reference) -> ImageError {
    let status = response.status();
    let body = match response.fetch(REASON_LIMIT).await {
        Ok(fetched) => fetched.body,
        Err(error) => {
            tracing::debug!(%error, status, "the registry's reason could not be read");
            Vec::new()
        }
    };
    let words = registry_words(&body);
    match status {
        404 => ImageError::NotFound {
            what: what.to_owned(),
        },
        401 | 403 => ImageError::Denied {
            image: image.to_string(),
            reason: words.unwrap_or_else(|| format!("the registry answered {status}")),
        },
        status => ImageError::Registry {
            what: what.to_owned(),
            status,
            reason: words.map(|words| format!(": {words}")).unwrap_or_default(),
        },
    }
}

/// The first message of `{"errors":[{"code":...,"message":...}]}`, on one line.
fn registry_words(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = value.get("errors")?.get(0)?;
    let text = error
        .get("message")
        .or_else(|| error.get("code"))?
        .as_str()?;
    let line: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(image: &str) -> String {
        request(&image.parse().unwrap(), "manifests/x")
            .unwrap()
            .url()
            .to_string()
    }

    #[test]
    fn hosts_and_schemes() {
        for (image, prefix) in [
            (
                "busybox",
                "https://registry-1.docker.io/v2/library/busybox/",
            ),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000/v2/a/b/"),
            ("localhost:5000/a", "http://localhost:5000/v2/a/"),
            ("localhost/a", "http://localhost/v2/a/"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/"),
            ("r.example/a", "https://r.example/v2/a/"),
            ("10.0.0.1:80/a", "https://10.0.0.1:80/v2/a/"),
        ] {
            assert_eq!(address(image), format!("{prefix}manifests/x"));
        }
    }

    #[test]
    fn the_registrys_words_fit_on_a_line() {
        let body = br#"{"errors":[{"code":"X","message":"no\nway"}]}"#;
        assert_eq!(registry_words(body).as_deref(), Some("noway"));
        assert_eq!(
            registry_words(br#"{"errors":[{"code":"X"}]}"#).as_deref(),
            Some("X")
        );
        assert_eq!(registry_words(b"<html>"), None);
    }
}
