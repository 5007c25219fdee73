//! Lists the tags of a repository.

use serde::Deserialize;

use crate::auth::Intent;
use crate::registries::Registries;
use crate::{RegistryError, Repository};

/// How many tags a page is asked for; registries may give fewer.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registries {
    /// The tags of a repository, in the registry's order; empty when there is no such repository.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        let site = self.origin(repository, Intent::Pull).await?;
        let what = format!("the tags of `{repository}`");
        let mut tags = Vec::new();
        let take = |fetched: acetate_net::Fetched| {
            let page: Page = serde_json::from_slice(&fetched.body)
                .map_err(|error| RegistryError::corrupt(&what, error.to_string()))?;
            tags.extend(page.tags.unwrap_or_default());
            Ok(())
        };
        self.pages(&site, &format!("tags/list?n={PAGE}"), &what, take)
            .await?;
        Ok(tags)
    }
}
