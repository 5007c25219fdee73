//! Anonymous bearer tokens: asked for once per repository, renewed when refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use acetate_net::{NetClient, Request, Url};
use acetate_stdx::{OnceMap, Redacted};
use serde::Deserialize;

use super::Challenge;
use crate::ImageError;

/// Largest answer of a token server that is read, in bytes.
const TOKEN_LIMIT: u64 = 1 << 20;

/// Domain and path.
pub(crate) type Repository = (String, String);

/// A token and how many came before it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    generation: u32,
    header: Redacted<String>,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Redacted<String> {
        self.header.clone()
    }
}

/// The tokens of one process.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    current: Mutex<BTreeMap<Repository, Token>>,
    renewals: OnceMap<(Repository, u32), Token>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Tokens {
    /// The token to begin with.
    pub(crate) fn current(&self, repository: &Repository) -> Option<Token> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get(repository).cloned()
    }

    /// The token after `refused`; requests refused together share one renewal.
    pub(crate) async fn renew(
        &self,
        net: &NetClient,
        repository: &Repository,
        refused: Option<Token>,
        challenge: &Challenge,
    ) -> Result<Token, ImageError> {
        let generation = refused.map_or(1, |token| token.generation.saturating_add(1));
        let key = (repository.clone(), generation);
        let work = || async {
            let header = ask(net, challenge).await?;
            Ok::<_, ImageError>(Token { generation, header })
        };
        let token = self.renewals.get_or_try_init(&key, work).await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = current
            .entry(repository.clone())
            .or_insert_with(|| token.clone());
        if newest.generation < token.generation {
            *newest = token.clone();
        }
        Ok(token)
    }
}

async fn ask(net: &NetClient, challenge: &Challenge) -> Result<Redacted<String>, ImageError> {
    let mut request = Request::get(&challenge.realm)?;
    request.edit_url(|url| extend(url, challenge));
    let what = format!("a token from `{}`", acetate_net::shown(request.url()));
    let fetched = net.fetch(&request, TOKEN_LIMIT).await?;
    if fetched.status != 200 {
        return Err(ImageError::Denied {
            image: challenge
                .scope
                .clone()
                .unwrap_or_else(|| challenge.realm.clone()),
            reason: format!("{what} was refused with status {}", fetched.status),
        });
    }
    let answer: Answer = serde_json::from_slice(&fetched.body)
        // The error's text could quote the token.
        .map_err(|_| ImageError::corrupt(&what, "the answer is no token"))?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| is_token(token));
    let token = token.ok_or_else(|| ImageError::corrupt(&what, "the answer holds no token"))?;
    Ok(Redacted::new(format!("Bearer {token}")))
}

fn extend(url: &mut Url, challenge: &Challenge) {
    if challenge.service.is_none() && challenge.scope.is_none() {
        return;
    }
    let mut query = url.query_pairs_mut();
    for (key, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
