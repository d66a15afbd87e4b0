//! Failed logins, by the address they came from: what makes each further guess wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;

use crate::contract::Problem;

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

/// Failed logins by place and name, and by place alone.
#[derive(Debug, Default)]
pub(super) struct Failures {
    of_name: HashMap<(IpAddr, String), Count>,
    of_place: HashMap<IpAddr, Count>,
    /// By place and name the keyed digest of the credentials that were found wrong last.
    refused: HashMap<(IpAddr, String), [u8; 32]>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last: Instant,
    /// When the one before was: the last may turn out to be none.
    before: Instant,
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
        let none = Self { failures: 0, last: now, before: now };
        let Self { failures, last, .. } = counts.get(&key).copied().unwrap_or(none);
        let forgotten = now.saturating_duration_since(last) > MEMORY;
        let failures = if forgotten { 1 } else { failures.saturating_add(1) };
        counts.insert(key, Self { failures, last: now, before: last });
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
    pub(super) fn admit(&self, place: IpAddr, name: &str, now: Instant) -> Result<(), Problem> {
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

    /// One more failure of a place at a name.
    pub(super) fn count(&mut self, place: IpAddr, name: String, now: Instant) {
        Count::add(&mut self.of_name, (place, name), now);
        Count::add(&mut self.of_place, place, now);
    }

    /// What was counted has turned out to be a failure now: waits run from here.
    pub(super) fn confirm(&mut self, place: IpAddr, name: &str, now: Instant) {
        // The tables may have been emptied since.
        if let Some(count) = self.of_name.get_mut(&(place, name.to_owned())) {
            count.last = now;
        }
        if let Some(count) = self.of_place.get_mut(&place) {
            count.last = now;
        }
    }

    /// These credentials were checked and are wrong for as long as the users stay the same.
    pub(super) fn refuse(&mut self, place: IpAddr, name: &str, digest: [u8; 32]) {
        if self.refused.len() >= MAX_REMEMBERED {
            self.refused.clear();
        }
        self.refused.insert((place, name.to_owned()), digest);
    }

    /// Whether a place sends the same as when it was refused last.
    pub(super) fn is_refused(&self, place: IpAddr, name: &str, digest: &[u8; 32]) -> bool {
        self.refused.get(&(place, name.to_owned())).is_some_and(|last| last.ct_eq(digest).into())
    }

    /// Users may have changed: what was wrong may be right.
    pub(super) fn forget_refused(&mut self) {
        self.refused.clear();
    }

    /// After a right password: this login was no failure, and nothing before it is remembered for that name. What the place
    /// has done to other names is not forgiven, and this login does not prolong what it waits for that.
    pub(super) fn forgive(&mut self, place: IpAddr, name: &str) {
        let of_name = (place, name.to_owned());
        self.of_name.remove(&of_name);
        self.refused.remove(&of_name);
        // The table may have been emptied since.
        let Some(count) = self.of_place.get_mut(&place) else { return };
        count.failures = count.failures.saturating_sub(1);
        count.last = count.before;
        if count.failures == 0 {
            self.of_place.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// An address of the network for documentation.
    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
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
        failures.count(from(1), "ann".into(), now);
        failures.forgive(from(1), "ann");
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
    fn what_was_refused_last_is_known_again_and_another_guess_waits() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.count(from(1), "ann".into(), now);
        failures.refuse(from(1), "ann", [1; 32]);
        assert!(failures.is_refused(from(1), "ann", &[1; 32]));
        for (place, name, digest) in [(1, "ann", 2), (2, "ann", 1), (1, "bob", 1)] {
            assert!(!failures.is_refused(from(place), name, &[digest; 32]), "{place} {name} {digest}");
        }
        assert!(failures.admit(from(1), "ann", now).is_err());
        failures.forget_refused();
        assert!(!failures.is_refused(from(1), "ann", &[1; 32]));
        for number in 0..3 * MAX_REMEMBERED {
            failures.refuse(Ipv6Addr::from_bits((number as u128) << 64).into(), "ann", [1; 32]);
        }
        assert!(failures.refused.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn a_wait_runs_from_the_end_of_a_check_however_long_that_took() {
        let (mut failures, begin) = (Failures::default(), Instant::now());
        failures.count(from(1), "ann".into(), begin);
        let end = begin + Duration::from_secs(3);
        assert!(failures.admit(from(1), "ann", end).is_ok());
        failures.confirm(from(1), "ann", end);
        assert!(failures.admit(from(1), "ann", end).is_err());
        failures.confirm(from(2), "ann", end);
        assert!(failures.admit(from(2), "ann", end).is_ok(), "what was not counted cannot be confirmed");
    }

    #[test]
    fn what_is_forgiven_was_never_there() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.count(from(1), "ann".into(), now);
        assert!(failures.admit(from(1), "ann", now).is_err());
        failures.forgive(from(1), "ann");
        failures.forgive(from(1), "ann");
        assert!(failures.admit(from(1), "ann", now).is_ok());
        assert!(failures.of_name.is_empty() && failures.of_place.is_empty());
        // Two tried side by side: one was right, the other still counts.
        failures.count(from(1), "ann".into(), now);
        failures.count(from(1), "bob".into(), now);
        failures.forgive(from(1), "ann");
        assert_eq!(failures.of_place[&from(1)].failures, 1);
        assert!(failures.admit(from(1), "ann", now).is_ok() && failures.admit(from(1), "bob", now).is_err());
    }

    #[test]
    fn the_right_password_of_one_user_makes_nobody_behind_his_address_wait_anew() {
        let (mut failures, begin) = (Failures::default(), Instant::now());
        for number in 0..FREE_FAILURES + 20 {
            failures.count(from(1), number.to_string(), begin);
        }
        let later = begin + MAX_PENALTY;
        for name in ["ann", "bob", "cem"] {
            assert!(failures.admit(from(1), name, later).is_ok(), "{name}: the wait is over");
            failures.count(from(1), name.into(), later);
            assert!(failures.admit(from(1), "dan", later).is_err(), "nobody knows yet that {name} is right");
            failures.forgive(from(1), name);
        }
        // Nor do they keep the failures of others from being forgotten.
        failures.count(from(1), "dan".into(), begin + MEMORY + Duration::from_secs(1));
        assert_eq!(failures.of_place[&from(1)].failures, 1);
    }

    #[test]
    fn after_a_right_password_nothing_is_left_of_the_wrong_ones_of_that_name() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for name in ["ann", "bob"] {
            failures.count(from(1), name.into(), now);
            failures.refuse(from(1), name, [1; 32]);
        }
        failures.forgive(from(1), "ann");
        let names = |mut names: Vec<&(IpAddr, String)>| names.pop().map(|(_, name)| (names.len(), name.clone()));
        let left = Some((0, "bob".to_owned()));
        assert_eq!(names(failures.of_name.keys().collect()), left);
        assert_eq!(names(failures.refused.keys().collect()), left);
    }
}
