//! Places and turns: a bounded number at work, a bounded number waiting, and nobody in the way of the others.
//!
//! While only one user asks, all of it is his. As soon as others are about, he has no more than a share of the workers and
//! of the places, and on top of these there is one for a user who has none: whoever comes finds a place, and a worker that
//! is free or becomes free next. Of those who wait, the user with the fewest at work is next, and of several of his the one
//! who came first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::shares::{NoMore, share_of};

/// A user's name.
pub type User = Arc<str>;

/// The workers and the queue before them.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    workers: usize,
    places: usize,
    /// How many of either one user has while others are about.
    share_of_workers: usize,
    share_of_places: usize,
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    at_work: usize,
    present: usize,
    /// Of each user who has a place: how many, and how many of them are at work.
    users: HashMap<User, (usize, usize)>,
    waiting: VecDeque<Waiting>,
    next: u64,
    company: Company,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    user: User,
    called: oneshot::Sender<()>,
}

/// The two users who asked last, and when: enough to know whether somebody else is about.
#[derive(Debug, Default)]
struct Company {
    last: Option<(User, Instant)>,
    before: Option<(User, Instant)>,
}

impl Company {
    fn note(&mut self, user: &User, now: Instant) {
        match &mut self.last {
            Some((last, at)) if last == user => *at = now,
            _ => {
                self.before = self.last.replace((Arc::clone(user), now));
            }
        }
    }

    /// Whether anybody but `user` has asked within `window`.
    fn others(&self, user: &User, window: Duration, now: Instant) -> bool {
        let other = [&self.last, &self.before].into_iter().flatten().find(|(name, _)| name != user);
        other.is_some_and(|(_, at)| now.saturating_duration_since(*at) < window)
    }
}

/// A place, waiting or at work; dropping it makes room.
#[derive(Debug)]
pub struct Place {
    turns: Turns,
    user: User,
}

/// A place at work; dropping it calls the next.
#[derive(Debug)]
pub struct Turn {
    // Dropped in this order.
    _worker: Worker,
    _place: Place,
}

#[derive(Debug)]
struct Worker {
    turns: Turns,
    user: User,
}

/// How much is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Analyses at work.
    pub at_work: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

impl Turns {
    /// `workers` at work and `queue` who wait, and one more when he has no other. Of either, one user has no more than
    /// `share` (0 to 1, at least one) while others have asked within `window`.
    pub fn new(workers: usize, queue: usize, share: f64, window: Duration) -> Self {
        let places = workers.saturating_add(queue);
        Self(Arc::new(Inner {
            workers,
            places,
            share_of_workers: share_of(workers, share),
            share_of_places: share_of(places, share),
            window,
            state: Mutex::default(),
        }))
    }

    /// Notes that a user is about.
    pub fn note(&self, user: &User) {
        self.state().company.note(user, Instant::now());
    }

    /// Whether `user` would find a place now.
    pub fn check(&self, user: &User) -> Result<(), NoMore> {
        self.room(&self.state(), user)
    }

    /// Whether `user` has a place.
    pub fn holds(&self, user: &User) -> bool {
        self.state().users.contains_key(user)
    }

    /// A place for `user`.
    pub fn enter(&self, user: &User) -> Result<Place, NoMore> {
        let mut state = self.state();
        self.room(&state, user)?;
        state.present += 1;
        state.users.entry(Arc::clone(user)).or_default().0 += 1;
        Ok(Place { turns: self.clone(), user: Arc::clone(user) })
    }

    /// Waits for a worker.
    pub async fn turn(&self, place: Place) -> Turn {
        let (called, mut call) = oneshot::channel();
        let number = {
            let mut state = self.state();
            state.next += 1;
            let number = state.next;
            state.waiting.push_back(Waiting { number, user: Arc::clone(&place.user), called });
            self.call(&mut state);
            number
        };
        let mut wait = Wait { turns: self, user: &place.user, number, call: Some(&mut call) };
        if let Some(call) = wait.call.as_mut() {
            // The sender is only dropped after it was used.
            let _ = call.await;
        }
        wait.call = None;
        drop(wait);
        Turn { _worker: Worker { turns: self.clone(), user: Arc::clone(&place.user) }, _place: place }
    }

