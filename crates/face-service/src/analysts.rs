//! The threads that analyse, apart from those that talk; between two pictures they give memory back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use axum::http::StatusCode;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tokio::sync::oneshot;

use super::contract::Problem;

/// As many threads as analyses may run side by side, and nothing else runs on them: the allocator keeps what a thread has
/// freed for that thread, so a larger pool would keep the memory of an analysis in each of its threads.
#[derive(Debug)]
pub struct Analysts {
    queue: Sender<Work>,
    give_back: Arc<OnceLock<fn()>>,
}

type Work = Box<dyn FnOnce(&mut Leftovers) + Send>;

/// Pictures of more pixels than this leave more free memory behind than the next portrait uses: more than those of a screen
/// (1920 x 1080), which are common.
const LARGE: u64 = 3_000_000;

/// After so long without a large picture what those took goes back to the system, as in the cells; after so long without
/// any, what all took.
const REST: Duration = Duration::from_secs(2);

/// What one thread's analyses may have left behind.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// When the last large picture was done, if its memory was not given back since.
    large: Option<Instant>,
    /// Whether there was work since memory was given back.
    used: bool,
}

impl Leftovers {
    /// A picture of so many pixels was analysed.
    pub fn of(&mut self, pixels: u64) {
        if pixels > LARGE {
            self.large = Some(Instant::now());
        }
    }

    /// How long until they are given back.
    fn left(&self) -> Option<Duration> {
        match self.large {
            Some(since) => Some(REST.saturating_sub(since.elapsed())),
            None => self.used.then_some(REST),
        }
    }

    /// Gives them back if it is time, or if the thread has `rested` until then.
    fn give_back(&mut self, rested: bool, how: Option<&fn()>) {
        if rested || self.left() == Some(Duration::ZERO) {
            *self = Self::default();
            if let Some(give_back) = how {
                give_back();
            }
        }
    }
}

impl Analysts {
    /// `number` threads.
    pub fn new(number: usize) -> io::Result<Self> {
        let (queue, work) = unbounded();
        let give_back = Arc::default();
        for _ in 0..number.max(1) {
            let (work, give_back) = (work.clone(), Arc::clone(&give_back));
            thread::Builder::new().name("analyst".into()).spawn(move || analyse(&work, &give_back))?;
        }
        Ok(Self { queue, give_back })
    }

    /// How a thread gives its free memory back to the system is the allocator's affair: `how` asks it to. Only the first counts.
    pub fn give_back_with(&self, how: fn()) {
        let _ = self.give_back.set(how);
    }

    /// Runs `work` where it blocks nobody. A panic ends there: what was `held` for it is free again, the caller gets a 500.
    pub async fn run<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce(&mut Leftovers) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.begin(move |leftovers| {
            let _held = held;
            work(leftovers)
        });
        done.await.map_err(|_| fault("analysis_crashed"))
    }

    /// Begins `work`, also when nobody waits for it.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Leftovers) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let span = tracing::Span::current();
        let work = move |leftovers: &mut Leftovers| {
            let result = span.in_scope(|| work(leftovers));
            // Nobody may wait for it any more.
            let _ = done.send(result);
        };
        // The threads live as long as this.
        let _ = self.queue.send(Box::new(work));
        result
    }
}

/// One thread's life.
fn analyse(queue: &Receiver<Work>, give_back: &OnceLock<fn()>) {
    let mut leftovers = Leftovers::default();
    loop {
        let work = match leftovers.left() {
            Some(left) => queue.recv_timeout(left),
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let rested = match work {
            Ok(work) => {
                leftovers.used = true;
                // The panic has been told by the hook; what the work held is dropped with it.
                drop(catch_unwind(AssertUnwindSafe(|| work(&mut leftovers))));
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        leftovers.give_back(rested, give_back.get());
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Barrier};
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
        let problem = analysts.run(held, |_| -> u8 { panic!("the network of cheeks") }).await.expect_err("panicked");
        assert_eq!((problem.status, problem.code), (StatusCode::INTERNAL_SERVER_ERROR, "analysis_crashed"));
        assert!(!problem.message.contains("cheeks"));
        let turn = admission.turn(admission.enter(&guest).await.expect("free again")).await.expect("idle again");
        assert_eq!(analysts.run((turn, reserve()), |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn all_work_is_done_by_the_same_few_threads() {
        let analysts = Arc::new(Analysts::new(2).expect("two threads"));
        // Two by two: one thread alone would wait for ever.
        let both = Arc::new(Barrier::new(2));
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let (analysts, both) = (Arc::clone(&analysts), Arc::clone(&both));
            callers.spawn(async move {
                let work = move |_: &mut Leftovers| {
                    both.wait();
                    thread::current().id()
                };
                analysts.run((), work).await.expect("no panic")
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(60), callers.join_all()).await;
        let threads: HashSet<_> = all.expect("two work side by side").into_iter().collect();
        assert_eq!(threads.len(), 2);
        assert!(!threads.contains(&thread::current().id()));
    }

    #[test]
    fn only_a_large_picture_leaves_something_behind_and_the_last_one_says_until_when() {
        let mut leftovers = Leftovers::default();
        leftovers.of(1280 * 720);
        assert_eq!(leftovers.left(), None, "nothing to wait for");
        leftovers.of(4000 * 3000);
        let left = leftovers.left().expect("something to give back");
        assert!(left <= REST && left > REST / 2, "{left:?}");
        leftovers.of(1280 * 720);
        leftovers.give_back(false, None);
        assert!(leftovers.left().is_some(), "not before its time, and a small picture changes nothing");
        leftovers.large = Instant::now().checked_sub(REST);
        leftovers.give_back(false, None);
        assert_eq!(leftovers.left(), None);
        leftovers.used = true;
        assert_eq!(leftovers.left(), Some(REST), "whatever there was is given back in the end");
        leftovers.give_back(false, None);
        assert!(leftovers.used, "while there is work it is used again");
        leftovers.give_back(true, None);
        assert_eq!(leftovers.left(), None);
    }

    #[tokio::test]
    async fn a_thread_takes_the_next_work_after_it_gave_memory_back() {
        static GIVEN_BACK: AtomicU32 = AtomicU32::new(0);
        let analysts = Analysts::new(1).expect("a thread");
        analysts.give_back_with(|| {
            GIVEN_BACK.fetch_add(1, Ordering::Relaxed);
        });
        let past = Instant::now().checked_sub(REST);
        assert_eq!(analysts.run((), move |leftovers| leftovers.large = past).await, Ok(()));
        let large = analysts.run((), |leftovers| leftovers.large).await;
        assert_eq!(large, Ok(None), "given back after the work, without waiting for more");
        let almost = Instant::now().checked_sub(REST - Duration::from_millis(50));
        assert_eq!(analysts.run((), move |leftovers| leftovers.large = almost).await, Ok(()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while GIVEN_BACK.load(Ordering::Relaxed) < 2 {
            assert!(Instant::now() < deadline, "not given back while it waited");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(analysts.run((), |leftovers| leftovers.large).await, Ok(None));
        assert_eq!(GIVEN_BACK.load(Ordering::Relaxed), 2);
    }
}
