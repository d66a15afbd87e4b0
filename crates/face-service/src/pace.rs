//! How slowly something may arrive: a sender who drips holds memory and a place that others could use.

use std::time::Duration;

use tokio::time::Instant;

/// In which nothing need arrive: for the way there, and for a pause of a mobile network.
const GRACE: Duration = Duration::from_secs(5);

/// No time is longer: whatever the settings say, a moment that far away can be computed.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The least rate of something that arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    begin: Instant,
    last: Instant,
    received: usize,
    rate: u64,
    end: Instant,
}

impl Pace {
    /// At least `rate` bytes a second on average, after a few seconds of grace, and all of it within `whole`.
    pub(crate) fn new(rate: u64, whole: Duration, begin: Instant) -> Self {
        Self { begin, last: begin, received: 0, rate: rate.max(1), end: begin + whole.min(LONGEST) }
    }

    /// Notes what has arrived.
    pub(crate) fn note(&mut self, bytes: usize, now: Instant) {
        self.received += bytes;
        self.last = now;
    }

    /// Until when more must have come.
    pub(crate) fn until(&self) -> Instant {
        let earned = Duration::from_secs_f64(self.received as f64 / self.rate as f64);
        // What came fast at first is no leave to stop altogether.
        (self.begin + GRACE + earned).min(self.last + GRACE).min(self.end)
    }

    /// Whether it was the end of the whole time that has passed, and not the rate that was too low.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_earns_time_and_a_silence_ends_it() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut pace = Pace::new(1_000, Duration::from_secs(60), begin);
        assert_eq!(pace.until(), begin + GRACE);
        pace.note(2_000, after(4));
        assert_eq!(pace.until(), after(7), "five and the two that were earned");
        pace.note(50_000, after(4));
        assert_eq!(pace.until(), after(9), "five after the last byte");
        pace.note(0, after(54));
        assert_eq!(pace.until(), after(57));
        pace.note(10_000, after(58));
        assert_eq!(pace.until(), after(60), "the whole time");
        assert!(!pace.is_over(after(59)) && pace.is_over(after(60)));
    }
}
