use acetate_cache_api::Namespace;

/// How many servers passed a question on. Two that have each other as upstream would else do that
/// for ever.
pub(crate) const HOPS: &str = "x-acetate-hops";

/// More servers than stand between any office and its region.
const MOST: u8 = 4;

/// On whose behalf somebody else may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub(crate) namespace: Namespace,
    hops: u8,
}

impl Reach {
    /// A question of a client about a namespace, with the header that servers send along.
    pub(crate) fn new(namespace: &Namespace, header: Option<&str>) -> Self {
        let hops = header.map_or(0, |text| text.parse().unwrap_or(MOST));
        let namespace = namespace.clone();
        Self { namespace, hops }
    }

    /// Only what is here.
    pub(crate) fn here() -> Self {
        Self {
            namespace: Namespace::root(),
            hops: MOST,
        }
    }

    /// The same question about another namespace.
    pub(crate) fn at(&self, namespace: &Namespace) -> Self {
        Self {
            namespace: namespace.clone(),
            hops: self.hops,
        }
    }

    /// True when another server may be asked.
    pub(crate) fn goes_on(&self) -> bool {
        self.hops < MOST
    }

    /// How many servers passed it on.
    pub(crate) fn hops(&self) -> u8 {
        self.hops
    }

    /// What is sent along.
    pub(super) fn header(&self) -> String {
        self.hops.saturating_add(1).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_does_not_go_round_for_ever() {
        let mut header: Option<String> = None;
        for hop in 0.. {
            let reach = Reach::new(&Namespace::root(), header.as_deref());
            if !reach.goes_on() {
                assert_eq!(hop, u32::from(MOST));
                break;
            }
            header = Some(reach.header());
        }
        assert!(!Reach::new(&Namespace::root(), Some("many")).goes_on());
        assert!(!Reach::here().goes_on());
    }
}
