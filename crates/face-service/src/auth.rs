//! Basic authentication against Argon2id hashes.
//!
//! A password is checked with Argon2 once; after that its keyed digest is remembered, so that a request pays one HMAC.
//! An unknown user costs the same Argon2 run as a wrong password.
//!
//! Failures slow down who makes them, by address, and never the user they are made for: whoever was accepted since the
//! last change of that user's hash is recognised before any wait, and from other addresses nothing is counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
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

/// Failures of whatever names after which a place waits for every name: a whole network of callers behind one address
/// may mistype, and a list of names tried from one address must not keep the checker busy.
const FREE_FAILURES: u32 = 50;

/// Failures are forgotten after this time without another.
const MEMORY: Duration = Duration::from_secs(32);

/// Pairs of place and name that are remembered for their failures.
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

/// Who may log in.
type Users = HashMap<String, User>;

struct User {
    /// `$argon2id$…`
    hash: String,
    /// The keyed digest of the credentials that Argon2 has accepted for this hash.
    accepted: Option<[u8; 32]>,
}

/// The users and what is remembered about them.
pub struct Authenticator {
    users: RwLock<Users>,
    file: Option<PathBuf>,
    failures: Mutex<Failures>,
    key: [u8; 32],
    checks: Semaphore,
    waiting: Semaphore,
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
        let users = line.split_once(':').map(|(name, hash)| (name.to_owned(), User::new(hash)));
        Self::new(users.into_iter().collect(), None)
    }

    /// The users of a file with a line `name:$argon2id$…` for each.
    pub fn from_file(path: &Path) -> Result<Self, AuthError> {
        Self::new(read_users(path)?, Some(path.to_owned()))
    }

    fn new(users: Users, file: Option<PathBuf>) -> Result<Self, AuthError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| AuthError::Hash(e.to_string()))?;
        Ok(Self {
            users: RwLock::new(users),
            file,
            failures: Mutex::default(),
            key,
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
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.file else { return Ok(users.len()) };
        let mut fresh = read_users(path)?;
        // What was accepted counts on where the hash is the same, so that a reload is nobody's chance to be shut out.
        for (name, user) in &mut fresh {
            user.accepted = users.get(name).filter(|old| old.hash == user.hash).and_then(|old| old.accepted);
        }
        *users = fresh;
        Ok(users.len())
    }

    /// The user behind a request's `Authorization` header. Failures are counted for the address that it came from.
    pub async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<String, Problem> {
        let (name, password) = credentials(headers)?;
        let digest = self.digest(&name, &password);
        let accepted = {
            let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
            users.get(&name).and_then(|user| user.accepted)
        };
        // Compared with zeros when the user is not remembered, so that both ways take the same time.
        let known = accepted.unwrap_or_default().ct_eq(&digest).into();
        if accepted.is_some() && known {
            return Ok(name);
        }
        self.check(name, password, digest, place(address)).await
    }

    async fn check(&self, name: String, password: String, digest: [u8; 32], place: IpAddr) -> Result<String, Problem> {
        let failures = || self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures().admit(place, &name, Instant::now())?;
        let busy = || {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "login_busy", "too many logins at once: try again in 1 s")
                .with_header(header::RETRY_AFTER, HeaderValue::from(1))
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let _turn = self.checks.acquire().await.map_err(|_| busy())?;
        // Those who waited beside this one may have failed meanwhile: guesses sent at once count as guesses in turn.
        failures().admit(place, &name, Instant::now())?;
        let (hash, exists) = {
            let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
            match users.get(&name) {
                Some(user) => (user.hash.clone(), true),
                // Somebody's hash, for the time that it takes: the costliest, should they differ.
                None => {
                    (users.values().max_by_key(|u| cost(&u.hash)).map(|u| u.hash.clone()).unwrap_or_default(), false)
                }
            }
        };
        let (right, hash) = tokio::task::spawn_blocking(move || {
            (argon2().verify_password(password.as_bytes(), hash.as_str()).is_ok(), hash)
        })
        .await
        .unwrap_or_default();
        if exists && right {
            failures().forget(place, &name);
            let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
            // Unless the file was read again meanwhile and this password belongs to an old hash.
            let user = users.get_mut(&name).filter(|user| user.hash == hash).ok_or_else(wrong)?;
            user.accepted = Some(digest);
            return Ok(name);
        }
        failures().count(place, name, Instant::now());
        Err(wrong())
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

impl User {
    fn new(hash: &str) -> Self {
        Self { hash: hash.to_owned(), accepted: None }
    }
}

/// Memory times passes, which an Argon2 run's time is proportional to.
fn cost(hash: &str) -> u64 {
    let params = argon2::PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
    params.map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
}

/// What failures are counted for: the address, or the /64 network of an IPv6 address, since whoever has one of its
/// addresses has them all.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Failed logins by place and name, and by place alone.
#[derive(Default)]
struct Failures {
    of_name: HashMap<(IpAddr, String), Count>,
    of_place: HashMap<IpAddr, Count>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    last: Instant,
}

impl Count {
    /// One more failure.
    fn add<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, Self>, key: K, now: Instant) {
        if counts.len() >= MAX_REMEMBERED {
            counts.retain(|_, count| now.saturating_duration_since(count.last) < MAX_PENALTY);
            if counts.len() >= MAX_REMEMBERED {
                counts.clear();
            }
        }
        let count = counts.entry(key).or_insert(Self { failures: 0, last: now });
        let forgotten = now.saturating_duration_since(count.last) > MEMORY;
        *count = Self { failures: if forgotten { 1 } else { count.failures.saturating_add(1) }, last: now };
    }

    /// How long to wait from `now` on, when the first `free` failures cost nothing.
    fn wait(&self, free: u32, now: Instant) -> Duration {
        let Some(doublings) = self.failures.checked_sub(free + 1) else { return Duration::ZERO };
        let penalty = FIRST_PENALTY.saturating_mul(1 << doublings.min(8)).min(MAX_PENALTY);
        penalty.saturating_sub(now.saturating_duration_since(self.last))
    }
}

impl Failures {
    /// Whether a place may try a password for a name now.
    fn admit(&self, place: IpAddr, name: &str, now: Instant) -> Result<(), Problem> {
        let of_name = self.of_name.get(&(place, name.to_owned())).map_or(Duration::ZERO, |count| count.wait(0, now));
        let of_place = self.of_place.get(&place).map_or(Duration::ZERO, |count| count.wait(FREE_FAILURES, now));
        let wait = of_name.max(of_place);
        if wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_secs() + 1;
        Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_failed_logins",
            format!("too many wrong passwords from this address: try again in {seconds} s"),
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)))
    }

    fn count(&mut self, place: IpAddr, name: String, now: Instant) {
        Count::add(&mut self.of_name, (place, name), now);
        Count::add(&mut self.of_place, place, now);
    }

    /// After a right password. What the place has done to other names is not forgiven.
    fn forget(&mut self, place: IpAddr, name: &str) {
        self.of_name.remove(&(place, name.to_owned()));
    }
}

