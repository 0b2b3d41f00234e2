//! In charge of the master key and of what is sealed with it: cursors, encrypted fields, secrets.
//! Invariant: what is sealed for one purpose opens for that purpose only; what was tampered with does not open.
//! Invariant: the key is never logged and never leaves through an answer.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use model::field::sealed::Seal;
use sha2::Sha256;

use crate::error::Error;

pub(crate) mod rotate;

/// The length of a nonce in bytes.
const NONCE: usize = 12;

/// The workspace's master key.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Fills a buffer from the operating system's random numbers.
///
/// # Errors
/// Where the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

impl MasterKey {
    /// A new key.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn generate() -> Result<Self, Error> {
        random().map(Self)
    }

    /// The key that 64 hexadecimal digits spell.
    ///
    /// # Errors
    /// Where they do not.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Internal("the master key is not 64 hexadecimal digits".to_owned());
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut key = [0_u8; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = text.get(2 * index..2 * index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(key))
    }

    /// The key in the file `key` of the data folder; made with mode 0600 where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or made.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("key");
        let failed = |error: std::io::Error| Error::Internal(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(mut file) => {
                let key = Self::generate()?;
                file.write_all(key.hex().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
                Ok(key)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let mut text = String::new();
                std::fs::File::open(&path).and_then(|mut file| file.read_to_string(&mut text)).map_err(failed)?;
                Self::parse(&text)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A hash that only the holder of the key can make: equality of encrypted values.
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    fn cipher(&self, purpose: &str) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.keyed_hash(purpose, b"key").into())
    }

    /// Seals `bytes` for `purpose` and `context`, which must be the same on opening.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn seal(&self, purpose: &str, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = random()?;
        let sealed = self.cipher(purpose).encrypt(&Nonce::from(nonce), Payload { msg: bytes, aad: context });
        let sealed = sealed.map_err(|_| Error::Internal("sealing failed".to_owned()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// The same with a nonce that follows from what is sealed: equal bytes for one purpose and context look alike, so they can
    /// be compared without being opened, and no two different ones share a nonce.
    fn seal_alike(&self, purpose: &str, context: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let all = [&(context.len() as u64).to_be_bytes()[..], context, bytes].concat();
        let hash = self.keyed_hash(&format!("{purpose}.nonce"), &all);
        let nonce: [u8; NONCE] = *hash.first_chunk()?;
        let sealed = self.cipher(purpose).encrypt(&Nonce::from(nonce), Payload { msg: bytes, aad: context }).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// What a key is called: it tells nothing of the key.
    fn name(&self) -> String {
        self.keyed_hash("name", b"").iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key as fields that rest encrypted use it.
    #[must_use]
    pub fn sealing(&self) -> Arc<dyn Seal> {
        Arc::new(Fields(self.clone()))
    }

    /// What was sealed for `purpose` and `context`; none where it was not.
    #[must_use]
    pub fn open(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE>()?;
        self.cipher(purpose).decrypt(&Nonce::from(*nonce), Payload { msg: body, aad: context }).ok()
    }

    /// The same as text that may stand in a URL.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_text(&self, purpose: &str, context: &[u8], bytes: &[u8]) -> Result<String, Error> {
        self.seal(purpose, context, bytes).map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What [`Self::seal_text`] sealed.
    #[must_use]
    pub fn open_text(&self, purpose: &str, context: &[u8], text: &str) -> Option<Vec<u8>> {
        self.open(purpose, context, &URL_SAFE_NO_PAD.decode(text).ok()?)
    }
}

/// The key in the hands of fields.
#[derive(Clone, Debug)]
struct Fields(MasterKey);

/// What fields are sealed for.
const FIELD: &str = "field";

impl Seal for Fields {
    fn seal(&self, place: &str, clear: &[u8]) -> Option<Vec<u8>> {
        self.0.seal_alike(FIELD, place.as_bytes(), clear)
    }

    fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(FIELD, place.as_bytes(), sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_for_their_purpose_only() {
        let key = MasterKey::generate().expect("random");
        let sealed = key.seal_text("cursor", b"deal", b"secret").expect("sealed");
        assert_eq!(key.open_text("cursor", b"deal", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(key.open_text("cursor", b"account", &sealed), None);
        assert_eq!(key.open_text("field", b"deal", &sealed), None);
        assert_eq!(key.open_text("cursor", b"deal", &sealed[..sealed.len() - 2]), None);
        assert_eq!(key.open_text("cursor", b"deal", "€"), None);
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = MasterKey::generate().expect("random");
        assert_eq!(MasterKey::parse(&key.hex()).expect("hex").0, key.0);
        assert!(MasterKey::parse("zz").is_err());
    }
}
