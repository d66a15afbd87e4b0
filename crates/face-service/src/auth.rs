//! Basic authentication against Argon2id hashes.
//!
//! A password is checked with Argon2 once; after that its keyed digest is remembered, so that a request pays one HMAC.
//! An unknown user costs the same Argon2 run as a wrong password.
//!
//! Failures slow down who makes them, by address, and never the user they are made for: whoever was accepted since the
//! last change of that user's hash is recognised before any wait, and from other addresses nothing is counted. Whoever sends
//! once more what was refused last guesses nothing: he is refused again, without a check, a count or a wait.
//!
//! A check is a task of its own. It counts as a failure from its beginning until it turns out to be none, and it keeps its
//! place among those that wait until it is done: a caller who breaks off gains nothing by it.

mod credentials;
mod failures;
mod users;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use argon2::PasswordVerifier as _;
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, watch};

use self::credentials::{credentials, wrong};
use self::failures::Failures;
pub use self::users::{AuthError, hash_line, random_password};
use self::users::{User, Users, argon2, hash, read_users};
use super::blocking::Pool;
use super::contract::{Problem, overloaded};
use super::place::place;
use super::shares::{Part, Shares, share_of};

/// Argon2 runs side by side: a flood of wrong passwords must leave the cores to analyses.
const CONCURRENT_CHECKS: usize = 1;

/// Logins that may wait for an Argon2 run; more are told to come back.
const WAITING_CHECKS: usize = 32;

/// The users and what is remembered about them.
pub struct Authenticator {
    known: Arc<Known>,
    pool: Pool,
}

/// What a check needs, whoever still waits for it.
struct Known {
    users: RwLock<Users>,
    file: Option<PathBuf>,
    failures: Mutex<Failures>,
    /// The checks that have begun, by where they come from and what is checked.
    running: Mutex<HashMap<Login, watch::Receiver<Option<bool>>>>,
    key: [u8; 32],
    checks: Arc<Semaphore>,
    waiting: Shares<IpAddr>,
    /// How many of those who wait may come from one address.
    waiting_share: AtomicUsize,
    give_back: OnceLock<fn()>,
}

