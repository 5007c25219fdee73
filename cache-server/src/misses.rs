use acetate_cache_api::Namespace;
use acetate_cache_api::admin::{MAX_MISSES, Miss, SeenMiss};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest name of a step and the longest reason, in bytes; what is longer is cut.
const MAX_TEXT: usize = 500;

/// Why steps had to run: the last ones that clients told, until the server ends.
#[derive(Debug, Default)]
pub(crate) struct Misses(Mutex<VecDeque<Told>>);

#[derive(Debug)]
struct Told {
    namespace: Namespace,
    at: i64,
    miss: Miss,
}

impl Misses {
    /// Keeps what was told, as far as there is room for it.
    pub(crate) fn add(&self, namespace: &Namespace, misses: Vec<Miss>, now: i64) {
        let mut told = self.lock();
        for miss in misses {
            if told.len() == MAX_MISSES {
                told.pop_front();
            }
            told.push_back(Told {
                namespace: namespace.clone(),
                at: now,
                miss: Miss {
                    step: cut(miss.step),
                    reason: cut(miss.reason),
                    key: cut(miss.key),
                },
            });
        }
    }

    /// Those of a namespace and below it, the newest first.
    pub(crate) fn within(&self, namespace: &Namespace, now: i64) -> Vec<SeenMiss> {
        let told = self.lock();
        let own = told.iter().rev();
        own.filter(|told| told.namespace.is_within(namespace))
            .map(|told| SeenMiss {
                namespace: told.namespace.to_string(),
                age_secs: u64::try_from(now - told.at).unwrap_or(0),
                miss: told.miss.clone(),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('\u{2026}');
    }
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(step: &str) -> Miss {
        Miss {
            step: step.to_owned(),
            ..Miss::default()
        }
    }

    #[test]
    fn the_last_ones_are_kept_and_each_sees_its_own() {
        let misses = Misses::default();
        let (org, other) = ("org/a".parse().unwrap(), "other".parse().unwrap());
        misses.add(&other, vec![miss("first")], 10);
        let many = (0..MAX_MISSES).map(|n| miss(&n.to_string())).collect();
        assert_eq!(misses.within(&Namespace::root(), 15)[0].age_secs, 5);
        misses.add(&org, many, 20);
        assert!(misses.within(&other, 20).is_empty());
        let seen = misses.within(&"org".parse().unwrap(), 20);
        assert_eq!(
            (seen.len(), seen[0].miss.step.as_str()),
            (MAX_MISSES, "199")
        );
        assert!(misses.within(&"or".parse().unwrap(), 20).is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let misses = Misses::default();
        misses.add(
            &Namespace::root(),
            vec![miss(&"\u{e4}".repeat(1000)), miss("short")],
            0,
        );
        let seen = misses.within(&Namespace::root(), 0);
        assert_eq!(seen[1].miss.step, "\u{e4}".repeat(250) + "\u{2026}");
        assert_eq!(seen[0].miss.step, "short");
    }
}
