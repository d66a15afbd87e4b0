//! What is let in: bodies and fetched pictures within a memory budget, which answers with a picture share, links and
//! analyses within a number, and a short queue before the latter. Of none of them one user has more than a share.

use std::sync::Arc;
use std::time::Duration;

use super::buffer::Buffer;
use super::contract::{Problem, overloaded};
use super::settings::ServiceSettings;
use super::shares::{NoMore, Part, Shares, share_of};
use super::turns::{InUse, Place, Turn, Turns, User};

/// How long a user who has places and gets no other waits for one.
const PATIENCE: Duration = Duration::from_millis(200);

/// The limits.
#[derive(Debug, Clone)]
pub struct Admission {
    turns: Turns,
    memory: Shares<User>,
    links: Shares<User>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    workers: usize,
    queue: usize,
    memory: usize,
    links: usize,
    memory_share: usize,
    links_share: usize,
    queue_timeout: Duration,
}

/// How much of the limits is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Analyses that may run at the same time.
    pub workers: usize,
    /// Analyses that run.
    pub at_work: usize,
    /// Requests that may wait, but for one of a user who has no other.
    pub queue: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Bytes of bodies, fetched pictures and answers with a picture, in whole buffers.
    pub memory: usize,
    /// Links that are being followed.
    pub links: usize,
}

/// A user who asks.
#[derive(Debug, Clone)]
pub struct Guest {
    user: User,
    /// Nobody else can ask: then there is nobody to leave anything to.
    alone: bool,
}

impl Guest {
    /// Whether nobody else can ask.
    pub fn is_alone(&self) -> bool {
        self.alone
    }
}

impl Admission {
    /// As the settings say, for `workers` analyses at work.
    pub fn new(settings: &ServiceSettings, workers: usize) -> Self {
        let (server, shares) = (&settings.server, &settings.shares);
        let queue = if server.queue == 0 { workers.div_ceil(2) } else { server.queue };
        let (memory, links) = (server.max_buffered_bytes, settings.links.max_in_flight);
        Self {
            turns: Turns::new(workers, queue, shares.workers, Duration::from_millis(shares.window_ms)),
            memory: Shares::new(memory),
            links: Shares::new(links),
            limits: Limits {
                workers,
                queue,
                memory,
                links,
                memory_share: share_of(memory, shares.memory),
                links_share: share_of(links, shares.links),
                queue_timeout: Duration::from_millis(server.queue_timeout_ms),
            },
        }
    }

    /// A user of several, or the only one, who asks now.
    pub fn guest(&self, user: &str, alone: bool) -> Guest {
        let user: User = Arc::from(user);
        self.turns.note(&user);
        Guest { user, alone }
    }

    /// Room for at most `most` bytes, of which nothing is set aside before it arrives.
    pub fn buffer(&self, guest: &Guest, most: usize) -> Buffer {
        let share = if guest.alone { self.limits.memory } else { self.limits.memory_share };
        Buffer::new(self.memory.part(Arc::clone(&guest.user)), share, most)
    }

    /// A link that may be followed until this is dropped.
    pub fn link(&self, guest: &Guest) -> Result<Part<User>, Problem> {
        let share = if guest.alone { self.limits.links } else { self.limits.links_share };
        self.links.take(Arc::clone(&guest.user), 1, share).map_err(|no_more| {
            let message = match no_more {
                NoMore::Whole => "as many links as may be are being followed: try again in a moment",
                NoMore::Share => "as many of your links as may be are being followed: try again in a moment",
            };
            overloaded("links_busy", message)
        })
    }

    /// Whether a request that came now would find no place: then its body need not be read.
    pub async fn check(&self, guest: &Guest) -> Result<(), Problem> {
        self.patiently(guest, || self.turns.check(&guest.user)).await
    }

    /// A place in the queue, or the answer that there is none.
    pub async fn enter(&self, guest: &Guest) -> Result<Place, Problem> {
        self.patiently(guest, || self.turns.enter(&guest.user)).await
    }

    /// Who has places already waits a little, and then for nothing more: refused at once, he would ask again at once, and
    /// the refusals would cost the others more than the work.
    async fn patiently<T>(&self, guest: &Guest, attempt: impl Fn() -> Result<T, NoMore>) -> Result<T, Problem> {
        match attempt() {
            Err(_) if self.turns.holds(&guest.user) => {
                tokio::time::sleep(PATIENCE).await;
                attempt().map_err(full)
            }
            other => other.map_err(full),
        }
    }

    /// Waits for a worker.
    pub async fn turn(&self, place: Place) -> Result<Turn, Problem> {
        let late = |_| overloaded("queue_timeout", "no worker became free in time: try again in a moment");
        tokio::time::timeout(self.limits.queue_timeout, self.turns.turn(place)).await.map_err(late)
    }

    /// What is in use now.
    pub fn load(&self) -> Load {
        let InUse { at_work, waiting } = self.turns.in_use();
        let Limits { workers, queue, .. } = self.limits;
        Load { workers, at_work, queue, waiting, memory: self.memory.used(), links: self.links.used() }
    }
}

