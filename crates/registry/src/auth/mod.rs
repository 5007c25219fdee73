//! Being let in: challenges, scopes, tokens, and who answers what.

mod challenge;
mod scope;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use acetate_net::{Response, Url};
use acetate_stdx::{OnceMap, Redacted};

use self::challenge::{Bearer, Challenge};
pub(crate) use self::scope::{Intent, Scopes};
use self::tokens::{Token, TokenKey, Tokens};
use crate::registries::{Registries, Site};
use crate::{Credential, RegistryError, Repository};

/// What all registries of a process were answered.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    tokens: Tokens,
    credentials: OnceMap<Repository, Option<Credential>>,
}

/// What a host has asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    scheme: Option<Scheme>,
    /// For scopes that we asked for, what the host then wanted.
    wanted: BTreeMap<Scopes, Scopes>,
}

#[derive(Clone, Debug)]
enum Scheme {
    Basic,
    Bearer(Bearer),
}

/// What was sent to be let in.
#[derive(Clone, Debug)]
pub(crate) enum Ticket {
    /// Nothing.
    None,
    /// Name and password, or a token that the user has.
    Fixed(Redacted<String>),
    /// A token of a token server.
    Token(Token),
}

impl Ticket {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<Redacted<String>> {
        match self {
            Self::None => None,
            Self::Fixed(header) => Some(header.clone()),
            Self::Token(token) => Some(token.header.clone()),
        }
    }
}

impl Registries {
    /// What to send with a first request, from what the host asked for before.
    pub(crate) async fn ticket(&self, site: &Site) -> Result<Ticket, RegistryError> {
        let (scheme, scopes) = {
            let state = site
                .host
                .asked
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let scopes = state.wanted.get(&site.scopes).unwrap_or(&site.scopes);
            (state.scheme.clone(), scopes.clone())
        };
        match scheme {
            None => Ok(Ticket::None),
            Some(Scheme::Basic) => Ok(self.fixed(site).await?.unwrap_or(Ticket::None)),
            Some(Scheme::Bearer(bearer)) => {
                let key = token_key(site, &bearer, scopes);
                match self.auth.tokens.newest(&key) {
                    Some(token) if token.is_fresh(self.now()) => Ok(Ticket::Token(token)),
                    old => self.token(site, &key, old).await,
                }
            }
        }
    }

    /// What to send after a refusal; none when there is nothing else to send.
    pub(crate) async fn answer(
        &self,
        site: &Site,
        refusal: &Response,
        refused: Ticket,
    ) -> Result<Option<Ticket>, RegistryError> {
        let challenges = refusal.headers().all("www-authenticate");
        match Challenge::best(challenges) {
            None => Ok(None),
            Some(Challenge::Basic) => {
                site.host.asked.set(Scheme::Basic);
                // The same password would be refused again.
                Ok(match refused {
                    Ticket::Fixed(_) => None,
                    Ticket::None | Ticket::Token(_) => self.fixed(site).await?,
                })
            }
            Some(Challenge::Bearer(bearer)) => {
                let scopes = site.host.asked.set_bearer(site, &bearer);
                let key = token_key(site, &bearer, scopes);
                let old = match refused {
                    Ticket::Token(token) => Some(token),
                    // Somebody else may have got one meanwhile.
                    Ticket::None => match self.auth.tokens.newest(&key) {
                        Some(token) if token.is_fresh(self.now()) => {
                            return Ok(Some(Ticket::Token(token)));
                        }
                        old => old,
                    },
                    Ticket::Fixed(_) => return Ok(None),
                };
                self.token(site, &key, old).await.map(Some)
            }
        }
    }

    /// The credential for a repository of a host, asked for once.
    pub(crate) async fn credential(
        &self,
        site: &Site,
    ) -> Result<Option<Credential>, RegistryError> {
        let find = || crate::credentials::find(&self.access, &site.repository);
        let known = &self.auth.credentials;
        known.get_or_try_init(&site.repository, find).await
    }

    async fn fixed(&self, site: &Site) -> Result<Option<Ticket>, RegistryError> {
        let credential = self.credential(site).await?;
        Ok(credential
            .and_then(|credential| credential.basic())
            .map(Ticket::Fixed))
    }

    async fn token(
        &self,
        site: &Site,
        key: &TokenKey,
        old: Option<Token>,
    ) -> Result<Ticket, RegistryError> {
        let credential = self.credential(site).await?;
        if let Some(Credential::Bearer(token)) = &credential {
            let header = format!("Bearer {}", token.expose());
            return Ok(Ticket::Fixed(Redacted::new(header)));
        }
        let host = self.host(&authority(&key.realm)).await?;
        let tokens = &self.auth.tokens;
        let renewed = tokens.renew(&host.net, key, old, credential.as_ref(), self.now());
        match renewed.await {
            Err(RegistryError::Refused { what, status, .. }) if matches!(status, 400..=403) => {
                Err(RegistryError::Denied {
                    what: site.purpose(),
                    reason: format!("{what} was refused with status {status}"),
                    hint: hint(site.repository.domain(), credential.is_some()),
                })
            }
            Ok(token) => Ok(Ticket::Token(token)),
            Err(error) => Err(RegistryError::Token {
                what: site.purpose(),
                source: Box::new(error),
            }),
        }
    }
}

impl Asked {
    fn set(&self, scheme: Scheme) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.scheme = Some(scheme);
    }

    /// Notes a token server, and gives the scopes to ask it for.
    fn set_bearer(&self, site: &Site, bearer: &Bearer) -> Scopes {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.scheme = Some(Scheme::Bearer(bearer.clone()));
        let wanted = state.wanted.entry(site.scopes.clone());
        let wanted = wanted.or_insert_with(|| site.scopes.clone());
        if let Some(scope) = &bearer.scope {
            wanted.add(scope);
        }
        wanted.clone()
    }
}

/// What to do about a refusal.
pub(crate) fn hint(domain: &str, had_credential: bool) -> String {
    let login = if domain == crate::endpoint::DOCKER_DOMAIN {
        "docker login".to_owned()
    } else {
        format!("docker login {domain}")
    };
    if had_credential {
        format!("the stored login may not do this, or is out of date: log in again with `{login}`")
    } else {
        format!("log in with `{login}`, if there is such a repository")
    }
}

fn token_key(site: &Site, bearer: &Bearer, scopes: Scopes) -> TokenKey {
    TokenKey {
        domain: site.repository.domain().to_owned(),
        realm: bearer.realm.clone(),
        service: bearer.service.clone(),
        scopes,
    }
}

/// Host and port of an address; empty when it is none, which the request then says.
fn authority(address: &str) -> String {
    Url::parse(address).map_or_else(|_| String::new(), |url| crate::registries::host_of(&url))
}
