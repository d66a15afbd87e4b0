//! The users: their file, its hashes, and what a hash may cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};

/// The longest name and password in bytes; more is refused before any hashing.
pub(super) const MAX_CREDENTIAL: usize = 256;

/// The least memory in KiB times passes that a hash may have: what the `argon2` command takes when nothing is said, 4 MiB
/// and 3 passes. OWASP's cheat sheet asks for about three times as much, which `facegate hash-password` takes.
const LEAST_COST: u64 = 4_096 * 3;

/// The most: 256 MiB, and 27 times the time of our own hashes. A login is no more than a fraction of a second of one core.
const MOST_MEMORY: u32 = 256 << 10;
const MOST_COST: u64 = 1 << 20;

/// The least bytes of a hash: a shorter one is met by chance.
const LEAST_HASH: usize = 16;

/// Argon2id with 19 MiB, 2 passes, 1 lane: the first choice of OWASP's password storage cheat sheet.
pub(super) fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

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
    /// A name stands in two lines: which of its passwords counts would be chance.
    #[error("line {line} of the users file {path} names a user again: keep one line for each user")]
    Twice {
        /// Its path.
        path: PathBuf,
        /// The second line's number, from 1.
        line: usize,
    },
    /// A hash that protects nothing, or that every login would pay for.
    #[error("the hash in line {line} of the users file {path} {reason}: make it with `facegate hash-password NAME`")]
    Cost {
        /// Its path.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Whoever can write it lets himself in.
    #[error("everybody on this machine may write the users file {0}: take that right away (chmod o-w)")]
    Writable(PathBuf),
    /// There is no thread for the checks.
    #[error("the thread that checks passwords cannot be set up: {0}")]
    Thread(std::io::Error),
    /// Nobody could ever log in.
    #[error("the users file {0} has no users: add one with `facegate hash-password NAME`")]
    NoUsers(PathBuf),
    /// Names cannot hold a colon in Basic authentication.
    #[error("the user name is empty, too long or has a colon or control characters")]
    Name,
    /// Its line would be a comment in the users file, or that of another name.
    #[error("in the users file no name begins with # or a byte-order mark, and none begins or ends with white space")]
    Unreadable,
    /// Hashing failed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// Editors write it before UTF-8; it would become a part of the first name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// `name:$argon2id$…` for the users file.
pub fn hash_line(name: &str, password: &str) -> Result<String, AuthError> {
    if name.starts_with(['#', BYTE_ORDER_MARK]) || name.trim() != name {
        return Err(AuthError::Unreadable);
    }
    Ok(format!("{name}:{}", hash(name, password)?))
}

/// The hash of a password, for a name that can be sent.
pub(super) fn hash(name: &str, password: &str) -> Result<String, AuthError> {
    if name.is_empty() || name.len() > MAX_CREDENTIAL || name.contains(':') || name.chars().any(char::is_control) {
        return Err(AuthError::Name);
    }
    if password.is_empty() || password.len() > MAX_CREDENTIAL {
        return Err(AuthError::Hash(format!("it must have 1 to {MAX_CREDENTIAL} bytes")));
    }
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
pub(super) type Users = BTreeMap<String, User>;

#[derive(Debug)]
pub(super) struct User {
    /// `$argon2id$…`
    pub(super) hash: String,
    /// The keyed digest of the credentials that Argon2 has accepted for this hash.
    pub(super) accepted: Option<[u8; 32]>,
}

impl User {
    pub(super) fn new(hash: &str) -> Self {
        Self { hash: hash.to_owned(), accepted: None }
    }
}

/// What is wrong with a hash's parameters, if anything.
fn fault(hash: &argon2::PasswordHash) -> Option<&'static str> {
    let Ok(params) = Params::try_from(hash) else { return Some("has parameters that Argon2 does not take") };
    // What an Argon2 run's time is proportional to.
    let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if cost < LEAST_COST {
        Some("is so cheap that guesses cost nothing")
    } else if params.m_cost() > MOST_MEMORY || cost > MOST_COST {
        Some("is so costly that every login would hold up the service")
    } else if hash.hash.as_ref().is_none_or(|hash| hash.as_bytes().len() < LEAST_HASH) {
        Some("is too short")
    } else {
        None
    }
}

/// Reads the users file.
pub(super) fn read_users(path: &Path) -> Result<Users, AuthError> {
    let text = std::fs::read_to_string(path).map_err(|source| AuthError::Read { path: path.to_owned(), source })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let meta = std::fs::metadata(path).map_err(|source| AuthError::Read { path: path.to_owned(), source })?;
        if meta.permissions().mode() & 0o002 != 0 {
            return Err(AuthError::Writable(path.to_owned()));
        }
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let mut users = BTreeMap::new();
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
        // Nobody could send these.
        if name.len() > MAX_CREDENTIAL || name.chars().any(char::is_control) {
            return Err(malformed());
        }
        if let Some(reason) = fault(&parsed) {
            return Err(AuthError::Cost { path: path.to_owned(), line: index + 1, reason });
        }
        if users.insert(name.to_owned(), User::new(hash)).is_some() {
            return Err(AuthError::Twice { path: path.to_owned(), line: index + 1 });
        }
    }
    if users.is_empty() {
        return Err(AuthError::NoUsers(path.to_owned()));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Users, AuthError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        std::fs::write(&path, text).expect("writes");
        read_users(&path)
    }

    fn hash_of(memory: u32, passes: u32, length: usize) -> String {
        let params = Params::new(memory, passes, 1, Some(length)).expect("valid");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password(b"secret").expect("hashes").to_string()
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        let line = hash_line("ann", "secret").expect("hashes");
        assert!(read(&format!("\u{feff}{line}\r\n")).expect("reads").contains_key("ann"));
    }

    #[test]
    fn a_line_is_made_only_for_a_name_that_is_read_from_it_again() {
        for name in ["#ann", "\u{feff}ann", " ann", "ann ", "\u{a0}ann", "ann\u{2003}", " ", "a:b", "a\nb", ""] {
            assert!(hash_line(name, "secret").is_err(), "{name:?}");
        }
        for name in ["a#", "ann lee", "änn", "a\u{feff}b"] {
            let line = hash_line(name, "secret").expect("hashes");
            assert!(read(&line).expect("reads").contains_key(name), "{name:?}");
        }
    }

    #[test]
    fn a_name_in_two_lines_is_refused() {
        let line = hash_line("ann", "secret").expect("hashes");
        assert!(matches!(read(&format!("{line}\n# again\n{line}\n")), Err(AuthError::Twice { line: 3, .. })));
    }

    #[test]
    fn a_hash_that_costs_nothing_or_too_much_is_refused() {
        for hash in [hash_of(64, 1, 32), hash_of(4_096, 2, 32), hash_of(19_456, 2, 10)] {
            assert!(matches!(read(&format!("ann:{hash}")), Err(AuthError::Cost { line: 1, .. })), "{hash}");
        }
        for hash in [hash_of(4_096, 3, 32), hash_of(19_456, 2, 16)] {
            assert!(read(&format!("ann:{hash}")).is_ok(), "{hash}");
        }
        // Written by hand: computing it is what the rule is against.
        let ours = hash_of(19_456, 2, 32);
        for costly in ["m=2097152,t=1", "m=19456,t=4000"] {
            let hash = ours.replace("m=19456,t=2", costly);
            assert_ne!(hash, ours);
            assert!(matches!(read(&format!("ann:{hash}")), Err(AuthError::Cost { .. })), "{costly}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        std::fs::write(&path, hash_line("ann", "secret").expect("hashes")).expect("writes");
        for (mode, fine) in [(0o644, true), (0o660, true), (0o666, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            assert_eq!(read_users(&path).is_ok(), fine, "{mode:o}");
        }
    }
}
