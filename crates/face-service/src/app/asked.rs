//! What is written down about a request that was asked, in the log and in the audit log: also when its connection ends before
//! there is an answer, since who asked when must not hang on whether he waits.

use std::sync::Arc;

use opentelemetry::trace::TraceId;

use super::App;
use crate::audit::{Audit, Entry};
use crate::rate_limit::RATE_LIMITED;
use crate::trail::{Ending, Trail};

/// How a request ends that is dropped: its sender has reset the connection, or the service was stopped and had no more time.
/// The number is the one that proxies use; nobody gets to see it.
const UNANSWERED: Ending = Ending { status: 499, outcome: "INTERNAL_ERROR", code: "unanswered" };

/// A request, from its header to its answer.
pub(super) struct Asked {
    app: Arc<App>,
    pub(super) trail: Trail,
    /// It is written down.
    ended: bool,
}

impl Asked {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app, trail: Trail::default(), ended: false }
    }

    /// Writes down how it was answered. The answer waits a little for its line of the audit log.
    pub(super) async fn end(mut self, ending: Ending, trace_id: Option<TraceId>) {
        self.ended = true;
        self.log(ending, trace_id);
        if let Some((audit, entry)) = self.audited(ending) {
            // Told in the log.
            let _ = audit.write(entry).await;
        }
    }

    fn log(&self, ending: Ending, trace_id: Option<TraceId>) {
        let Self { trail, .. } = self;
        let Ending { status, outcome, code } = ending;
        let timed = trail.stages.iter().filter_map(|s| Some(format!("{}={:.1}", s.name, s.time?.as_secs_f64() * 1e3)));
        tracing::info!(
            session_id = trail.session_id.as_deref().unwrap_or_default(),
            user = trail.user.as_deref().unwrap_or_default(),
            // Of those alone who were not let in: who guesses must be found, who is known need not be followed.
            address = trail.stranger.map(tracing::field::display),
            trace_id = trace_id.map(tracing::field::display),
            status,
            outcome,
            code,
            stages_ms = timed.collect::<Vec<_>>().join(" "),
            total_ms = (trail.begin.elapsed().as_secs_f64() * 1e4).round() / 1e1,
            "detect"
        );
    }

    /// Its line of the audit log. A stranger's requests would push those of users out of the files, and so would one user's
    /// beyond his rate: they stand in the log.
    fn audited(&self, ending: Ending) -> Option<(&Audit, Entry<'_>)> {
        let (audit, user) = (self.app.audit.as_ref()?, self.trail.user.as_deref()?);
        let Ending { status, outcome, code } = ending;
        let entry = Entry { user, session_id: self.trail.session_id.as_deref(), status, outcome, code };
        (code != RATE_LIMITED).then_some((audit, entry))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.log(UNANSWERED, None);
        if let Some((audit, entry)) = self.audited(UNANSWERED) {
            // Told in the log.
            drop(audit.begin(entry));
        }
    }
}
