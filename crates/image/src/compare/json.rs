//! Fields that differ between two JSON documents.

use serde_json::Value;

/// What follows from the layers and says nothing new.
const DERIVED: &str = "rootfs";

/// Each field that differs, as `path: was A, is B`; sorted as the documents are.
pub(super) fn differences(before: &[u8], after: &[u8]) -> Vec<String> {
    let parse = |bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut found = Vec::new();
    walk("", &parse(before), &parse(after), &mut found);
    found
}

fn walk(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after || path == DERIVED {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let get = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or_default()
                };
                walk(&inner, &get(old), &get(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                walk(&format!("{path}[{n}]"), old, new, found);
            }
        }
        _ => found.push(format!("{path}: was {before}, is {after}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_their_paths() {
        let before = br#"{"a":{"b":[1,2],"c":1},"rootfs":{"x":1},"same":0}"#;
        let after = br#"{"a":{"b":[1,3],"d":2},"rootfs":{"x":2},"same":0}"#;
        assert_eq!(
            differences(before, after),
            [
                "a.b[1]: was 2, is 3",
                "a.c: was 1, is null",
                "a.d: was null, is 2"
            ]
        );
        assert!(differences(before, before).is_empty());
    }
}
