use super::{Access, Scope};
use acetate_cache_api::Namespace;
use std::sync::Arc;

/// What somebody was given: a name for the logs and the limits, and scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
}

/// Who sent a request, found out once and before anything is answered.
///
/// The one by default may do nothing.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    who: Who,
    /// What everybody may do.
    anonymous: Arc<[Scope]>,
}

#[derive(Debug, Clone, Default)]
enum Who {
    /// Nobody is asked.
    Open,
    /// By a token, a certificate or both.
    Known(Arc<Grant>, Option<Arc<Grant>>),
    /// Nothing was sent that says who it is.
    Nobody,
    /// What was sent is not known.
    #[default]
    Unknown,
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

impl Caller {
    pub(super) fn open() -> Self {
        Self {
            who: Who::Open,
            anonymous: Arc::default(),
        }
    }

    pub(super) fn known(
        grant: Arc<Grant>,
        other: Option<Arc<Grant>>,
        anonymous: Arc<[Scope]>,
    ) -> Self {
        Self {
            who: Who::Known(grant, other),
            anonymous,
        }
    }

    pub(super) fn nobody(anonymous: Arc<[Scope]>) -> Self {
        Self {
            who: Who::Nobody,
            anonymous,
        }
    }

    /// Decides about one thing that a request wants.
    pub fn decide(&self, namespace: &Namespace, access: Access) -> Verdict {
        let grants = |scopes: &[Scope]| scopes.iter().any(|scope| scope.grants(namespace, access));
        let (allowed, otherwise) = match &self.who {
            Who::Open => (true, Verdict::Allowed),
            Who::Known(grant, other) => {
                let others = other.as_ref().map_or(&[][..], |other| &other.scopes);
                let allowed = grants(&grant.scopes) || grants(others) || grants(&self.anonymous);
                (allowed, Verdict::Forbidden)
            }
            Who::Nobody => (grants(&self.anonymous), Verdict::Unknown),
            Who::Unknown => (false, Verdict::Unknown),
        };
        if allowed { Verdict::Allowed } else { otherwise }
    }

    /// The name of who it is; empty for those whom nobody knows.
    pub fn name(&self) -> &str {
        match &self.who {
            Who::Known(grant, _) => &grant.name,
            _ => "",
        }
    }
}
