use serde::Serialize;

/// Serialises a value as canonical JSON: object keys sorted by bytes, no white space.
///
/// The value passes through [`serde_json::Value`], whose maps are ordered, so neither the order of
/// struct fields nor that of a hash map can reach a digest.
///
/// # Panics
/// Never for the types of this crate: they have string keys and no fallible `Serialize`.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("OCI types serialise to JSON without error");
    serde_json::to_vec(&value).expect("a JSON value always serialises")
}

#[cfg(test)]
mod tests {
    use super::canonical_json;
    use std::collections::HashMap;

    #[test]
    fn keys_are_sorted_whatever_the_map() {
        let map: HashMap<String, u32> = (0..50).rev().map(|n| (format!("k{n:02}"), n)).collect();
        let text = String::from_utf8(canonical_json(&map)).unwrap();
        assert!(text.starts_with(r#"{"k00":0,"k01":1,"#), "{text}");
        assert!(!text.contains(' '));
    }
}
