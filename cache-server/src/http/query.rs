use axum::http::Uri;

/// The value of a name in the query. What is sent here needs no escapes, so none are decoded.
pub(super) fn value<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A number in the query.
pub(super) fn number(uri: &Uri, name: &str) -> Option<u64> {
    value(uri, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let uri: Uri = "/x?wait=3&waiter=4&at=org%2Fx".parse().unwrap();
        assert_eq!(value(&uri, "wait"), Some("3"));
        assert_eq!(number(&uri, "waiter"), Some(4));
        assert_eq!(value(&uri, "wai"), None);
        assert_eq!(number(&uri, "at"), None);
        assert_eq!(value(&"/x".parse().unwrap(), "wait"), None);
    }
}