    /// What is in use now.
    pub fn in_use(&self) -> InUse {
        let state = self.state();
        InUse { at_work: state.at_work, waiting: state.present - state.at_work }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, state: &State, user: &User) -> Result<(), NoMore> {
        let has = state.users.get(user).map_or(0, |(places, _)| *places);
        // One more for who has none: else several who ask without pause would take each place that becomes free from him.
        // On top of the places, since two users alone are to have all of these.
        if state.present >= self.0.places.saturating_add(usize::from(has == 0)) {
            return Err(NoMore::Whole);
        }
        let others = state.company.others(user, self.0.window, Instant::now());
        if others && has >= self.0.share_of_places { Err(NoMore::Share) } else { Ok(()) }
    }

    /// Gives free workers to those who wait.
    fn call(&self, state: &mut State) {
        let now = Instant::now();
        while state.at_work < self.0.workers {
            let may = |user: &User| {
                let at_work = state.users.get(user).map_or(0, |(_, at_work)| *at_work);
                let others = state.company.others(user, self.0.window, now);
                (!others || at_work < self.0.share_of_workers).then_some(at_work)
            };
            let next = state
                .waiting
                .iter()
                .enumerate()
                .filter_map(|(index, waiting)| Some((may(&waiting.user)?, index)))
                .min();
            let Some(next) = next.and_then(|(_, index)| state.waiting.remove(index)) else { return };
            // Who does not wait any more is passed over.
            if next.called.send(()).is_ok() {
                state.at_work += 1;
                state.users.entry(next.user).or_default().1 += 1;
            }
        }
    }

    fn leave_work(&self, user: &User) {
        let mut state = self.state();
        state.at_work -= 1;
        if let Some((_, at_work)) = state.users.get_mut(user) {
            *at_work -= 1;
        }
        self.call(&mut state);
    }
}

