//! Things that can be pinned, used and removed.

use std::fmt;
use std::str::FromStr;

use acetate_oci::Digest;

use crate::LayerId;

/// A blob or the directory of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// The blob with this digest.
    Blob(Digest),
    /// The directory form of this layer.
    Layer(LayerId),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {}", digest.hex()),
            Self::Layer(id) => write!(f, "layer {id}"),
        }
    }
}

/// A line that pins nothing this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoObject;

impl FromStr for Object {
    type Err = NoObject;

    fn from_str(line: &str) -> Result<Self, NoObject> {
        match line.split_once(' ') {
            Some(("blob", hex)) => Digest::from_hex(hex).map(Self::Blob).map_err(|_| NoObject),
            Some(("layer", id)) => id.parse().map(Self::Layer).map_err(|_| NoObject),
            _ => Err(NoObject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip() {
        for object in [
            Object::Blob(Digest::of(b"x")),
            Object::Layer(LayerId::random()),
        ] {
            assert_eq!(object.to_string().parse(), Ok(object));
        }
        assert_eq!("blob 12".parse::<Object>(), Err(NoObject));
        assert_eq!("".parse::<Object>(), Err(NoObject));
    }
}
