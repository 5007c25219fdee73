//! The images that are kept on this machine under names: listed, fetched, sent, saved and copied.

mod base;
mod copy;
mod find;
mod keep;
mod load;
mod pull;
mod push;
mod save;
mod stored;
mod whole;

pub use copy::{CopyReport, End, MirrorReport, Mirrored};
pub use find::{Force as RemoveForce, Removed};
pub use load::LoadedImage;
pub use pull::{PullReport, PullRequest, WantedPlatforms};
pub use push::PushedName;
pub use save::{SaveFormat, SaveRequest};
pub use stored::{StoredImage, StoredLayer, StoredPlatform};
