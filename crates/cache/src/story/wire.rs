//! Stories as others get them: values as salted digests, the whole as compressed JSON.

use super::{Input, Part, Salt, Story, Value, Variable};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// The name and version of the form. A reader drops every other one.
const FORM: &str = "acetate/story/v1";
/// More than any story has; it bounds what a reader expands.
const LIMIT: u64 = 16 << 20;
const LEVEL: i32 = 3;

/// Why bytes are no story. Each means that there is none.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes do not expand, or to too much.
    #[error("a story that does not expand: {0}")]
    Packed(#[source] std::io::Error),
    /// What they expand to is no story.
    #[error("a story that cannot be read: {0}")]
    Text(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("a story in the form `{0}`")]
    Form(String),
    /// It holds values as they are, which must not leave the machine.
    #[error("a story that is not salted")]
    Plain,
}

#[derive(Serialize)]
struct Out<'s> {
    form: &'static str,
    story: &'s Story,
}

#[derive(Deserialize)]
struct In {
    form: String,
    story: serde_json::Value,
}

/// Fields whose few values say nothing of anybody.
const HARMLESS: [&str; 4] = ["platform", "network", "security", "archives"];

impl Story {
    /// The same with every value that a variable may stand in, every command and every address as a
    /// salted digest. Names, texts as written and paths of files stay; addresses in texts do not.
    pub fn salted(&self, salt: Salt) -> Self {
        if self.salt.is_some() {
            return self.clone();
        }
        let mut out = self.clone();
        out.salt = Some(salt);
        out.name = without_addresses(&out.name, salt);
        out.instruction.text = without_addresses(&out.instruction.text, salt);
        out.instruction.base = without_addresses(&out.instruction.base, salt);
        hide(&mut out.variables, salt);
        for field in &mut out.fields {
            if !HARMLESS.contains(&field.name.as_str()) {
                field.value = field.value.salted(salt);
            }
        }
        for Part { input, .. } in &mut out.inputs {
            match input {
                Input::Image { name, filled, .. } => {
                    *name = name.salted(salt);
                    hide(filled, salt);
                }
                Input::Fetched {
                    address, details, ..
                } => {
                    *address = address.salted(salt);
                    // The name of a file is the end of its address.
                    if let Value::Hidden(digest) = Value::plain(details.clone()).salted(salt) {
                        *details = digest;
                    }
                }
                Input::Step { name, .. } => *name = without_addresses(name, salt),
                Input::Files { .. } | Input::Made { .. } => {}
            }
        }
        out
    }

    /// The bytes to be kept beside a record that others may read.
    ///
    /// # Errors
    /// When the story does not fit the limits of a reader; then none is kept.
    pub fn encode_for_upload(&self, salt: Salt) -> Result<Vec<u8>, WireError> {
        let story = self.salted(salt);
        let form = FORM;
        let text = serde_json::to_vec(&Out {
            form,
            story: &story,
        })?;
        if text.len() as u64 > LIMIT {
            let too_long = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
            return Err(WireError::Packed(too_long));
        }
        zstd::bulk::compress(&text, LEVEL).map_err(WireError::Packed)
    }

    /// Reads what another machine wrote.
    ///
    /// # Errors
    /// Whatever is not a salted story of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let reader = zstd::stream::Decoder::new(bytes).map_err(WireError::Packed)?;
        let mut text = Vec::new();
        let n = reader.take(LIMIT + 1).read_to_end(&mut text);
        if n.map_err(WireError::Packed)? as u64 > LIMIT {
            let too_long = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
            return Err(WireError::Packed(too_long));
        }
        let found: In = serde_json::from_slice(&text)?;
        if found.form != FORM {
            return Err(WireError::Form(found.form));
        }
        let story: Self = serde_json::from_value(found.story)?;
        if story.salt.is_none() {
            return Err(WireError::Plain);
        }
        Ok(story)
    }
}

fn hide(variables: &mut [Variable], salt: Salt) {
    for variable in variables {
        variable.value = variable.value.salted(salt);
    }
}

/// A text with digests in place of addresses, so that another address still is a difference.
fn without_addresses(text: &str, salt: Salt) -> String {
    let is_address = |word: &str| word.contains("://") || word.contains('@');
    let parts = text.split_inclusive(char::is_whitespace);
    let part = |part: &str| {
        let word = part.trim_end_matches(char::is_whitespace);
        if !is_address(word) {
            return part.to_owned();
        }
        match Value::plain(word).salted(salt) {
            Value::Hidden(digest) => format!("<{}>{}", &digest[..12], &part[word.len()..]),
            Value::Plain(text) => text,
        }
    };
    parts.map(part).collect()
}
