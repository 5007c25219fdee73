use super::fields;

/// What a distribution calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Distribution {
    /// `debian`, `alpine`, …; empty when there is no `os-release`.
    pub(super) id: String,
    /// `debian-12`, for package URLs.
    pub(super) qualifier: String,
}

impl Distribution {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = fields::text(bytes);
        let id = value(&text, "ID").unwrap_or_default().to_lowercase();
        let version = value(&text, "VERSION_ID").or_else(|| value(&text, "VERSION_CODENAME"));
        let qualifier = match version {
            Some(version) if !id.is_empty() => format!("{id}-{version}"),
            _ => id.clone(),
        };
        Self { id, qualifier }
    }

    /// The namespace of package URLs, with a guess for trees without `os-release`.
    pub(super) fn namespace(&self, usual: &str) -> String {
        if self.id.is_empty() {
            usual.to_owned()
        } else {
            self.id.clone()
        }
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then_some(value)
    })
}
