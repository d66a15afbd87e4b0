//! How many requests a user may send: one token bucket each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::{HeaderValue, StatusCode, header};

use super::contract::Problem;

/// The code of what is refused here.
pub const RATE_LIMITED: &str = "rate_limited";

/// The buckets. There are as many as users, and users come from the operator.
#[derive(Debug)]
pub struct RateLimit {
    per_minute: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// At most `per_minute` requests in one burst, which come back evenly over each minute; 0 is no limit.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::default() }
    }

    /// Takes a token of the user's, or says when there will be one.
    pub fn admit(&self, user: &str) -> Result<(), Problem> {
        self.admit_at(user, Instant::now())
    }

    fn admit_at(&self, user: &str, now: Instant) -> Result<(), Problem> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let full = f64::from(self.per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(user.to_owned()).or_insert(Bucket { tokens: full, filled: now });
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * full / 60.0;
        bucket.tokens = (bucket.tokens + gained).min(full);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let seconds = ((1.0 - bucket.tokens) * 60.0 / full).ceil().max(1.0) as u64;
        let message =
            format!("this user may send {} requests a minute and has: try again in {seconds} s", self.per_minute);
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, RATE_LIMITED, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_user_gets_as_many_requests_as_agreed_and_others_keep_theirs() {
        let limit = RateLimit::new(3);
        let begin = Instant::now();
        for _ in 0..3 {
            assert!(limit.admit_at("ann", begin).is_ok());
        }
        let refused = limit.admit_at("ann", begin).expect_err("the fourth");
        assert_eq!((refused.status, refused.code), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
        assert_eq!(refused.header.expect("told when").1, "20");
        assert!(limit.admit_at("bob", begin).is_ok());
        assert!(limit.admit_at("ann", begin + Duration::from_secs(19)).is_err());
        assert!(limit.admit_at("ann", begin + Duration::from_secs(21)).is_ok());
        assert!(limit.admit_at("ann", begin + Duration::from_secs(22)).is_err());
    }

    #[test]
    fn without_a_limit_nothing_is_refused_or_remembered() {
        let limit = RateLimit::new(0);
        assert!((0..1000).all(|_| limit.admit("ann").is_ok()));
        assert!(limit.buckets.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn what_was_not_used_does_not_add_up_and_the_next_comes_to_the_second() {
        let limit = RateLimit::new(3);
        let begin = Instant::now();
        assert!(limit.admit_at("ann", begin).is_ok() && limit.admit_at("bob", begin).is_ok());
        let rested = begin + Duration::from_secs(3_600);
        for user in ["ann", "bob"] {
            let admitted = [(); 4].map(|()| limit.admit_at(user, rested).is_ok());
            assert_eq!(admitted, [true, true, true, false]);
        }
        assert!(limit.admit_at("ann", rested + Duration::from_millis(19_999)).is_err());
        assert!(limit.admit_at("bob", rested + Duration::from_secs(20)).is_ok());
    }
}
