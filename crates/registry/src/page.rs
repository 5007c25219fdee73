//! Follows lists over their pages.

use acetate_net::{Fetched, Method, Request, Url};

use crate::registries::{Registries, Site, Tries};
use crate::{MANIFEST_LIMIT, RegistryError};

/// The most pages of a list that are read.
const PAGE_LIMIT: usize = 1000;

impl Registries {
    /// Reads all pages from `path` on, each given to `take`; none when the first is not there.
    pub(crate) async fn pages(
        &self,
        site: &Site,
        path: &str,
        what: &str,
        mut take: impl FnMut(Fetched) -> Result<(), RegistryError>,
    ) -> Result<Option<()>, RegistryError> {
        let mut request = site.request(Method::Get, path)?;
        for n in 0..PAGE_LIMIT {
            let response = self.send(site, &request, Tries::Many).await?;
            match response.status() {
                200 => {}
                404 if n == 0 => return Ok(None),
                _ => return Err(self.refusal(site, response, "read", what).await),
            }
            let fetched = response.fetch(MANIFEST_LIMIT).await?;
            let next = fetched.headers.all("link").find_map(next_of);
            let next = next
                .map(|link| join(request.url(), link, what))
                .transpose()?;
            take(fetched)?;
            match next {
                None => return Ok(Some(())),
                Some(url) => request = Request::new(Method::Get, url),
            }
        }
        let reason = format!("it has more than {PAGE_LIMIT} pages");
        Err(RegistryError::corrupt(what, reason))
    }
}

/// The address of the next page, on the same host: another one would be given our credential.
fn join(from: &Url, link: &str, what: &str) -> Result<Url, RegistryError> {
    match from.join(link) {
        Ok(url) if url.origin() == from.origin() => Ok(url),
        _ => Err(RegistryError::corrupt(
            what,
            "its next page is on another host",
        )),
    }
}

/// The target of `<...>; rel="next"` (RFC 8288).
fn next_of(link: &str) -> Option<&str> {
    let mut rest = link;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, more) = after
            .split_once('<')
            .map_or((after, ""), |(parameters, _)| {
                (parameters, &after[parameters.len()..])
            });
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let value = parameter.trim().strip_prefix("rel=");
            value.is_some_and(|value| value.trim_matches('"') == "next")
        });
        if is_next {
            return Some(target);
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        for (link, next) in [
            (
                r#"</v2/a/tags/list?last=b&n=2>; rel="next""#,
                Some("/v2/a/tags/list?last=b&n=2"),
            ),
            ("<x>; rel=next", Some("x")),
            (r#"<p>; rel="prev", <n>; title="a"; rel="next""#, Some("n")),
            (r#"<p>; rel="prev""#, None),
            ("", None),
            ("<x", None),
        ] {
            assert_eq!(next_of(link), next, "{link}");
        }
    }

    #[test]
    fn pages_stay_on_their_host() {
        let from = Url::parse("https://r.example/v2/a/tags/list").unwrap();
        assert!(join(&from, "list?last=x", "x").is_ok());
        assert!(join(&from, "https://r.example:443/y", "x").is_ok());
        for link in [
            "https://evil.example/",
            "//evil.example/",
            "http://r.example/",
        ] {
            assert!(join(&from, link, "x").is_err(), "{link}");
        }
    }
}
