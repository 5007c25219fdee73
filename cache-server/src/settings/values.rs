//! Values that are texts in a file.

use super::size::size;
use serde::{Deserialize, Deserializer};

pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let texts: Vec<String> = Deserialize::deserialize(deserializer)?;
    let values = texts.iter().map(|text| text.parse().map_err(custom));
    values.collect::<Result<_, _>>().map(Some)
}

pub(super) fn one<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: String = Deserialize::deserialize(deserializer)?;
    text.parse().map(Some).map_err(custom)
}

pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Number(u64),
        Text(String),
    }
    match Bytes::deserialize(deserializer)? {
        Bytes::Number(number) => Ok(Some(number)),
        Bytes::Text(text) => size(&text).map(Some).map_err(custom),
    }
}

fn custom<E: serde::de::Error>(error: impl std::fmt::Display) -> E {
    E::custom(error)
}
