//! What is noted of a request while it is answered: for the log, the metrics and the trace.

use std::future::Future;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use face_analysis::{Analysis, Verdict};

/// The stage that holds the analysis's own.
pub const ANALYSIS: &str = "analysis";

/// The stages before the analysis, in their order, and the analysis.
pub const STAGES: [&str; 5] = ["authenticate", "read", "fetch", "queue", ANALYSIS];

/// What is known of a request so far.
#[derive(Debug)]
pub struct Trail {
    /// When its header had arrived.
    pub begin: Instant,
    /// The caller's name for the call, once it was read.
    pub session_id: Option<String>,
    /// Who asks, once that is known.
    pub user: Option<String>,
    /// Where a request comes from that is not let in, or not yet.
    pub stranger: Option<IpAddr>,
    /// What has been begun, in that order.
    pub stages: Vec<Stage>,
    /// The liveness score that is sent.
    pub liveness: Option<f32>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// One of [`STAGES`] or a stage of the analysis.
    pub name: &'static str,
    /// When it began.
    pub begin: Instant,
    /// How long it took; absent while it runs, and when the request's deadline cut it off.
    pub time: Option<Duration>,
    /// Whether it is part of the stage [`ANALYSIS`].
    pub within_analysis: bool,
}

impl Default for Trail {
    /// The trail of a request that has just arrived.
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            session_id: None,
            user: None,
            stranger: None,
            stages: Vec::with_capacity(16),
            liveness: None,
        }
    }
}

impl Trail {
    /// Notes how long `work` takes as the stage `name`.
    pub async fn time<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        let (index, begin) = (self.stages.len(), Instant::now());
        self.stages.push(Stage { name, begin, time: None, within_analysis: false });
        let result = work.await;
        self.stages[index].time = Some(begin.elapsed());
        result
    }

    /// Notes what a finished analysis tells about itself. Its stages ran one after the other.
    pub fn analysed(&mut self, analysis: &Analysis) {
        let mut begin = self.stages.last().map_or(self.begin, |stage| stage.begin);
        for timing in &analysis.timings {
            let (name, time) = (timing.stage, Some(timing.time));
            self.stages.push(Stage { name, begin, time, within_analysis: true });
            begin += timing.time;
        }
        if let Verdict::Accepted(face) = &analysis.verdict {
            self.liveness = Some(face.passive_liveness_score);
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// The HTTP status.
    pub status: u16,
    /// `OK` or one of the contract's nine words.
    pub outcome: &'static str,
    /// `errorDetail.code` of an answer that is no 200, else empty.
    pub code: &'static str,
}