/// Somebody who waits; whoever stops waiting leaves no trace.
struct Wait<'t> {
    turns: &'t Turns,
    user: &'t User,
    number: u64,
    /// Until it was answered.
    call: Option<&'t mut oneshot::Receiver<()>>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let called = {
            let mut state = self.turns.state();
            state.waiting.retain(|waiting| waiting.number != self.number);
            // Under the lock: nobody can be calling now.
            call.try_recv().is_ok()
        };
        if called {
            self.turns.leave_work(self.user);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.turns.leave_work(&self.user);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.present -= 1;
        if let Some((places, _)) = state.users.get_mut(&self.user) {
            *places -= 1;
            if *places == 0 {
                state.users.remove(&self.user);
            }
        }
        // A user with a place less may have a worker more.
        self.turns.call(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn user(name: &str) -> User {
        name.into()
    }

    async fn at_once(turns: &Turns, name: &str) -> Option<Turn> {
        let place = turns.enter(&user(name)).ok()?;
        tokio::time::timeout(Duration::from_millis(20), turns.turn(place)).await.ok()
    }

    #[tokio::test]
    async fn alone_a_user_has_everything() {
        let turns = Turns::new(2, 1, 0.75, WINDOW);
        turns.note(&user("ann"));
        let first = at_once(&turns, "ann").await.expect("a worker");
        let second = at_once(&turns, "ann").await.expect("another");
        let third = turns.enter(&user("ann")).expect("the queue");
        assert_eq!(turns.enter(&user("ann")).expect_err("all"), NoMore::Whole);
        assert_eq!(turns.in_use(), InUse { at_work: 2, waiting: 1 });
        drop((first, second, third));
        assert_eq!(turns.in_use(), InUse { at_work: 0, waiting: 0 });
        assert!(turns.state().users.is_empty() && turns.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn with_others_about_a_user_has_a_share_and_the_others_find_a_worker() {
        let turns = Turns::new(2, 1, 0.75, WINDOW);
        turns.note(&user("bob"));
        turns.note(&user("ann"));
        let working = at_once(&turns, "ann").await.expect("a worker");
        let waiting = turns.enter(&user("ann")).expect("a place");
        assert_eq!(turns.enter(&user("ann")).expect_err("two of three"), NoMore::Share);
        // The second worker is free, and not for her.
        let waiting = {
            let waited = tokio::time::timeout(Duration::from_millis(20), turns.turn(waiting)).await;
            assert!(waited.is_err());
            turns.enter(&user("ann")).expect("her place is free again")
        };
        let others = at_once(&turns, "bob").await.expect("a worker at once");
        drop(working);
        let turn = tokio::time::timeout(Duration::from_millis(20), turns.turn(waiting)).await;
        assert!(turn.is_ok(), "her first is done");
        drop(others);
    }

    #[test]
    fn two_users_have_all_places_and_a_third_who_has_none_finds_one_more() {
        let turns = Turns::new(2, 1, 0.75, WINDOW);
        turns.note(&user("ann"));
        turns.note(&user("bob"));
        let held = ["ann", "bob", "ann"].map(|name| turns.enter(&user(name)).expect("a worker each, and the queue"));
        for name in ["ann", "bob"] {
            assert_eq!(turns.enter(&user(name)).expect_err("all"), NoMore::Whole);
        }
        let third = turns.enter(&user("cem")).expect("one more");
        assert_eq!(turns.enter(&user("dan")).expect_err("no further one"), NoMore::Whole);
        let [first, ..] = held;
        drop(first);
        for name in ["ann", "bob", "cem"] {
            assert_eq!(turns.enter(&user(name)).expect_err("not for who has one"), NoMore::Whole);
        }
        assert!(turns.enter(&user("dan")).is_ok());
        drop(third);
        assert!(turns.enter(&user("bob")).is_ok(), "a place is free");
    }

    #[test]
    fn two_users_who_ask_without_pause_do_not_shut_a_third_out_of_a_single_worker() {
        let turns = Turns::new(1, 1, 0.75, WINDOW);
        turns.note(&user("ann"));
        turns.note(&user("bob"));
        let mut held = ["ann", "bob"].map(|name| turns.enter(&user(name)).ok());
        for round in 0..6 {
            let third = turns.enter(&user("cem")).expect("a place in every round");
            // Whoever is done comes again at once.
            held[round % 2] = None;
            held[round % 2] = turns.enter(&user(["ann", "bob"][round % 2])).ok();
            assert!(held.iter().all(Option::is_some));
            drop(third);
        }
    }

    #[tokio::test]
    async fn others_are_about_for_a_while_only() {
        let turns = Turns::new(2, 0, 0.75, Duration::from_secs(1));
        turns.note(&user("bob"));
        turns.note(&user("ann"));
        let first = at_once(&turns, "ann").await.expect("a worker");
        assert!(at_once(&turns, "ann").await.is_none());
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert!(at_once(&turns, "ann").await.is_some());
        drop(first);
    }

    #[tokio::test]
    async fn of_those_who_wait_the_user_with_the_fewest_at_work_is_next() {
        let turns = Turns::new(2, 3, 1.0, WINDOW);
        let hold = [at_once(&turns, "ann").await.expect("one"), at_once(&turns, "ann").await.expect("two")];
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (name, number) in [("ann", 1), ("ann", 2), ("bob", 1)] {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            let place = turns.enter(&user(name)).expect("a place");
            waiting.push(tokio::spawn(async move {
                let turn = turns.turn(place).await;
                order.lock().expect("no panic").push((name, number));
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(turn);
            }));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let [one, two] = hold;
        drop(one);
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(two);
        for each in waiting {
            each.await.expect("no panic");
        }
        assert_eq!(*order.lock().expect("no panic"), [("bob", 1), ("ann", 1), ("ann", 2)]);
        assert_eq!(turns.in_use(), InUse { at_work: 0, waiting: 0 });
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_no_trace_whenever_that_is() {
        let turns = Turns::new(1, 8, 1.0, WINDOW);
        for round in 0..200 {
            let working = at_once(&turns, "ann").await.expect("free");
            let place = turns.enter(&user("bob")).expect("a place");
            let waiting = tokio::spawn({
                let turns = turns.clone();
                async move { drop(turns.turn(place).await) }
            });
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            drop(working);
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            waiting.abort();
            let _ = waiting.await;
        }
        assert_eq!(turns.in_use(), InUse { at_work: 0, waiting: 0 });
        assert!(turns.state().users.is_empty() && turns.state().waiting.is_empty());
    }
}