fn read_users(path: &Path) -> Result<Users, AuthError> {
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
        users.insert(name.to_owned(), User::new(hash));
    }
    if users.is_empty() {
        return Err(AuthError::NoUsers(path.to_owned()));
    }
    Ok(users)
}

fn wrong() -> Problem {
    unauthorized("credentials_wrong", "the user name or the password is wrong")
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

    /// An address of the network for documentation.
    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn users_file(lines: &[String]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("users");
        std::fs::write(&path, lines.join("\n")).expect("writes");
        (folder, path)
    }

    #[tokio::test]
    async fn accepts_the_right_password_and_no_other() {
        let users = Authenticator::single("ann", "p:ss wörd").expect("hashes");
        assert_eq!(users.authenticate(&basic("ann", "p:ss wörd"), from(1)).await, Ok("ann".into()));
        assert_eq!(users.authenticate(&basic("ann", "p:ss wörd"), from(2)).await, Ok("ann".into()));
        for (name, password, place) in [("ann", "", 3), ("ann", "P:ss wörd", 4), ("bob", "p:ss wörd", 5)] {
            let problem = users.authenticate(&basic(name, password), from(place)).await.expect_err("wrong");
            assert_eq!(problem.status, StatusCode::UNAUTHORIZED);
            assert_eq!(problem.header.expect("challenge").0, header::WWW_AUTHENTICATE);
        }
    }

    #[tokio::test]
    async fn failures_slow_down_their_own_address_only() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        let wrong = users.authenticate(&basic("ann", "wrong"), from(1)).await.expect_err("wrong");
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        let again = users.authenticate(&basic("ann", "wrong"), from(1)).await.expect_err("too soon");
        assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(users.authenticate(&basic("ann", "right"), from(2)).await.is_ok());
        // Whoever was accepted is not shut out by what others do, wherever they do it.
        assert!(users.authenticate(&basic("ann", "right"), from(1)).await.is_ok());
    }

    #[tokio::test]
    async fn guesses_sent_at_once_are_no_more_guesses_than_in_turn() {
        let users = std::sync::Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        let guesses: Vec<_> = (0..20)
            .map(|number| {
                let users = std::sync::Arc::clone(&users);
                tokio::spawn(async move { users.authenticate(&basic("ann", &number.to_string()), from(1)).await })
            })
            .collect();
        let mut checked = 0;
        for guess in guesses {
            let problem = guess.await.expect("no panic").expect_err("wrong");
            checked += usize::from(problem.status == StatusCode::UNAUTHORIZED);
        }
        assert_eq!(checked, 1, "the others were told to wait");
    }

    #[test]
    fn waits_double_up_to_their_limit_and_are_forgotten() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        let wait = |failures: &Failures, now| failures.of_name[&(from(1), "ann".to_owned())].wait(0, now);
        let mut waits = Vec::new();
        for _ in 0..8 {
            failures.count(from(1), "ann".into(), now);
            waits.push(wait(&failures, now).as_millis());
            now += wait(&failures, now);
            assert!(failures.admit(from(1), "ann", now).is_ok());
        }
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        now += MEMORY + Duration::from_secs(1);
        failures.count(from(1), "ann".into(), now);
        assert_eq!(wait(&failures, now), FIRST_PENALTY);
    }

    #[test]
    fn an_address_that_tries_many_names_waits_for_all_of_them() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..FREE_FAILURES {
            assert!(failures.admit(from(1), &number.to_string(), now).is_ok());
            failures.count(from(1), number.to_string(), now);
        }
        assert!(failures.admit(from(1), "ann", now).is_ok());
        failures.count(from(1), "one too many".into(), now);
        assert_eq!(failures.admit(from(1), "ann", now).expect_err("slowed").code, "too_many_failed_logins");
        assert!(failures.admit(from(2), "ann", now).is_ok());
        // A right password of one's own does not make up for guesses at others.
        failures.forget(from(1), "ann");
        assert!(failures.admit(from(1), "bob", now).is_err());
    }

    #[test]
    fn the_table_of_failures_is_bounded() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..3 * MAX_REMEMBERED {
            failures.count(Ipv6Addr::from_bits((number as u128) << 64).into(), "ann".into(), now);
        }
        assert!(failures.of_name.len() <= MAX_REMEMBERED && failures.of_place.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_place() {
        let address = |text: &str| place(text.parse().expect(text));
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::1"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        // A socket that listens on both families shows IPv4 callers so.
        assert_eq!(address("::ffff:192.0.2.1"), from(1));
        assert_ne!(address("::ffff:192.0.2.1"), address("::ffff:192.0.2.2"));
    }

    #[tokio::test]
    async fn malformed_headers_are_told_apart_from_wrong_passwords() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        for value in ["Basic", "Bearer abc", "Basic %%%", "Basic YW5u", "basic"] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            let problem = users.authenticate(&headers, from(1)).await.expect_err(value);
            assert_eq!((problem.status, problem.code), (StatusCode::UNAUTHORIZED, "credentials_malformed"));
        }
        let problem = users.authenticate(&HeaderMap::new(), from(1)).await.expect_err("none");
        assert_eq!(problem.code, "credentials_missing");
    }

    #[tokio::test]
    async fn a_changed_users_file_counts_after_a_reload() {
        let line = |name: &str, password: &str| hash_line(name, password).expect("hashes");
        let bob = line("bob", "stays");
        let (_folder, path) = users_file(&["# staff".into(), line("ann", "old"), bob.clone()]);
        let users = Authenticator::from_file(&path).expect("reads");
        assert!(users.authenticate(&basic("ann", "old"), from(1)).await.is_ok());
        assert!(users.authenticate(&basic("bob", "stays"), from(1)).await.is_ok());
        std::fs::write(&path, [line("ann", "new"), bob].join("\n")).expect("writes");
        assert_eq!(users.reload().expect("reads"), 2);
        assert!(users.authenticate(&basic("ann", "old"), from(2)).await.is_err());
        assert!(users.authenticate(&basic("ann", "new"), from(3)).await.is_ok());
        // Bob's hash is the same: he is recognised without another check, even where guesses at him were slowed.
        assert!(users.authenticate(&basic("bob", "guess"), from(4)).await.is_err());
        assert!(users.authenticate(&basic("bob", "stays"), from(4)).await.is_ok());
        std::fs::write(&path, "ann:secret").expect("writes");
        assert!(matches!(users.reload(), Err(AuthError::Line { line: 1, .. })));
        assert!(users.authenticate(&basic("ann", "new"), from(5)).await.is_ok());
        std::fs::write(&path, line("ann", "new")).expect("writes");
        assert_eq!(users.reload().expect("reads"), 1);
        assert!(users.authenticate(&basic("bob", "stays"), from(6)).await.is_err(), "bob is gone");
    }

    #[test]
    fn an_unknown_name_costs_what_the_costliest_user_does() {
        let hash = |memory| {
            let argon2 =
                Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, 2, 1, None).expect("valid"));
            argon2.hash_password(b"secret").expect("hashes").to_string()
        };
        assert_eq!([cost(&hash(64)), cost(&hash(1_024)), cost("nothing")], [128, 2_048, 0]);
    }
}
