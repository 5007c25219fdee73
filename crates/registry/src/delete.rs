//! Removes manifests and tags.

use acetate_net::Method;

use crate::auth::Intent;
use crate::registries::{Registries, Tries};
use crate::{Name, RegistryError, Repository};

impl Registries {
    /// Removes a manifest by its digest, or a tag; false when there was none.
    ///
    /// # Errors
    /// When the registry does not allow it, which many do not.
    pub async fn delete(
        &self,
        repository: &Repository,
        name: &Name,
    ) -> Result<bool, RegistryError> {
        let site = self.origin(repository, Intent::Delete).await?;
        let request = site.request(Method::Delete, &format!("manifests/{name}"))?;
        let response = self.send(&site, &request, Tries::Many).await?;
        match response.status() {
            200 | 202 | 204 => Ok(true),
            404 => Ok(false),
            status @ (400 | 405 | 501) => Err(RegistryError::Refused {
                what: format!("delete `{name}` of `{repository}`"),
                status,
                reason: ": this registry does not allow it".to_owned(),
            }),
            _ => {
                let what = format!("`{name}` of `{repository}`");
                Err(self.refusal(&site, response, "delete", &what).await)
            }
        }
    }
}
