//! Who may do what.

mod scope;
mod token;

pub use scope::{Access, Scope, ScopeError};
pub use token::{Token, TokenHash};

use acetate_cache_api::Namespace;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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

/// Whether a request is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Allowed,
    /// It brought no token, or an unknown one.
    Unknown,
    /// Its token does not say so.
    Forbidden,
}

impl Policy {
    /// Decides about one request. `authorization` is the header as it came.
    pub fn decide(
        &self,
        authorization: Option<&str>,
        namespace: &Namespace,
        access: Access,
    ) -> Verdict {
        let Self::Tokens { tokens, anonymous } = self else {
            return Verdict::Allowed;
        };
        let grants = |scopes: &[Scope]| scopes.iter().any(|scope| scope.grants(namespace, access));
        if authorization.and_then(secret).is_none() {
            return if grants(anonymous) {
                Verdict::Allowed
            } else {
                Verdict::Unknown
            };
        }
        match known(tokens, authorization) {
            Some(token) if grants(&token.scopes) || grants(anonymous) => Verdict::Allowed,
            Some(_) => Verdict::Forbidden,
            None => Verdict::Unknown,
        }
    }

    /// The name of the token that a request brought; empty for those without one.
    pub fn who(&self, authorization: Option<&str>) -> &str {
        match self {
            Self::Open => "",
            Self::Tokens { tokens, .. } => {
                known(tokens, authorization).map_or("", |token| &token.name)
            }
        }
    }
}

fn known<'a>(tokens: &'a [Token], authorization: Option<&str>) -> Option<&'a Token> {
    let hash = TokenHash::of(&authorization.and_then(secret)?);
    // All are compared, and each in constant time: nothing is learnt from how long it takes.
    let mut found = None;
    for token in tokens {
        if token.hash.is(&hash) {
            found = Some(token);
        }
    }
    found
}

/// The secret of `Bearer SECRET`, and the password of `Basic`, which is all that some clients can send
/// (RFC 6750, RFC 7617).
fn secret(header: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let text = format!(
            "# people\nci {} org/repo:write org:read\n\nboss {} :admin\n",
            TokenHash::of("ci-secret"),
            TokenHash::of("boss-secret")
        );
        Policy::Tokens {
            tokens: Token::parse_all(&text).unwrap(),
            anonymous: vec!["public:read".parse().unwrap()],
        }
    }

    fn decide(header: Option<&str>, namespace: &str, access: Access) -> Verdict {
        policy().decide(header, &namespace.parse().unwrap(), access)
    }

    #[test]
    fn a_token_can_do_what_its_scopes_say() {
        let ci = Some("Bearer ci-secret");
        for (header, namespace, access, verdict) in [
            (ci, "org/repo", Access::Write, Verdict::Allowed),
            (ci, "org/repo/pr-1", Access::Write, Verdict::Allowed),
            (ci, "org/repo-evil", Access::Write, Verdict::Forbidden),
            (ci, "org/other", Access::Read, Verdict::Allowed),
            (ci, "org/other", Access::Write, Verdict::Forbidden),
            (ci, "org/repo", Access::Admin, Verdict::Forbidden),
            (ci, "else", Access::Read, Verdict::Forbidden),
            (ci, "public", Access::Read, Verdict::Allowed),
            (
                Some("bearer boss-secret"),
                "x",
                Access::Admin,
                Verdict::Allowed,
            ),
            (
                Some("Bearer wrong"),
                "org/repo",
                Access::Read,
                Verdict::Unknown,
            ),
            (None, "org/repo", Access::Read, Verdict::Unknown),
            (None, "public/x", Access::Read, Verdict::Allowed),
            (None, "public", Access::Write, Verdict::Unknown),
        ] {
            assert_eq!(
                decide(header, namespace, access),
                verdict,
                "{header:?} {namespace} {access:?}"
            );
        }
    }

    #[test]
    fn a_password_is_as_good_as_a_bearer_token() {
        let header = format!("Basic {}", STANDARD.encode("anybody:ci-secret"));
        assert_eq!(
            decide(Some(&header), "org/repo", Access::Write),
            Verdict::Allowed
        );
        for header in ["Basic ???", "Basic", "Digest x", ""] {
            assert_eq!(
                decide(Some(header), "org/repo", Access::Read),
                Verdict::Unknown,
                "{header}"
            );
        }
    }
}
