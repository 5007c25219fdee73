//! What a token is to allow.

use std::collections::{BTreeMap, BTreeSet};

use crate::Repository;

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It is read.
    Pull,
    /// It is read and written.
    Push,
    /// Something in it is removed.
    Delete,
}

/// Resources and what is done with each: `repository:a/b:pull,push`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// What is needed for one repository of this path.
    pub(crate) fn of(path: &str, intent: Intent) -> Self {
        let actions = match intent {
            Intent::Pull => "pull",
            Intent::Push => "pull,push",
            Intent::Delete => "pull,delete",
        };
        let mut scopes = Self::default();
        scopes.add(&format!("repository:{path}:{actions}"));
        scopes
    }

    /// Adds the reading of the repository that something is mounted from.
    pub(crate) fn and_pull(mut self, source: &Repository) -> Self {
        self.add(&format!("repository:{}:pull", source.path()));
        self
    }

    /// Adds what a challenge names: scopes with white space between them.
    pub(crate) fn add(&mut self, text: &str) {
        for scope in text.split_ascii_whitespace() {
            // What does not have three parts is kept as it is.
            let (resource, actions) = match scope.rsplit_once(':') {
                Some((resource, actions)) if resource.contains(':') => (resource, actions),
                _ => (scope, ""),
            };
            let known = self.0.entry(resource.to_owned()).or_default();
            known.extend(
                actions
                    .split(',')
                    .filter(|a| !a.is_empty())
                    .map(str::to_owned),
            );
        }
    }

    /// The single scopes, in order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            if actions.is_empty() {
                return resource.clone();
            }
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_merged_by_resource() {
        let source = Repository::from(&"r.example/from".parse().unwrap());
        let mut scopes = Scopes::of("a/b", Intent::Push).and_pull(&source);
        scopes.add("repository:a/b:pull registry:catalog:* odd repository:c:delete,pull");
        let texts: Vec<String> = scopes.texts().collect();
        assert_eq!(
            texts,
            [
                "odd",
                "registry:catalog:*",
                "repository:a/b:pull,push",
                "repository:c:delete,pull",
                "repository:from:pull"
            ]
        );
    }
}