/// A place and the digest of the credentials that it sent.
type Login = (IpAddr, [u8; 32]);

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("file", &self.known.file).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// One user with a password in the clear, which is hashed at once.
    pub fn single(name: &str, password: &str) -> Result<Self, AuthError> {
        Self::new(Users::from([(name.to_owned(), User::new(&hash(name, password)?))]), None)
    }

    /// The users of a file with a line `name:$argon2id$…` for each.
    pub fn from_file(path: &Path) -> Result<Self, AuthError> {
        Self::new(read_users(path)?, Some(path.to_owned()))
    }

    fn new(users: Users, file: Option<PathBuf>) -> Result<Self, AuthError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| AuthError::Hash(e.to_string()))?;
        let known = Known {
            users: RwLock::new(users),
            file,
            failures: Mutex::default(),
            running: Mutex::default(),
            key,
            checks: Arc::new(Semaphore::new(CONCURRENT_CHECKS)),
            waiting: Shares::new(WAITING_CHECKS),
            waiting_share: AtomicUsize::new(WAITING_CHECKS / 2),
            give_back: OnceLock::new(),
        };
        let pool = Pool::new("login", CONCURRENT_CHECKS).map_err(AuthError::Thread)?;
        Ok(Self { known: Arc::new(known), pool })
    }

    /// From now on no address has more than this share (0 to 1) of the logins that wait; until then it is a half.
    pub fn share_logins(&self, share: f64) {
        self.known.waiting_share.store(share_of(WAITING_CHECKS, share), Ordering::Relaxed);
    }

    /// How the memory that checking a password takes, 19 MiB and more, goes back to the system at once. Only the first counts.
    pub(crate) fn give_back_with(&self, how: fn()) {
        let _ = self.known.give_back.set(how);
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.known.users.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Reads the users file again. A faulty file leaves the users as they were.
    pub fn reload(&self) -> Result<usize, AuthError> {
        let Some(path) = &self.known.file else { return Ok(self.count()) };
        let mut fresh = read_users(path)?;
        let mut users = self.known.users.write().unwrap_or_else(PoisonError::into_inner);
        // What was accepted counts on where the hash is the same, so that a reload is nobody's chance to be shut out.
        for (name, user) in &mut fresh {
            user.accepted = users.get(name).filter(|old| old.hash == user.hash).and_then(|old| old.accepted);
        }
        *users = fresh;
        // With the users still locked: a check that ends now finds that its hash is an old one.
        self.known.failures().forget_refused();
        Ok(users.len())
    }

    /// The user behind a request's `Authorization` header. Failures are counted for the address that it came from.
    pub async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<String, Problem> {
        let (name, password) = credentials(headers)?;
        let digest = self.known.digest(&name, &password);
        let accepted = {
            let users = self.known.users.read().unwrap_or_else(PoisonError::into_inner);
            users.get(&name).and_then(|user| user.accepted)
        };
        // Compared with zeros when the user is not remembered, so that both ways take the same time.
        let known = accepted.unwrap_or_default().ct_eq(&digest).into();
        if accepted.is_some() && known {
            return Ok(name);
        }
        let mut outcome = self.check(&name, password, (place(address), digest))?;
        match outcome.wait_for(Option::is_some).await.map(|outcome| *outcome == Some(true)) {
            Ok(true) => Ok(name),
            Ok(false) => Err(wrong()),
            // It was given up at the moment in which it was joined: nothing was checked.
            Err(_) => Err(busy()),
        }
    }

    /// Begins a check, or joins the one that is running for the same login.
    fn check(&self, name: &str, password: String, login: Login) -> Result<watch::Receiver<Option<bool>>, Problem> {
        let mut running = self.known.running();
        if let Some(outcome) = running.get(&login) {
            return Ok(outcome.clone());
        }
        let (place, now) = (login.0, Instant::now());
        let mut failures = self.known.failures();
        // A client that was left with an old password would else keep the others behind its address waiting.
        if failures.is_refused(place, name, &login.1) {
            return Err(wrong());
        }
        failures.admit(place, name, now)?;
        let share = self.known.waiting_share.load(Ordering::Relaxed);
        let waiting = self.known.waiting.take(place, 1, share).map_err(|_| busy())?;
        // A failure until it is none: guesses sent at once, or broken off, count as guesses in turn.
        failures.count(place, name.to_owned(), now);
        drop(failures);
        let (sender, outcome) = watch::channel(None);
        running.insert(login, outcome.clone());
        drop(running);
        let check = Check {
            known: Arc::clone(&self.known),
            name: name.to_owned(),
            password,
            login,
            sender,
            ended: false,
            _waiting: waiting,
        };
        tokio::spawn(check.run(self.pool.clone()));
        Ok(outcome)
    }
}

fn busy() -> Problem {
    overloaded("login_busy", "too many logins at once: try again in 1 s")
}

impl Known {
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Login, watch::Receiver<Option<bool>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody's hash, for the time that it takes: for each unknown name always the same, so that also where hashes differ
    /// in cost nobody's time stands out.
    fn stand_in<'u>(&self, users: &'u Users, name: &str) -> Option<&'u str> {
        let number = u64::from_le_bytes(self.digest(name, "").first_chunk().copied()?);
        let index = number.checked_rem(users.len() as u64)?;
        users.values().nth(index as usize).map(|user| user.hash.as_str())
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

/// A login that is being checked, with all that it was let in by.
struct Check {
    known: Arc<Known>,
    name: String,
    password: String,
    login: Login,
    sender: watch::Sender<Option<bool>>,
    /// Its books are closed.
    ended: bool,
    /// Its place among those that wait, until it is done.
    _waiting: Part<IpAddr>,
}

