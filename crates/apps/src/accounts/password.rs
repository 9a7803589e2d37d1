//! Hashing passwords: argon2id, off the async workers, a few at a time.

use super::AccountError;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// How hard guessing a stolen hash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    fn default() -> Cost {
        Cost { memory: 19 * 1024, passes: 2 }
    }
}

/// Hashes, and checks against hashes. Each takes a core for some 20 ms and 19 MiB,
/// so only as many run as there are cores, and only so many may wait.
#[derive(Clone)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    /// A hash that no password has: what is checked where there is no such user.
    nobody: Arc<str>,
}

impl Passwords {
    pub(super) async fn new(cost: Cost) -> Result<Passwords, AccountError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let params = Params::new(cost.memory, cost.passes, 1, None).unwrap_or_default();
        let mut passwords = Passwords {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            running: Arc::new(Semaphore::new(cores)),
            waiting: Arc::new(AtomicUsize::new(0)),
            waiting_max: 128 * cores,
            nobody: "".into(),
        };
        let unknown = crate::hex::encode(&rand::random::<[u8; 32]>());
        passwords.nobody = passwords.hash(&unknown).await?.into();
        Ok(passwords)
    }

    /// The hash of a password, salted, in PHC form.
    pub(super) async fn hash(&self, password: &str) -> Result<String, AccountError> {
        let password = prepared(password);
        let argon2 = self.argon2.clone();
        self.run(move || argon2.hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string()))
            .await?
            .map_err(|error| AccountError::Damaged(format!("a password could not be hashed: {error}")))
    }

    /// Is it the password of this hash? Without a hash the answer is no, and takes as long.
    pub(super) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, AccountError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_string();
        let password = prepared(password);
        let argon2 = self.argon2.clone();
        let right = self
            .run(move || {
                PasswordHash::new(&hash).is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(right && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(AccountError::Busy);
        }
        let _waits = Waits(&self.waiting);
        let permit = self.running.clone().acquire_owned().await.map_err(|_| AccountError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Kept here, so that the work counts until it ends, whoever stopped waiting for it.
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| AccountError::Busy)
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same password typed on another keyboard has the same bytes.
fn prepared(password: &str) -> String {
    password.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1 };

    #[tokio::test]
    async fn a_hash_knows_its_password_only() {
        let passwords = Passwords::new(CHEAP).await.unwrap();
        let hash = passwords.hash("pässword").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("pässword").await.unwrap());
        assert!(passwords.verify("pa\u{308}ssword", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("password", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("password", None).await.unwrap());
        assert!(!passwords.verify("password", Some("not a hash")).await.unwrap());
    }

    #[tokio::test]
    async fn the_usual_cost_is_in_the_hash() {
        let passwords = Passwords::new(Cost::default()).await.unwrap();
        let hash = passwords.hash("password").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[tokio::test]
    async fn only_so_many_may_wait() {
        let mut passwords = Passwords::new(CHEAP).await.unwrap();
        passwords.waiting_max = 0;
        assert_eq!(passwords.hash("password").await, Err(AccountError::Busy));
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }
}
