//! Bearer tokens: asked for once, used until they end, renewed when refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use acetate_net::{Fetched, Method, NetClient, Request, Url, shown};
use acetate_stdx::{OnceMap, Redacted};
use serde::Deserialize;

use super::scope::Scopes;
use crate::{Credential, RegistryError};

/// Largest answer of a token server that is read, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;
/// Longest token that is taken; servers refuse longer headers.
const TOKEN_LIMIT: usize = 64 << 10;
/// How long a token lasts whose server does not say, by the token specification.
const DEFAULT_SECS: i64 = 60;
/// Who we are to token servers that want to know.
const CLIENT_ID: &str = "acetate";

/// What a token is for. The registry is part of it, since other ones have other credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenKey {
    pub(crate) domain: String,
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scopes: Scopes,
}

/// A token and how many came before it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    generation: u32,
    /// The value of the `Authorization` header.
    pub(crate) header: Redacted<String>,
    /// When it is no longer used, in seconds since 1970.
    ends: i64,
}

/// The tokens of one process.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    current: Mutex<BTreeMap<TokenKey, Token>>,
    renewals: OnceMap<(TokenKey, u32), Token>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
}

impl Tokens {
    /// The newest token, though it may have ended.
    pub(crate) fn newest(&self, key: &TokenKey) -> Option<Token> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get(key).cloned()
    }

    /// The token after `old`; those who want the same renewal share one.
    pub(crate) async fn renew(
        &self,
        net: &NetClient,
        key: &TokenKey,
        old: Option<Token>,
        credential: Option<&Credential>,
        now: i64,
    ) -> Result<Token, RegistryError> {
        let generation = old.map_or(1, |token| token.generation.saturating_add(1));
        let work = || async {
            let (header, secs) = ask(net, key, credential).await?;
            // What travels for long may end on its way.
            let ends = now.saturating_add(secs).saturating_sub((secs / 4).min(30));
            Ok::<_, RegistryError>(Token {
                generation,
                header,
                ends,
            })
        };
        let renewals = &self.renewals;
        let token = renewals
            .get_or_try_init(&(key.clone(), generation), work)
            .await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = current.entry(key.clone()).or_insert_with(|| token.clone());
        if newest.generation < token.generation {
            *newest = token.clone();
        }
        Ok(token)
    }
}

impl Token {
    pub(crate) fn is_fresh(&self, now: i64) -> bool {
        now < self.ends
    }
}

async fn ask(
    net: &NetClient,
    key: &TokenKey,
    credential: Option<&Credential>,
) -> Result<(Redacted<String>, i64), RegistryError> {
    let request = match credential {
        Some(Credential::Identity(token)) => by_identity(key, token)?,
        other => by_password(key, other)?,
    };
    let fetched = net.fetch(&request, ANSWER_LIMIT).await?;
    read(&fetched, &request)
}

/// A GET, with the password if there is one.
fn by_password(key: &TokenKey, credential: Option<&Credential>) -> Result<Request, RegistryError> {
    let mut request = Request::get(&key.realm)?;
    request.edit_url(|url| {
        let scopes = key.scopes.texts().map(|scope| ("scope", scope));
        let service = key.service.clone().map(|service| ("service", service));
        let account = match credential {
            Some(Credential::Password { user, .. }) => Some(("account", user.clone())),
            _ => None,
        };
        append(url, service.into_iter().chain(scopes).chain(account));
    });
    Ok(request.authorization(credential.and_then(Credential::basic)))
}

/// A POST of a form, as in OAuth 2 (RFC 6749, section 6).
fn by_identity(key: &TokenKey, token: &Redacted<String>) -> Result<Request, RegistryError> {
    let url = Request::get(&key.realm)?.url().clone();
    let scopes: Vec<String> = key.scopes.texts().collect();
    // The query of an address is encoded as a form is.
    let mut form = url.clone();
    form.set_query(None);
    let fields = [
        ("grant_type", "refresh_token".to_owned()),
        ("service", key.service.clone().unwrap_or_default()),
        ("client_id", CLIENT_ID.to_owned()),
        ("scope", scopes.join(" ")),
        ("refresh_token", token.expose().clone()),
    ];
    append(&mut form, fields.into_iter());
    let body = form.query().unwrap_or_default().as_bytes().to_vec();
    Ok(Request::new(Method::Post, url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body))
}

fn append(url: &mut Url, pairs: impl Iterator<Item = (&'static str, String)>) {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_none() {
        return;
    }
    let mut query = url.query_pairs_mut();
    for (key, value) in pairs {
        query.append_pair(key, &value);
    }
}

fn read(fetched: &Fetched, request: &Request) -> Result<(Redacted<String>, i64), RegistryError> {
    let what = format!("a token from `{}`", shown(request.url()));
    if fetched.status != 200 {
        return Err(RegistryError::Refused {
            what: format!("get {what}"),
            status: fetched.status,
            // Its words could repeat what was sent.
            reason: String::new(),
        });
    }
    let answer: Answer = serde_json::from_slice(&fetched.body)
        // The error's text could quote the token.
        .map_err(|_| RegistryError::corrupt(&what, "the answer is no token"))?;
    let token = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)
        .filter(|token| is_token(token));
    let token = token.ok_or_else(|| RegistryError::corrupt(&what, "the answer holds no token"))?;
    let secs = answer.expires_in.filter(|secs| *secs > 0);
    let header = Redacted::new(format!("Bearer {token}"));
    Ok((header, secs.unwrap_or(DEFAULT_SECS)))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOKEN_LIMIT && text.bytes().all(|b| b.is_ascii_graphic())
}