impl Check {
    /// Waits for the checker and then uses it.
    async fn run(self, pool: Pool) {
        // Never closed.
        let Ok(turn) = Arc::clone(&self.known.checks).acquire_owned().await else { return };
        // Only the table listens: nobody wants to know any more. It stays a failure.
        if self.sender.receiver_count() <= 1 {
            return;
        }
        drop(pool.begin(turn, move || self.conclude()));
    }

    /// Runs Argon2 and keeps the books.
    fn conclude(mut self) {
        let (hash, exists) = {
            let users = self.known.users.read().unwrap_or_else(PoisonError::into_inner);
            match users.get(&self.name) {
                Some(user) => (user.hash.clone(), true),
                None => (self.known.stand_in(&users, &self.name).unwrap_or_default().to_owned(), false),
            }
        };
        let mut right = argon2().verify_password(self.password.as_bytes(), hash.as_str()).is_ok() && exists;
        // Unless others wait who take it again: giving back looks at the free memory of the whole process.
        let last = self.known.running().len() <= 1;
        if let Some(give_back) = self.known.give_back.get().filter(|_| last) {
            give_back();
        }
        if right {
            self.known.failures().forgive(self.login.0, &self.name);
            let mut users = self.known.users.write().unwrap_or_else(PoisonError::into_inner);
            // Unless the file was read again meanwhile and this password belongs to an old hash.
            match users.get_mut(&self.name).filter(|user| user.hash == hash) {
                Some(user) => user.accepted = Some(self.login.1),
                None => right = false,
            }
        } else {
            let users = self.known.users.read().unwrap_or_else(PoisonError::into_inner);
            // Unless the file was read again meanwhile and it is the new hash's password.
            if users.get(&self.name).map(|user| &user.hash) == exists.then_some(&hash) {
                self.known.failures().refuse(self.login.0, &self.name, self.login.1);
            }
        }
        self.end(right);
        // Nobody need be listening.
        let _ = self.sender.send(Some(right));
    }

