//! Who is making which record just now.

use acetate_cache_api::admin::InFlight;
use acetate_cache_api::lease::{Claim, Lease, TTL_SECS};
use acetate_cache_api::{Namespace, Route};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// All leases of this server. They are hints, so a restart forgets them.
#[derive(Debug, Default)]
pub struct Leases {
    held: Mutex<HashMap<Route, Held>>,
    changed: Notify,
}

#[derive(Debug)]
struct Held {
    lease: String,
    since: Instant,
    alive_until: Instant,
    claim: Claim,
}

/// What is kept of the name of a step, in characters.
const MAX_NAME: usize = 200;
/// More leases than any fleet holds.
const MAX_LEASES: usize = 100_000;

impl Leases {
    /// Claims a record; the holder of an older lease that gave no sign loses it.
    ///
    /// Where there are too many, it is granted and not kept: nobody waits for it.
    pub fn claim(&self, route: &Route, claim: Claim) -> Lease {
        let now = Instant::now();
        let mut held = self.lock();
        if let Some(other) = held.get(route).filter(|held| held.alive_until > now) {
            return other.as_seen(now);
        }
        if held.len() >= MAX_LEASES {
            held.retain(|_, held| held.alive_until > now);
        }
        let lease = new_name();
        let ttl = Duration::from_secs(TTL_SECS);
        let own = Held {
            lease: lease.clone(),
            since: now,
            alive_until: now + ttl,
            claim: shortened(claim),
        };
        if held.len() < MAX_LEASES || held.contains_key(route) {
            held.insert(route.clone(), own);
        }
        Lease::Granted {
            lease,
            ttl_secs: TTL_SECS,
        }
    }

    /// Notes that the holder lives; false when it lost the lease.
    pub fn beat(&self, route: &Route, lease: &str) -> bool {
        let now = Instant::now();
        let mut held = self.lock();
        let own = held
            .get_mut(route)
            .filter(|held| held.lease == lease && held.alive_until > now);
        own.is_some_and(|held| {
            held.alive_until = now + Duration::from_secs(TTL_SECS);
            true
        })
    }

    /// Ends a lease, and wakes those who wait for it.
    pub fn give_up(&self, route: &Route, lease: &str) -> bool {
        let mut held = self.lock();
        let is_own = held.get(route).is_some_and(|held| held.lease == lease);
        if is_own {
            held.remove(route);
            drop(held);
            self.changed.notify_waiters();
        }
        is_own
    }

    /// Ends whatever lease there is, since the record is there now.
    pub fn done(&self, route: &Route) {
        if self.lock().remove(route).is_some() {
            self.changed.notify_waiters();
        }
    }

    /// Who holds it now.
    pub fn state(&self, route: &Route) -> Lease {
        let now = Instant::now();
        let held = self.lock();
        let alive = held.get(route).filter(|held| held.alive_until > now);
        alive.map_or(Lease::Free, |held| held.as_seen(now))
    }

    /// The lease that is held now.
    pub(crate) fn holder(&self, route: &Route) -> Option<String> {
        let now = Instant::now();
        let held = self.lock();
        let alive = held.get(route).filter(|held| held.alive_until > now);
        alive.map(|held| held.lease.clone())
    }

    /// Whether this lease is held now.
    pub(crate) fn holds(&self, route: &Route, lease: &str) -> bool {
        let now = Instant::now();
        let held = self.lock();
        let own = held.get(route).filter(|held| held.lease == lease);
        own.is_some_and(|held| held.alive_until > now)
    }

    /// Ready when a lease ends before its time.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until nobody holds it, or the time is up.
    pub async fn wait(&self, route: &Route, patience: Duration) -> Lease {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            let state = self.state(route);
            // A dead holder wakes nobody, so its time is looked at every second.
            let next = tokio::time::Instant::now() + Duration::from_secs(1);
            if !matches!(state, Lease::Held { .. }) || tokio::time::Instant::now() >= end {
                return state;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(next.min(end)) => {}
            }
        }
    }

    /// What is being made in a namespace and below it, for people.
    pub fn in_flight(&self, within: &Namespace) -> Vec<InFlight> {
        let now = Instant::now();
        let held = self.lock();
        let alive = held
            .iter()
            .filter(|(route, held)| held.alive_until > now && route.namespace.is_within(within));
        let mut all: Vec<InFlight> = alive
            .map(|(route, held)| InFlight {
                namespace: route.namespace.to_string(),
                key: route.key.hex(),
                name: held.claim.name.clone(),
                since_ms: millis(now - held.since),
                expected_ms: held.claim.expected_ms,
            })
            .collect();
        all.sort_by(|a, b| (&a.name, &a.namespace, &a.key).cmp(&(&b.name, &b.namespace, &b.key)));
        all
    }

    /// How many there are, those of dead holders included.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Route, Held>> {
        self.held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Held {
    fn as_seen(&self, now: Instant) -> Lease {
        Lease::Held {
            since_ms: millis(now - self.since),
            expected_ms: self.claim.expected_ms,
            retry_after_secs: 1,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Names are shown to people, and kept as long as the lease.
fn shortened(claim: Claim) -> Claim {
    Claim {
        name: claim.name.chars().take(MAX_NAME).collect(),
        ..claim
    }
}

/// A name that nobody can guess: who knows it can end the lease.
fn new_name() -> String {
    crate::open::random_hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_cache_api::Kind;
    use acetate_oci::Digest;

    fn route() -> Route {
        Route {
            namespace: Namespace::root(),
            kind: Kind::Action,
            key: Digest::of(b"k"),
        }
    }

    fn granted(lease: Lease) -> String {
        match lease {
            Lease::Granted { lease, .. } => lease,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_and_the_others_see_it() {
        let leases = Leases::default();
        let claim = Claim {
            name: "RUN make".into(),
            expected_ms: Some(5),
        };
        let own = granted(leases.claim(&route(), claim));
        let other = leases.claim(&route(), Claim::default());
        assert!(
            matches!(
                other,
                Lease::Held {
                    expected_ms: Some(5),
                    ..
                }
            ),
            "{other:?}"
        );
        assert!(leases.beat(&route(), &own) && !leases.beat(&route(), "wrong"));
        let all = leases.in_flight(&Namespace::root());
        assert_eq!(all[0].name, "RUN make");
        assert!(leases.in_flight(&"org".parse().unwrap()).is_empty());
        assert!(!leases.give_up(&route(), "wrong"));
        assert!(leases.give_up(&route(), &own) && !leases.beat(&route(), &own));
        assert_eq!(leases.state(&route()), Lease::Free);
        granted(leases.claim(&route(), Claim::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_by_the_end() {
        let leases = std::sync::Arc::new(Leases::default());
        let own = granted(leases.claim(&route(), Claim::default()));
        let waiting = {
            let leases = std::sync::Arc::clone(&leases);
            tokio::spawn(async move { leases.wait(&route(), Duration::from_secs(30)).await })
        };
        tokio::task::yield_now().await;
        leases.give_up(&route(), &own);
        assert_eq!(waiting.await.unwrap(), Lease::Free);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_that_it_is_held() {
        let leases = Leases::default();
        granted(leases.claim(&route(), Claim::default()));
        let state = leases.wait(&route(), Duration::from_secs(3)).await;
        assert!(matches!(state, Lease::Held { .. }));
    }
}
