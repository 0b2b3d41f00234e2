//! In charge of secrets: made of 256 random bits, kept as hashes.
//! Invariant: a secret leaves the process once, to whom it is for; only its SHA-256 is stored or compared.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Error;

/// What a secret opens; its first letters say so, which lets scanners of leaked secrets find it. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A browser's session.
    Session,
    /// The API, until the session ends that it came with.
    SessionToken,
    /// The API, by a token that its owner made.
    ApiToken,
    /// The setting of a password, once.
    Password,
    /// A public form about one record.
    Form,
}

impl Opens {
    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "trs_",
            Self::SessionToken => "trl_",
            Self::ApiToken => "trt_",
            Self::Password => "trp_",
            Self::Form => "trf_",
        }
    }

    /// What the secret `text` claims to open.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        [Self::Session, Self::SessionToken, Self::ApiToken, Self::Password, Self::Form].into_iter().find(|opens| text.starts_with(opens.prefix()))
    }
}

/// The hash that stands for a secret.
pub type Hash = [u8; 32];

/// A hash as it is stored.
pub(super) fn stored(hash: &Hash) -> model::Value {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    model::Value::text(&hex)
}

/// A new secret.
///
/// # Errors
/// Where the machine has no randomness.
pub fn make(opens: Opens) -> Result<String, Error> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    Ok(format!("{}{}", opens.prefix(), URL_SAFE_NO_PAD.encode(bits)))
}

/// The hash of a secret. Plain SHA-256 is enough: 256 random bits cannot be guessed.
#[must_use]
pub fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// The word that a page sends back to prove that it was served within this session.
#[must_use]
pub fn csrf(session_secret: &str) -> String {
    let digest: Hash = Sha256::new_with_prefix(b"csrf of ").chain_update(session_secret.as_bytes()).finalize().into();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Whether two texts are equal, in a time that does not tell where they differ.
#[must_use]
pub fn same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_say_what_they_open() {
        let (one, two) = (make(Opens::Session).expect("random"), make(Opens::ApiToken).expect("random"));
        assert_ne!(one, two);
        assert_eq!(Opens::of(&one), Some(Opens::Session));
        assert_eq!(Opens::of(&two), Some(Opens::ApiToken));
        assert_eq!(Opens::of("eyJhbGciOi"), None);
        assert!(one.len() > 40);
    }

    #[test]
    fn the_csrf_word_belongs_to_one_session() {
        assert_eq!(csrf("trs_a"), csrf("trs_a"));
        assert_ne!(csrf("trs_a"), csrf("trs_b"));
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab"));
    }
}