fn full(no_more: NoMore) -> Problem {
    overloaded(
        "queue_full",
        match no_more {
            NoMore::Whole => "all workers are busy and the queue is full: try again in a moment",
            NoMore::Share => {
                "you have as many requests at work as one user may while others ask: try again in a moment"
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use axum::http::StatusCode;

    use super::*;
    use crate::buffer::Overflow;
    use crate::buffer::no_memory;

    fn admission(workers: usize, queue: usize, memory: usize) -> Admission {
        let mut settings = ServiceSettings::default();
        settings.server.queue = queue;
        settings.server.max_buffered_bytes = memory;
        settings.server.queue_timeout_ms = 20;
        settings.links.max_in_flight = 4;
        Admission::new(&settings, workers)
    }

    #[tokio::test]
    async fn the_place_after_the_last_is_refused_at_once_and_free_again_when_one_leaves() {
        let admission = admission(1, 1, 1 << 20);
        let ann = admission.guest("ann", true);
        let working = admission.turn(admission.enter(&ann).await.expect("a worker")).await.expect("idle");
        let waiting = admission.enter(&ann).await.expect("a place in the queue");
        let load = Load { workers: 1, at_work: 1, queue: 1, waiting: 1, memory: 0, links: 0 };
        assert_eq!(admission.load(), load);
        assert_eq!(admission.enter(&ann).await.expect_err("full").code, "queue_full");
        assert_eq!(admission.check(&ann).await.expect_err("full").status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(admission.turn(waiting).await.expect_err("nobody done").code, "queue_timeout");
        drop(working);
        assert!(admission.turn(admission.enter(&ann).await.expect("free")).await.is_ok());
    }

    #[tokio::test]
    async fn who_has_places_waits_a_little_for_more_and_is_refused_then() {
        let admission = admission(2, 1, 1 << 20);
        let [ann, bob, cem, dan] = ["ann", "bob", "cem", "dan"].map(|name| admission.guest(name, false));
        let held = [admission.enter(&ann).await.expect("one"), admission.enter(&ann).await.expect("two")];
        let begin = tokio::time::Instant::now();
        assert_eq!(admission.check(&ann).await.expect_err("her share").code, "queue_full");
        assert!(begin.elapsed() >= PATIENCE);
        // Asked once and not by the clock, so that her wait has begun and is not over, however busy the machine is.
        let mut entering = pin!(admission.enter(&ann));
        let waits = poll_fn(|context| Poll::Ready(entering.as_mut().poll(context).is_pending())).await;
        assert!(waits, "she has places and is not refused at once");
        drop(held);
        let place = entering.await;
        assert!(place.is_ok(), "a place became free meanwhile");
        let all = [admission.enter(&bob).await.expect("one"), admission.enter(&cem).await.expect("two")];
        let more = admission.enter(&dan).await.expect("one more for who has none");
        let eve = admission.guest("eve", false);
        let told = tokio::time::timeout(Duration::ZERO, admission.check(&eve)).await;
        let told = told.expect("who has nothing is told at once");
        assert_eq!(told.expect_err("all places").code, "queue_full");
        drop((place, all, more));
    }

    #[test]
    fn the_memory_budget_is_shared_and_returned() {
        let admission = admission(1, 1, 100_000);
        let ann = admission.guest("ann", true);
        let mut first = admission.buffer(&ann, 100_000);
        first.push(&[1; 60_000]).expect("fits");
        assert!(admission.load().memory >= 60_000);
        let mut second = admission.buffer(&ann, 100_000);
        let Err(Overflow::NoMemory(refused)) = second.push(&[2; 50_000]) else { panic!("it does not fit") };
        assert_eq!(no_memory(refused).code, "memory_exhausted");
        drop((first, second));
        assert_eq!(admission.load().memory, 0);
    }

    #[test]
    fn of_several_users_none_holds_more_than_a_share() {
        let admission = admission(1, 1, 100_000);
        let [ann, bob] = ["ann", "bob"].map(|name| admission.guest(name, false));
        let mut hers = admission.buffer(&ann, 100_000);
        let Err(Overflow::NoMemory(refused)) = hers.push(&[1; 60_000]) else { panic!("more than half") };
        assert!(no_memory(refused).message.contains("your pictures"));
        hers.push(&[1; 50_000]).expect("half");
        let mut his = admission.buffer(&bob, 100_000);
        his.push(&[1; 50_000]).expect("the other half");
        let held: Vec<_> = (0..2).map(|_| admission.link(&ann).expect("half of four")).collect();
        assert_eq!(admission.link(&ann).expect_err("her share").code, "links_busy");
        assert!(admission.link(&bob).is_ok());
        drop(held);
        assert!(admission.link(&ann).is_ok());
    }

    #[test]
    fn shares_of_memory_and_links_are_those_of_the_settings() {
        let mut settings = ServiceSettings::default();
        (settings.server.max_buffered_bytes, settings.links.max_in_flight) = (4 << 20, 4);
        (settings.shares.memory, settings.shares.links) = (0.25, 0.75);
        let admission = Admission::new(&settings, 1);
        let ann = admission.guest("ann", false);
        let mut buffer = admission.buffer(&ann, 4 << 20);
        let Err(Overflow::NoMemory(_)) = buffer.push(&vec![1; 1_200_000]) else { panic!("more than a quarter") };
        drop(buffer);
        admission.buffer(&ann, 4 << 20).push(&vec![1; 900_000]).expect("less than a quarter");
        let held: Vec<_> = (0..3).map(|_| admission.link(&ann).expect("three of four")).collect();
        assert_eq!(admission.link(&ann).expect_err("her share").code, "links_busy");
        drop(held);
    }

    /// What `server.queue` says: after 0.2 s.
    #[tokio::test]
    async fn who_has_a_place_and_gets_no_other_is_told_after_a_fifth_of_a_second() {
        let admission = admission(1, 1, 1 << 20);
        let ann = admission.guest("ann", true);
        let _held = [admission.enter(&ann).await.expect("one"), admission.enter(&ann).await.expect("two")];
        let begin = tokio::time::Instant::now();
        assert_eq!(admission.enter(&ann).await.expect_err("full").code, "queue_full");
        let waited = begin.elapsed();
        assert!((Duration::from_millis(190)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    }
}
