//! [`SigningKey`]: what results are signed with.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acetate_stdx::Redacted;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::pem::{self, Half};
use super::trusted::is_name;
use super::{KeyError, KeyFault, PublicKey};

/// Longer than any private key.
const MAX_TEXT: u64 = 16 << 10;

/// A private Ed25519 key. Clones are the same one; it is never shown.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

/// Said of a private key that others on the machine can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWarning {
    /// The file.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The private half as PEM (PKCS#8), for a file of mode 0600 or a secret of the CI.
    pub private: Redacted<String>,
    /// The line for the list of trusted keys, without its end.
    pub public: String,
    /// The short name of the key, as records and messages give it.
    pub id: String,
}

/// Makes a key; `name` stands in its public line.
///
/// # Errors
/// When the name has other characters than letters, digits and `._@/+-`, or the machine gives no
/// random numbers.
pub fn generate(name: Option<&str>) -> Result<NewKey, KeyError> {
    if name.is_some_and(|name| !is_name(name)) {
        let fault = KeyFault::Remark;
        return Err(KeyError::Text { line: 0, fault });
    }
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
    // Of the two versions the one that OpenSSL reads.
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError::Random)?;
    let private = Redacted::new(pem::write(Half::Private, der.as_ref()));
    let public = public_of(&pair).ok_or(KeyError::Random)?;
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    Ok(NewKey {
        private,
        public: format!("{}{name}", public.base64()),
        id: public.id(),
    })
}

impl SigningKey {
    /// Reads a private key: PEM (PKCS#8), or one line of base64 of its 32 bytes.
    ///
    /// # Errors
    /// When it is none; the message holds nothing of the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::read(text).map_err(|fault| KeyError::Text { line: 0, fault })
    }

    /// Reads a private key from a file, with a warning when others can read it too.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<(Self, Option<KeyWarning>), KeyError> {
        let (text, mode) = read_text(path, MAX_TEXT)?;
        let key = Self::read(&text).map_err(|fault| KeyError::File {
            path: path.to_owned(),
            line: 0,
            fault,
        })?;
        let is_open = mode & 0o077 != 0;
        let warning = is_open.then(|| KeyWarning {
            path: path.to_owned(),
            mode,
        });
        Ok((key, warning))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    fn read(text: &str) -> Result<Self, KeyFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyFault::Empty);
        }
        let pair = if pem::is_begin(text) {
            let (der, rest) = pem::block(text, Half::Private)?;
            if !rest.trim().is_empty() {
                return Err(KeyFault::Form);
            }
            Ed25519KeyPair::from_pkcs8(&der)
        } else {
            let seed = pem::decode(text).filter(|seed| seed.len() == 32);
            Ed25519KeyPair::from_seed_unchecked(&seed.ok_or(KeyFault::Form)?)
        };
        let pair = pair.map_err(|_| KeyFault::Algorithm)?;
        let public = public_of(&pair).ok_or(KeyFault::Algorithm)?;
        Ok(Self {
            pair: Arc::new(pair),
            public,
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// A file of at most `limit` bytes, and its permissions.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<(String, u32), KeyError> {
    let failed = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes)
        .map_err(failed)?;
    let refused = |fault| KeyError::File {
        path: path.to_owned(),
        line: 0,
        fault,
    };
    if bytes.len() as u64 > limit {
        return Err(refused(KeyFault::TooLong));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused(KeyFault::Form))?;
    Ok((text, mode))
}

fn public_of(pair: &Ed25519KeyPair) -> Option<PublicKey> {
    let bytes = pair.public_key().as_ref().try_into().ok()?;
    Some(PublicKey::from_bytes(bytes))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mode) = (self.path.display(), self.mode);
        write!(
            f,
            "the signing key `{path}` can be read by others (mode {mode:04o}); run `chmod 600 {path}`"
        )
    }
}
