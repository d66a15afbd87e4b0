//! The threads that analyse, apart from those that talk.

use std::io;

use axum::http::StatusCode;
use tokio::task::JoinHandle;

use super::blocking::Pool;
use super::contract::Problem;

/// As many threads as analyses may run side by side, and nothing else runs on them: the allocator keeps what a thread has
/// freed for that thread, so a larger pool would keep the memory of an analysis in each of its threads.
#[derive(Debug)]
pub struct Analysts(Pool);

impl Analysts {
    /// `number` threads, which start when they are first needed.
    pub fn new(number: usize) -> io::Result<Self> {
        Ok(Self(Pool::new("analyst", number)?))
    }

    /// Runs `work` where it blocks nobody. A panic ends there: what was `held` for it is free again, the caller gets a 500.
    pub async fn run<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.begin(held, work).await.map_err(|_| fault("analysis_crashed"))
    }

    /// Begins `work`, also when nobody waits for it.
    pub fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.0.begin((), work)
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
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;
    use crate::admission::Admission;
    use crate::settings::ServiceSettings;

    #[tokio::test]
    async fn a_panic_in_an_analysis_is_a_500_and_frees_what_it_held() {
        let analysts = Analysts::new(1).expect("a thread");
        let mut settings = ServiceSettings::default();
        settings.server.max_buffered_bytes = 1 << 20;
        let admission = Admission::new(&settings, 1);
        let guest = admission.guest("ann", true);
        let reserve = || {
            let mut buffer = admission.buffer(&guest, 1 << 20);
            buffer.push(&[0; 1 << 20]).expect("free");
            buffer
        };
        let turn = admission.turn(admission.enter(&guest).await.expect("free")).await.expect("idle");
        let held = (turn, reserve());
        let problem = analysts.run(held, || -> u8 { panic!("the network of cheeks") }).await.expect_err("panicked");
        assert_eq!((problem.status, problem.code), (StatusCode::INTERNAL_SERVER_ERROR, "analysis_crashed"));
        assert!(!problem.message.contains("cheeks"));
        let turn = admission.turn(admission.enter(&guest).await.expect("free again")).await.expect("idle again");
        assert_eq!(analysts.run((turn, reserve()), || 7).await, Ok(7));
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
