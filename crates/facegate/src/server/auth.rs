//! Basic authentication against Argon2id hashes.
//!
//! A password is checked with Argon2 once; after that its keyed digest is remembered, so that a request pays one HMAC.
//! An unknown user costs the same Argon2 run as a wrong password.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::contract::Problem;

/// Argon2id with 19 MiB, 2 passes, 1 lane: the first choice of OWASP's password storage cheat sheet.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The longest name and password in bytes; more is refused before any hashing.
const MAX_CREDENTIAL: usize = 256;

/// Argon2 runs side by side: a flood of wrong passwords must leave the cores to analyses.
const CONCURRENT_CHECKS: usize = 1;

/// Requests that may wait for an Argon2 run; more are told to come back.
const WAITING_CHECKS: usize = 32;

/// Each failure of a name from one place doubles that place's wait for it, up to `MAX_PENALTY`.
const FIRST_PENALTY: Duration = Duration::from_millis(250);
const MAX_PENALTY: Duration = Duration::from_secs(8);

/// Places that are remembered for their failures; the oldest are forgotten first.
const MAX_REMEMBERED: usize = 10_000;

/// Users could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The users file cannot be read.
    #[error("cannot read the users file {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not `name:$argon2id$…`.
    #[error(
        "line {line} of the users file {path} is not `name:$argon2id$…`: make it with `facegate hash-password NAME`"
    )]
    Line {
        /// Its path.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// Nobody could ever log in.
    #[error("the users file {0} has no users: add one with `facegate hash-password NAME`")]
    NoUsers(PathBuf),
    /// Names cannot hold a colon in Basic authentication.
    #[error("the user name is empty, too long or has a colon or control characters")]
    Name,
    /// Hashing failed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// `name:$argon2id$…` for the users file.
pub fn hash_line(name: &str, password: &str) -> Result<String, AuthError> {
    if name.is_empty() || name.len() > MAX_CREDENTIAL || name.contains(':') || name.chars().any(char::is_control) {
        return Err(AuthError::Name);
    }
    if password.is_empty() || password.len() > MAX_CREDENTIAL {
        return Err(AuthError::Hash(format!("it must have 1 to {MAX_CREDENTIAL} bytes")));
    }
    Ok(format!("{name}:{}", hash(password)?))
}

fn hash(password: &str) -> Result<String, AuthError> {
    let hash = argon2().hash_password(password.as_bytes()).map_err(|e| AuthError::Hash(e.to_string()))?;
    Ok(hash.to_string())
}

/// A password of 120 random bits.
pub fn random_password() -> Result<String, AuthError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|e| AuthError::Hash(e.to_string()))?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// The users and what is remembered about them.
pub struct Authenticator {
    users: RwLock<HashMap<String, String>>,
    file: Option<PathBuf>,
    /// Keyed digests of credentials that Argon2 has accepted, by user.
    accepted: Mutex<HashMap<String, [u8; 32]>>,
    failures: Mutex<HashMap<(String, String), Failures>>,
    key: [u8; 32],
    /// What an unknown user's password is checked against.
    nobody: String,
    checks: Semaphore,
    waiting: Semaphore,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn penalty(&self) -> Duration {
        FIRST_PENALTY.saturating_mul(1 << self.count.saturating_sub(1).min(8)).min(MAX_PENALTY)
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// One user with a password in the clear, which is hashed at once.
    pub fn single(name: &str, password: &str) -> Result<Self, AuthError> {
        let line = hash_line(name, password)?;
        let users = line.split_once(':').map(|(name, hash)| (name.to_owned(), hash.to_owned()));
        Self::new(users.into_iter().collect(), None)
    }

    /// The users of a file with a line `name:$argon2id$…` for each.
    pub fn from_file(path: &Path) -> Result<Self, AuthError> {
        Self::new(read_users(path)?, Some(path.to_owned()))
    }

    fn new(users: HashMap<String, String>, file: Option<PathBuf>) -> Result<Self, AuthError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| AuthError::Hash(e.to_string()))?;
        Ok(Self {
            users: RwLock::new(users),
            file,
            accepted: Mutex::default(),
            failures: Mutex::default(),
            key,
            nobody: hash(&random_password()?)?,
            checks: Semaphore::new(CONCURRENT_CHECKS),
            waiting: Semaphore::new(WAITING_CHECKS),
        })
    }

    /// The users file, when there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the users file again. A faulty file leaves the users as they were.
    pub fn reload(&self) -> Result<usize, AuthError> {
        let Some(path) = &self.file else { return Ok(self.users.read().unwrap_or_else(PoisonError::into_inner).len()) };
        let users = read_users(path)?;
        let count = users.len();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        // What was accepted under the old hashes counts no more.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(count)
    }

    /// The user behind a request's `Authorization` header. `place` is the address that failures are counted for.
    pub async fn authenticate(&self, headers: &HeaderMap, place: &str) -> Result<String, Problem> {
        let (name, password) = credentials(headers)?;
        let digest = self.digest(&name, &password);
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        // Compared with zeros when the user is not remembered, so that both ways take the same time.
        let known = accepted.unwrap_or_default().ct_eq(&digest).into();
        if accepted.is_some() && known {
            return Ok(name);
        }
        self.check(name, password, digest, place).await
    }

    async fn check(&self, name: String, password: String, digest: [u8; 32], place: &str) -> Result<String, Problem> {
        let culprit = (place.to_owned(), name.clone());
        let wait = {
            let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.get(&culprit).map_or(Duration::ZERO, |f| f.penalty().saturating_sub(f.last.elapsed()))
        };
        // Only this place waits for this name: nobody can lock another user out from elsewhere.
        if !wait.is_zero() {
            let seconds = wait.as_secs() + 1;
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failed_logins",
                format!("too many wrong passwords from this address: try again in {seconds} s"),
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        let busy = || {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "login_busy", "too many logins at once: try again in 1 s")
                .with_header(header::RETRY_AFTER, HeaderValue::from(1))
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let _turn = self.checks.acquire().await.map_err(|_| busy())?;
        let hash = self.users.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let right =
            tokio::task::spawn_blocking(move || argon2().verify_password(password.as_bytes(), hash.as_str()).is_ok())
                .await
                .unwrap_or(false);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if exists && right {
            failures.remove(&culprit);
            self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), digest);
            return Ok(name);
        }
        if failures.len() >= MAX_REMEMBERED {
            failures.retain(|_, f| f.last.elapsed() < MAX_PENALTY);
            if failures.len() >= MAX_REMEMBERED {
                failures.clear();
            }
        }
        let entry = failures.entry(culprit).or_insert(Failures { count: 0, last: Instant::now() });
        entry.count = if entry.last.elapsed() > MAX_PENALTY * 4 { 1 } else { entry.count.saturating_add(1) };
        entry.last = Instant::now();
        Err(unauthorized("credentials_wrong", "the user name or the password is wrong"))
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return [0xff; 32] };
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn read_users(path: &Path) -> Result<HashMap<String, String>, AuthError> {
    let text = std::fs::read_to_string(path).map_err(|source| AuthError::Read { path: path.to_owned(), source })?;
    let mut users = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let malformed = || AuthError::Line { path: path.to_owned(), line: index + 1 };
        let (name, hash) = line.split_once(':').ok_or_else(malformed)?;
        // A hash that does not parse would lock its user out without a word.
        let parsed = argon2::PasswordHash::new(hash).map_err(|_| malformed())?;
        if name.is_empty() || !hash.starts_with("$argon2id$") || parsed.hash.is_none() {
            return Err(malformed());
        }
        users.insert(name.to_owned(), hash.to_owned());
    }
    if users.is_empty() {
        return Err(AuthError::NoUsers(path.to_owned()));
    }
    Ok(users)
}

