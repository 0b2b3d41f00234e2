//! In charge of passwords: which are good enough, how they are hashed and compared.
//! Invariant: hashing runs off the async threads, a few at a time; who asks beyond that is told to come back.
//! Invariant: comparing takes the same work whether there is such an account or not.

use std::sync::{Arc, LazyLock};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::{Code, Message, Violation};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::error::Error;

/// The shortest password, in characters.
const SHORTEST: usize = 8;
/// The longest password, in bytes: enough for any sentence, too little to make the machine work.
const LONGEST: usize = 1024;
/// How many may wait for their turn.
const WAITING: usize = 64;
/// The cost: 19 MiB, two passes, one lane (OWASP's choice for argon2id).
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Hashes a few passwords at a time.
#[derive(Clone)]
pub(super) struct Hasher {
    lanes: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        let lanes = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(4);
        Self { lanes: Arc::new(Semaphore::new(lanes)), queue: Arc::new(Semaphore::new(lanes + WAITING)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let Ok(_place) = self.queue.try_acquire() else { return Err(Error::RateLimited { retry_after: 1 }) };
        let lane = Arc::clone(&self.lanes).acquire_owned().await.map_err(|error| Error::Internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let _lane = lane;
            work()
        });
        done.await.map_err(|error| Error::Internal(error.to_string()))
    }

    /// The hash of a password, with its salt and cost.
    pub(super) async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || hash(&password)).await?
    }

    /// Whether `password` is the one of `known`. Without one the same work is done for nothing.
    pub(super) async fn verify(&self, known: Option<String>, password: String) -> Result<bool, Error> {
        self.run(move || {
            let (hash, there) = known.map_or_else(|| (NOBODYS.clone(), false), |hash| (hash, true));
            verify(&hash, &password) && there
        })
        .await
    }
}

/// A hash that no password has: what is compared where there is no account.
static NOBODYS: LazyLock<String> = LazyLock::new(|| encode(COST, &[7; 16], &[0; 32]));

fn encode((memory, passes, lanes): (u32, u32, u32), salt: &[u8], hash: &[u8]) -> String {
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash))
}

fn derive((memory, passes, lanes): (u32, u32, u32), salt: &[u8], password: &str) -> Option<[u8; 32]> {
    let params = Params::new(memory, passes, lanes, Some(32)).ok()?;
    let mut hash = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password.as_bytes(), salt, &mut hash).ok()?;
    Some(hash)
}

fn hash(password: &str) -> Result<String, Error> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    let hash = derive(COST, &salt, password).ok_or_else(|| Error::Internal("argon2 refused its parameters".to_owned()))?;
    Ok(encode(COST, &salt, &hash))
}

fn verify(known: &str, password: &str) -> bool {
    let check = || {
        let mut parts = known.strip_prefix("$argon2id$v=19$")?.split('$');
        let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = cost.split(',').filter_map(|part| part.get(2..)?.parse::<u32>().ok());
        let cost = (numbers.next()?, numbers.next()?, numbers.next()?);
        let derived = derive(cost, &STANDARD_NO_PAD.decode(salt).ok()?, password)?;
        Some(bool::from(derived.as_slice().ct_eq(&STANDARD_NO_PAD.decode(hash).ok()?)))
    };
    password.len() <= LONGEST && check().unwrap_or(false)
}

/// What is wrong with a new password, if anything is.
pub(super) fn judge(password: &str, email: &str) -> Result<(), Error> {
    let fault = |message: Message| Err(Error::from(Violation::of_field("password", Code::BadFormat, message)));
    if password.chars().count() < SHORTEST {
        return fault(Message::new("password_short").with("min", SHORTEST));
    }
    if password.len() > LONGEST {
        return fault(Message::new("too_long").with("max", LONGEST));
    }
    let folded = model::text::fold(password);
    let of_one_kind = folded.chars().next().is_some_and(|first| folded.chars().all(|character| character == first));
    if of_one_kind || folded == model::text::fold(email) || COMMON.lines().any(|common| common == folded) {
        return fault(Message::new("password_common"));
    }
    Ok(())
}

/// The passwords that are tried first, of eight characters and more.
const COMMON: &str = include_str!("common_passwords.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_from_others() {
        let known = hash("correct horse").expect("hashes");
        assert!(known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&known, "correct horse"));
        assert!(!verify(&known, "correct horsf"));
        assert!(!verify("$argon2id$rubbish", "correct horse"));
        assert!(!verify(&NOBODYS, ""));
    }

    #[test]
    fn weak_passwords_are_refused() {
        assert!(judge("seven77", "a@b.c").is_err());
        assert!(judge("aaaaaaaaaaaa", "a@b.c").is_err());
        assert!(judge("Password123", "a@b.c").is_err());
        assert!(judge("someone@example.com", "Someone@example.com").is_err());
        assert!(judge("trellis-demo", "a@b.c").is_ok());
        assert!(judge("八个字以上的密码啊", "a@b.c").is_ok());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let hasher = Hasher::new();
        assert!(!hasher.verify(None, "anything at all".to_owned()).await.expect("works"));
    }
}
