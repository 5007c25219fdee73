use super::{Grant, Scope, Token, TokenHash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// What requests are allowed.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Everybody everything; only where nobody else can connect.
    Open,
    /// Those who bring a token what its scopes say, others what `anonymous` says.
    Tokens {
        /// The tokens.
        tokens: Vec<Token>,
        /// For requests without a token.
        anonymous: Vec<Scope>,
    },
}

/// A policy as requests are compared with it: nothing is copied for one of them.
#[derive(Debug)]
pub(super) enum Book {
    Open,
    Tokens {
        tokens: Vec<(TokenHash, Arc<Grant>)>,
        anonymous: Arc<[Scope]>,
    },
}

impl Book {
    pub(super) fn of(policy: &Policy) -> Self {
        let Policy::Tokens { tokens, anonymous } = policy else {
            return Self::Open;
        };
        let grant = |token: &Token| {
            let (name, scopes) = (token.name.clone(), token.scopes.clone());
            (token.hash, Arc::new(Grant { name, scopes }))
        };
        Self::Tokens {
            tokens: tokens.iter().map(grant).collect(),
            anonymous: anonymous.as_slice().into(),
        }
    }

    /// What everybody may do.
    pub(super) fn anonymous(&self) -> Arc<[Scope]> {
        match self {
            Self::Open => Arc::default(),
            Self::Tokens { anonymous, .. } => Arc::clone(anonymous),
        }
    }

    /// What the token with this secret allows.
    pub(super) fn grant(&self, secret: &str) -> Option<Arc<Grant>> {
        let Self::Tokens { tokens, .. } = self else {
            return None;
        };
        let hash = TokenHash::of(secret);
        // All are compared, and each in constant time: nothing is learnt from how long it takes.
        let mut found = None;
        for (known, grant) in tokens {
            if known.is(&hash) {
                found = Some(grant);
            }
        }
        found.map(Arc::clone)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// The secret of `Bearer SECRET`, and the password of `Basic`, which is all that some clients can send
/// (RFC 6750, RFC 7617).
pub(super) fn secret(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    decoded
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}