fn unauthorized(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"facegate\", charset=\"UTF-8\""))
}

/// User name and password of a Basic `Authorization` header (RFC 7617).
fn credentials(headers: &HeaderMap) -> Result<(String, String), Problem> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        unauthorized("credentials_missing", "send an Authorization header: Basic and the Base64 of user:password")
    })?;
    let malformed = || {
        unauthorized("credentials_malformed", "the Authorization header is not Basic and the Base64 of user:password")
    };
    let value = header.to_str().map_err(|_| malformed())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") || token.len() > 4 * MAX_CREDENTIAL {
        return Err(malformed());
    }
    let bytes = base64_simd::STANDARD.decode_to_vec(token.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (name, password) = text.split_once(':').ok_or_else(malformed)?;
    if name.len() > MAX_CREDENTIAL || password.len() > MAX_CREDENTIAL {
        return Err(malformed());
    }
    Ok((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> HeaderMap {
        let token = base64_simd::STANDARD.encode_to_string(format!("{user}:{password}"));
        let value = HeaderValue::from_str(&format!("Basic {token}")).expect("ASCII");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    #[tokio::test]
    async fn accepts_the_right_password_and_no_other() {
        let users = Authenticator::single("ann", "p:ss wörd").expect("hashes");
        assert_eq!(users.authenticate(&basic("ann", "p:ss wörd"), "a").await, Ok("ann".into()));
        assert_eq!(users.authenticate(&basic("ann", "p:ss wörd"), "b").await, Ok("ann".into()));
        for (name, password, place) in [("ann", "", "c"), ("ann", "P:ss wörd", "d"), ("bob", "p:ss wörd", "e")] {
            let problem = users.authenticate(&basic(name, password), place).await.expect_err("wrong");
            assert_eq!(problem.status, StatusCode::UNAUTHORIZED);
            assert_eq!(problem.header.expect("challenge").0, header::WWW_AUTHENTICATE);
        }
    }

    #[tokio::test]
    async fn failures_slow_down_their_own_address_only() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        let wrong = users.authenticate(&basic("ann", "wrong"), "attacker").await.expect_err("wrong");
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        let again = users.authenticate(&basic("ann", "wrong"), "attacker").await.expect_err("too soon");
        assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(users.authenticate(&basic("ann", "right"), "home").await.is_ok());
    }

    #[tokio::test]
    async fn malformed_headers_are_told_apart_from_wrong_passwords() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        for value in ["Basic", "Bearer abc", "Basic %%%", "Basic YW5u", "basic"] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            let problem = users.authenticate(&headers, "x").await.expect_err(value);
            assert_eq!((problem.status, problem.code), (StatusCode::UNAUTHORIZED, "credentials_malformed"));
        }
        let problem = users.authenticate(&HeaderMap::new(), "x").await.expect_err("none");
        assert_eq!(problem.code, "credentials_missing");
    }

    #[tokio::test]
    async fn a_changed_users_file_counts_after_a_reload() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("users");
        std::fs::write(&path, format!("# staff\n{}\n", hash_line("ann", "old").expect("hashes"))).expect("writes");
        let users = Authenticator::from_file(&path).expect("reads");
        assert!(users.authenticate(&basic("ann", "old"), "a").await.is_ok());
        std::fs::write(&path, hash_line("ann", "new").expect("hashes")).expect("writes");
        assert_eq!(users.reload().expect("reads"), 1);
        assert!(users.authenticate(&basic("ann", "old"), "b").await.is_err());
        assert!(users.authenticate(&basic("ann", "new"), "c").await.is_ok());
        std::fs::write(&path, "ann:secret").expect("writes");
        assert!(matches!(users.reload(), Err(AuthError::Line { line: 1, .. })));
        assert!(users.authenticate(&basic("ann", "new"), "d").await.is_ok());
    }
}
