//! The threads that analyse, apart from those that talk.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::contract::Problem;

/// As many threads as analyses may run side by side, and nothing else runs on them: the allocator keeps what a thread has
/// freed for that thread, so a larger pool would keep the memory of an analysis in each of its threads.
#[derive(Debug)]
pub struct Analysts {
    pool: Handle,
    /// Of which only the pool of blocking threads is used. `None` once it shuts down.
    runtime: Option<Runtime>,
}

/// Idle threads stay: as long as a service may run.
const KEEP: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Analysts {
    /// `number` threads, which start when they are first needed.
    pub fn new(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(number)
            .thread_keep_alive(KEEP)
            .thread_name("analyst")
            .build()?;
        Ok(Self { pool: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs `work` where it blocks nobody. A panic ends there: what was `held` for it is free again, the caller gets a 500.
    pub async fn run<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let span = tracing::Span::current();
        let work = move || {
            let _held = (held, span.entered());
            work()
        };
        self.begin(work).await.map_err(|_| fault("analysis_crashed"))
    }

    /// Begins `work`, also when nobody waits for it.
    pub fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.pool.spawn_blocking(work)
    }
}

impl Drop for Analysts {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where this is dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The problem of a picture on which the service itself failed.
pub fn fault(code: &'static str) -> Problem {
    let message = "the service failed on this picture; it has been logged, and other requests are not affected";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code, message)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::thread;

    use tokio::task::JoinSet;

    use super::super::admission::Admission;
    use super::*;

    #[tokio::test]
    async fn a_panic_in_an_analysis_is_a_500_and_frees_what_it_held() {
        let analysts = Analysts::new(1).expect("a thread");
        let admission = Admission::new(1, 0, 1 << 20, Duration::from_millis(20));
        let turn = admission.turn(admission.enter().expect("free")).await.expect("idle");
        let held = (turn, admission.reserve(1 << 20).expect("free"));
        let problem = analysts.run(held, || -> u8 { panic!("the network of cheeks") }).await.expect_err("panicked");
        assert_eq!((problem.status, problem.code), (StatusCode::INTERNAL_SERVER_ERROR, "analysis_crashed"));
        assert!(!problem.message.contains("cheeks"));
        let turn = admission.turn(admission.enter().expect("free again")).await.expect("idle again");
        assert_eq!(analysts.run((turn, admission.reserve(1 << 20).expect("free again")), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn all_work_is_done_by_the_same_few_threads() {
        let analysts = Arc::new(Analysts::new(2).expect("two threads"));
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let analysts = Arc::clone(&analysts);
            callers.spawn(async move {
                let work = || {
                    thread::sleep(Duration::from_millis(2));
                    thread::current().id()
                };
                analysts.run((), work).await.expect("no panic")
            });
        }
        let threads: HashSet<_> = callers.join_all().await.into_iter().collect();
        assert_eq!(threads.len(), 2);
        assert!(!threads.contains(&thread::current().id()));
    }
}
