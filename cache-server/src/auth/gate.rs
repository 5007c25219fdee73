use super::oidc::{Issuer, Issuers};
use super::policy::{Book, secret};
use super::{Caller, Grant, Policy, Rule, certificate};
use acetate_stdx::clock::Clock;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// Who is believed besides those with a token of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Those who sign tokens, CI systems mostly.
    pub issuers: Vec<Issuer>,
    /// What names in client certificates allow.
    pub certificates: Vec<Rule>,
}

/// Finds out who sends a request.
#[derive(Debug)]
pub struct Gate {
    book: RwLock<Arc<Book>>,
    issuers: Issuers,
    certificates: Vec<Rule>,
}

impl Gate {
    /// A gate for these; nobody is asked yet.
    pub fn new(policy: &Policy, trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self {
            book: RwLock::new(Arc::new(Book::of(policy))),
            issuers: Issuers::new(trust.issuers, clock),
            certificates: trust.certificates,
        }
    }

    /// Takes other tokens from now on; what is being answered goes on.
    pub fn replace(&self, policy: &Policy) {
        let book = Arc::new(Book::of(policy));
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
    }

    /// What the certificate of a connection allows, found out once for all its requests. The chain
    /// must have been checked.
    pub(crate) fn peer(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<Grant>> {
        let facts = certificate::names(chain?.first()?)?;
        let scopes = self
            .certificates
            .iter()
            .flat_map(|rule| rule.scopes(&facts));
        let scopes = scopes.collect();
        let name = certificate::shown(&facts);
        Some(Arc::new(Grant { name, scopes }))
    }

    /// Who sent a request with this `Authorization` on a connection of that peer.
    pub async fn caller(&self, authorization: Option<&str>, peer: Option<&Arc<Grant>>) -> Caller {
        let book = {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&book)
        };
        if book.is_open() {
            return Caller::open();
        }
        let (peer, anonymous) = (peer.cloned(), book.anonymous());
        let Some(secret) = authorization.and_then(secret) else {
            return match peer {
                Some(peer) => Caller::known(peer, None, anonymous),
                None => Caller::nobody(anonymous),
            };
        };
        let grant = match book.grant(&secret) {
            Some(grant) => Some(grant),
            // In a box, since few requests need it and all would have to have room for it.
            None => Box::pin(self.issuers.grant(&secret)).await,
        };
        grant.map_or_else(Caller::default, |grant| {
            Caller::known(grant, peer, anonymous)
        })
    }

    /// Fetches the keys of all issuers now and then, so that no request has to wait for them; never
    /// ends where there are any.
    pub(crate) async fn keep_fresh(&self) {
        self.issuers.keep_fresh().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Token, TokenHash, Verdict};
    use super::*;
    use acetate_stdx::clock::SystemClock;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn policy(ci: &str) -> Policy {
        let text = format!(
            "# people\nci {} org/repo:write org:read\n\nboss {} :admin\n",
            TokenHash::of(ci),
            TokenHash::of("boss-secret")
        );
        Policy::Tokens {
            tokens: Token::parse_all(&text).unwrap(),
            anonymous: vec!["public:read".parse().unwrap()],
        }
    }

    fn gate() -> Gate {
        Gate::new(
            &policy("ci-secret"),
            Trust::default(),
            Arc::new(SystemClock),
        )
    }

    async fn decide(header: Option<&str>, namespace: &str, access: Access) -> Verdict {
        let caller = gate().caller(header, None).await;
        caller.decide(&namespace.parse().unwrap(), access)
    }

    #[tokio::test]
    async fn a_token_can_do_what_its_scopes_say() {
        let ci = Some("Bearer ci-secret");
        let (boss, wrong) = (Some("bearer boss-secret"), Some("Bearer wrong"));
        for (header, namespace, access, verdict) in [
            (ci, "org/repo", Access::Write, Verdict::Allowed),
            (ci, "org/repo/pr-1", Access::Write, Verdict::Allowed),
            (ci, "org/repo-evil", Access::Write, Verdict::Forbidden),
            (ci, "org/other", Access::Read, Verdict::Allowed),
            (ci, "org/other", Access::Write, Verdict::Forbidden),
            (ci, "org/repo", Access::Admin, Verdict::Forbidden),
            (ci, "else", Access::Read, Verdict::Forbidden),
            (ci, "public", Access::Read, Verdict::Allowed),
            (boss, "x", Access::Admin, Verdict::Allowed),
            (wrong, "org/repo", Access::Read, Verdict::Unknown),
            (wrong, "public", Access::Read, Verdict::Unknown),
            (None, "org/repo", Access::Read, Verdict::Unknown),
            (None, "public/x", Access::Read, Verdict::Allowed),
            (None, "public", Access::Write, Verdict::Unknown),
        ] {
            let found = decide(header, namespace, access).await;
            assert_eq!(found, verdict, "{header:?} {namespace} {access:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_as_good_as_a_bearer_token() {
        let header = format!("Basic {}", STANDARD.encode("anybody:ci-secret"));
        let found = decide(Some(&header), "org/repo", Access::Write).await;
        assert_eq!(found, Verdict::Allowed);
        for header in ["Basic ???", "Basic", "Digest x", ""] {
            let found = decide(Some(header), "org/repo", Access::Read).await;
            assert_eq!(found, Verdict::Unknown, "{header}");
        }
    }

    #[tokio::test]
    async fn a_certificate_adds_to_a_token_and_suffices_alone() {
        let gate = gate();
        let peer = Arc::new(Grant {
            name: "cert:runner".into(),
            scopes: vec!["fleet:write".parse().unwrap()],
        });
        let may = async |header, namespace: &str, access| {
            let caller = gate.caller(header, Some(&peer)).await;
            caller.decide(&namespace.parse().unwrap(), access)
        };
        let ci = Some("Bearer ci-secret");
        assert_eq!(may(None, "fleet", Access::Write).await, Verdict::Allowed);
        assert_eq!(may(ci, "fleet", Access::Write).await, Verdict::Allowed);
        assert_eq!(may(ci, "org/repo", Access::Write).await, Verdict::Allowed);
        assert_eq!(may(None, "org", Access::Read).await, Verdict::Forbidden);
        let wrong = Some("Bearer wrong");
        assert_eq!(may(wrong, "fleet", Access::Read).await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn other_tokens_replace_those_before() {
        let gate = gate();
        let known = async |secret| {
            let caller = gate.caller(Some(secret), None).await;
            caller.decide(&"org".parse().unwrap(), Access::Read)
        };
        assert_eq!(known("Bearer ci-secret").await, Verdict::Allowed);
        gate.replace(&policy("new-secret"));
        assert_eq!(known("Bearer ci-secret").await, Verdict::Unknown);
        assert_eq!(known("Bearer new-secret").await, Verdict::Allowed);
    }
}
