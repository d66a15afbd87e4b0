//! What is let in: bodies within a memory budget, analyses within a number, and a short queue between them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::contract::Problem;

/// Bytes of one permit of the memory budget: semaphores count to 2^29 or so, budgets go beyond that.
const UNIT: usize = 1024;

/// Seconds after which a shed caller may try again.
const RETRY_AFTER_S: u64 = 1;

/// The three limits.
#[derive(Debug, Clone)]
pub struct Admission {
    memory: Arc<Semaphore>,
    places: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    queue_timeout: Duration,
    /// The semaphores' sizes: workers, workers and queue, units of memory.
    sizes: [usize; 3],
}

/// How much of the limits is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Analyses that may run at the same time.
    pub workers: usize,
    /// Analyses that run.
    pub at_work: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Bytes set aside.
    pub memory: usize,
}

/// A place in the queue or at work; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
}

/// A worker's permit together with the place: held by the analysis itself until it is done.
#[derive(Debug)]
pub struct Turn {
    _place: Place,
    _worker: OwnedSemaphorePermit,
}

impl Admission {
    /// `workers` analyses at work, `queue` more that wait, `memory` bytes of bodies and pictures.
    pub fn new(workers: usize, queue: usize, memory: usize, queue_timeout: Duration) -> Self {
        let sizes = [workers, workers + queue, (memory / UNIT).clamp(1, Semaphore::MAX_PERMITS)];
        let [workers, places, memory] = sizes.map(|size| Arc::new(Semaphore::new(size)));
        Self { memory, places, workers, queue_timeout, sizes }
    }

    /// Sets `bytes` aside until the permit is dropped.
    pub fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.memory.clone().try_acquire_many_owned(units).map_err(|_| {
            overloaded("memory_exhausted", "the service holds as many pictures as it may: try again in a moment")
        })
    }

    /// Whether a request that came now would find no place: then its body need not be read.
    pub fn check(&self) -> Result<(), Problem> {
        if self.places.available_permits() == 0 { Err(full()) } else { Ok(()) }
    }

    /// A place in the queue, or the answer that there is none.
    pub fn enter(&self) -> Result<Place, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| full())?;
        Ok(Place { _place: place })
    }

    /// Waits for a worker.
    pub async fn turn(&self, place: Place) -> Result<Turn, Problem> {
        match tokio::time::timeout(self.queue_timeout, self.workers.clone().acquire_owned()).await {
            Ok(Ok(worker)) => Ok(Turn { _place: place, _worker: worker }),
            _ => Err(overloaded("queue_timeout", "no worker became free in time: try again in a moment")),
        }
    }

    /// What is in use now.
    pub fn load(&self) -> Load {
        let [workers, places, memory] = self.sizes;
        let at_work = workers - self.workers.available_permits();
        // Read one after the other: what leaves in between must not count twice.
        let waiting = (places - self.places.available_permits()).saturating_sub(at_work);
        let memory = (memory - self.memory.available_permits()) * UNIT;
        Load { workers, at_work, queue: places - workers, waiting, memory }
    }
}

fn full() -> Problem {
    overloaded("queue_full", "all workers are busy and the queue is full: try again in a moment")
}

fn overloaded(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_place_after_the_last_is_refused_at_once_and_free_again_when_one_leaves() {
        let admission = Admission::new(1, 1, 1 << 20, Duration::from_millis(20));
        let working = admission.turn(admission.enter().expect("a worker")).await.expect("idle");
        let waiting = admission.enter().expect("a place in the queue");
        assert_eq!(admission.load(), Load { workers: 1, at_work: 1, queue: 1, waiting: 1, memory: 0 });
        assert_eq!(admission.enter().expect_err("full").code, "queue_full");
        assert_eq!(admission.check().expect_err("full").status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(admission.turn(waiting).await.expect_err("nobody done").code, "queue_timeout");
        drop(working);
        assert!(admission.turn(admission.enter().expect("free")).await.is_ok());
    }

    #[test]
    fn the_memory_budget_is_shared_and_returned() {
        let admission = Admission::new(1, 1, 10 * UNIT, Duration::from_secs(1));
        let first = admission.reserve(6 * UNIT).expect("fits");
        assert_eq!(admission.load().memory, 6 * UNIT);
        assert_eq!(admission.reserve(5 * UNIT).expect_err("does not").code, "memory_exhausted");
        drop(first);
        assert!(admission.reserve(10 * UNIT).is_ok());
    }
}
