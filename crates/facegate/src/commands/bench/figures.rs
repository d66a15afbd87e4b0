//! What was measured with a picture, and how it is summed up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// What was measured with one picture. Times in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) picture: String,
    pub(super) outcome: String,
    pub(super) requests: usize,
    pub(super) requests_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Of the analysing process, all its threads; absent where the system does not tell.
    pub(super) cpu_ms_per_request: Option<f64>,
    /// The most memory that the analysing process has held so far.
    pub(super) peak_memory_mb: Option<f64>,
    /// Median of what the networks alone took, a part of the stages; in process only.
    pub(super) networks_ms: Option<f64>,
    /// Median of each stage and its share of the sum of all; in process only.
    pub(super) stages: BTreeMap<String, Stage>,
}

#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) median_ms: f64,
    pub(super) share: f64,
}

pub(super) fn summary(
    picture: &str,
    outcome: &str,
    times: Vec<f64>,
    wall: Duration,
    cpu: Option<Duration>,
    peak_memory_mb: Option<f64>,
) -> Figures {
    let requests = times.len();
    let times = sorted(times);
    Figures {
        picture: picture.to_owned(),
        outcome: outcome.to_owned(),
        requests,
        requests_per_second: requests as f64 / wall.as_secs_f64(),
        p50_ms: quantile(&times, 0.50),
        p95_ms: quantile(&times, 0.95),
        p99_ms: quantile(&times, 0.99),
        max_ms: times.last().copied().unwrap_or(0.0),
        cpu_ms_per_request: cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / requests.max(1) as f64),
        peak_memory_mb,
        networks_ms: None,
        stages: BTreeMap::new(),
    }
}

pub(super) fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// The value below which that share of the sorted values lies; 0 of none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}