    /// Closes the books, before anybody has the answer: whoever comes after it finds what it has cost.
    fn end(&mut self, right: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if !right {
            self.known.failures().confirm(self.login.0, &self.name, Instant::now());
        }
        self.known.running().remove(&self.login);
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.end(false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderValue, StatusCode, header};
    use tokio::task::JoinHandle;

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
    async fn what_a_check_took_is_given_back_before_its_answer_is_there() {
        static GIVEN: AtomicUsize = AtomicUsize::new(0);
        let users = Authenticator::single("ann", "right").expect("hashes");
        users.give_back_with(|| {
            GIVEN.fetch_add(1, Ordering::Relaxed);
        });
        for (password, checks) in [("right", 1), ("right", 1), ("wrong", 2)] {
            let accepted = users.authenticate(&basic("ann", password), from(1)).await.is_ok();
            assert_eq!((accepted, GIVEN.load(Ordering::Relaxed)), (password == "right", checks));
        }
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
        let again = users.authenticate(&basic("ann", "wrong again"), from(1)).await.expect_err("too soon");
        assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(users.authenticate(&basic("ann", "right"), from(2)).await.is_ok());
        // Whoever was accepted is not shut out by what others do, wherever they do it.
        assert!(users.authenticate(&basic("ann", "right"), from(1)).await.is_ok());
    }

    #[tokio::test]
    async fn guesses_sent_at_once_are_no_more_guesses_than_in_turn() {
        let users = Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        let guesses: Vec<_> = (0..20)
            .map(|number| {
                let users = Arc::clone(&users);
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

    #[tokio::test]
    async fn a_client_with_an_old_password_fails_once_however_often_it_asks() {
        let line = |name: &str, password: &str| hash_line(name, password).expect("hashes");
        let bob = line("bob", "right");
        let (_folder, path) = users_file(&[line("ann", "new"), bob.clone()]);
        let users = Authenticator::from_file(&path).expect("reads");
        for _ in 0..200 {
            let refused = users.authenticate(&basic("ann", "old"), from(1)).await.expect_err("old");
            assert_eq!(refused.code, "credentials_wrong");
        }
        assert_eq!(users.authenticate(&basic("bob", "right"), from(1)).await, Ok("bob".into()), "nobody else waits");
        // What was wrong is right when the file says so, after the wait for one failure.
        std::fs::write(&path, [line("ann", "old"), bob].join("\n")).expect("writes");
        assert_eq!(users.reload().expect("reads"), 2);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(users.authenticate(&basic("ann", "old"), from(1)).await, Ok("ann".into()));
    }

    #[tokio::test]
    async fn what_a_check_against_an_old_hash_has_refused_is_checked_again() {
        let [old, new] = ["old", "new"].map(|password| hash_line("ann", password).expect("hashes"));
        // Long enough for the file to change meanwhile.
        let slow = old.replace("m=19456,t=2", "m=19456,t=50");
        assert_ne!(slow, old);
        let (_folder, path) = users_file(&[slow]);
        let users = Arc::new(Authenticator::from_file(&path).expect("reads"));
        let early = tokio::spawn({
            let users = Arc::clone(&users);
            async move { users.authenticate(&basic("ann", "new"), from(1)).await }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::fs::write(&path, new).expect("writes");
        assert_eq!(users.reload().expect("reads"), 1);
        // Refused, unless the machine was so busy that the check began after the change.
        let _ = early.await.expect("no panic");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(users.authenticate(&basic("ann", "new"), from(1)).await, Ok("ann".into()));
    }

    #[tokio::test]
    async fn a_login_that_was_turned_away_costs_nothing() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        assert!(users.authenticate(&basic("ann", "wrong"), from(1)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
        let others = users.known.waiting.take(from(1), WAITING_CHECKS, WAITING_CHECKS).expect("all");
        assert_eq!(users.authenticate(&basic("ann", "again"), from(1)).await.expect_err("full").code, "login_busy");
        drop(others);
        assert_eq!(users.authenticate(&basic("ann", "right"), from(1)).await, Ok("ann".into()), "no further wait");
    }

    #[tokio::test]
    async fn who_joins_a_check_that_is_given_up_is_not_told_that_his_password_is_wrong() {
        let users = Authenticator::single("ann", "right").expect("hashes");
        let login = (place(from(1)), users.known.digest("ann", "right"));
        users.known.running().insert(login, watch::channel(None).1);
        assert_eq!(users.authenticate(&basic("ann", "right"), from(1)).await.expect_err("gone").code, "login_busy");
    }

    #[test]
    fn unknown_names_cost_what_users_cost_each_always_the_same() {
        let lines = ["ann", "bob", "cem"].map(|name| hash_line(name, "secret").expect("hashes"));
        let (_folder, path) = users_file(&lines);
        let known = Authenticator::from_file(&path).expect("reads").known;
        let users = known.users.read().expect("no panic");
        let hashes: Vec<_> = (0..60).map(|number| known.stand_in(&users, &number.to_string())).collect();
        for user in users.values() {
            assert!(hashes.contains(&Some(user.hash.as_str())), "not one of 60 names");
        }
        assert!((0..60).all(|number| known.stand_in(&users, &number.to_string()) == hashes[number]));
        assert_eq!(known.stand_in(&Users::new(), "nobody"), None);
    }

    #[tokio::test]
    async fn a_login_that_is_broken_off_counts_like_one_that_is_not() {
        let users = Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        let mut begun = 0;
        for number in 0..200 {
            let headers = basic(&format!("nobody {number}"), "wrong");
            let attempt = users.authenticate(&headers, from(1));
            // Broken off before it can be answered.
            match tokio::time::timeout(Duration::from_micros(200), attempt).await {
                Err(_) => begun += 1,
                Ok(refused) => match refused.expect_err("refused").code {
                    // On a busy machine the check may be done before the time is noticed to be over.
                    "credentials_wrong" => begun += 1,
                    code => assert!(["too_many_failed_logins", "login_busy"].contains(&code), "{code}"),
                },
            }
        }
        assert!((1..=60).contains(&begun), "{begun} were begun before the address was slowed");
        // Nobody else notices: neither the checker nor the queue before it is taken.
        let begin = Instant::now();
        assert_eq!(users.authenticate(&basic("ann", "right"), from(2)).await, Ok("ann".into()));
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(users.known.running().len() <= 1 && users.known.waiting.used() <= 1);
    }

    /// As many logins of one address at once as may wait in all, each under another name.
    fn flood(users: &Arc<Authenticator>) -> Vec<JoinHandle<Result<String, Problem>>> {
        let attempt = |number| {
            let users = Arc::clone(users);
            tokio::spawn(async move { users.authenticate(&basic(&format!("n{number}"), "x"), from(1)).await })
        };
        (0..WAITING_CHECKS).map(attempt).collect()
    }

    /// How many of them were told to come back.
    async fn turned_away(attempts: Vec<JoinHandle<Result<String, Problem>>>) -> usize {
        let mut busy = 0;
        for attempt in attempts {
            busy += usize::from(attempt.await.expect("no panic").expect_err("wrong").code == "login_busy");
        }
        busy
    }

    #[tokio::test]
    async fn one_address_leaves_room_among_the_logins_that_wait() {
        let users = Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        users.share_logins(0.5);
        let attempts = flood(&users);
        tokio::task::yield_now().await;
        assert!(users.authenticate(&basic("ann", "right"), from(2)).await.is_ok());
        let busy = turned_away(attempts).await;
        assert!(busy >= WAITING_CHECKS / 4, "{busy} of {WAITING_CHECKS} were told to come back");
    }

    #[tokio::test]
    async fn the_first_requests_of_a_user_side_by_side_are_one_login() {
        let users = Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        let attempts: Vec<_> = (0..40)
            .map(|_| {
                let users = Arc::clone(&users);
                tokio::spawn(async move { users.authenticate(&basic("ann", "right"), from(1)).await })
            })
            .collect();
        for attempt in attempts {
            assert_eq!(attempt.await.expect("no panic"), Ok("ann".into()));
        }
        assert!(users.known.failures().admit(from(1), "ann", Instant::now()).is_ok());
        assert!(users.known.running().is_empty(), "the books are closed before the answer");
    }

    #[tokio::test]
    async fn the_wait_after_a_failure_begins_when_a_slow_check_ends() {
        // 25 times the time of our own hashes: longer than the first wait. A wrong password needs no hash that fits.
        let line = hash_line("ann", "right").expect("hashes");
        let slow = line.replace("m=19456,t=2", "m=19456,t=50");
        assert_ne!(slow, line);
        let (_folder, path) = users_file(&[slow]);
        let users = Authenticator::from_file(&path).expect("reads");
        let first = users.authenticate(&basic("ann", "wrong"), from(1)).await.expect_err("wrong");
        assert_eq!(first.status, StatusCode::UNAUTHORIZED);
        let again = users.authenticate(&basic("ann", "wrong again"), from(1)).await.expect_err("too soon");
        assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
    }

    #[tokio::test]
    async fn the_share_of_the_logins_that_wait_is_the_settings() {
        let users = Arc::new(Authenticator::single("ann", "right").expect("hashes"));
        users.share_logins(0.25);
        let attempts = flood(&users);
        let busy = turned_away(attempts).await;
        // All of them ask before more than a few are checked: 8 wait.
        assert!((WAITING_CHECKS - 12..=WAITING_CHECKS - 8).contains(&busy), "{busy} of {WAITING_CHECKS}");
    }
}
