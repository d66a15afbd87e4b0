//! How a connection stands: whether somebody waits for an answer on it, and since when nobody does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// For so long an answer to a user counts as on its way: what does not fit the send buffer waits for the caller a little,
/// however willing he is. A stranger who takes one answer after the other just in time would hold his connection for ever.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// What the listener, the wire and the request know of one connection.
#[derive(Debug)]
pub struct Standing {
    state: Mutex<State>,
    ended: Notify,
    /// The caller has closed his half while his request was being answered.
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    /// Since when nothing is done for the caller; `None` while something is.
    idle: Option<Idle>,
    /// How far the answer is.
    answer: Progress,
    /// Whoever asked was let in.
    known: bool,
    /// Bytes of a request that was answered before it was read.
    unread: usize,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It is not made.
    Awaited,
    /// A part of it is still to be handed over to be sent.
    Begun,
    /// All of it is handed over, and not yet sent.
    Whole,
}

/// A connection on which the caller is to do something. Those that are least are ended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idle {
    /// No request is being answered since then.
    Nothing(Instant),
    /// An answer waits to be taken since then.
    Answer(Instant),
}

impl Default for Standing {
    /// A connection that has just been opened: idle, since nothing has been asked.
    fn default() -> Self {
        let idle = Some(Idle::Nothing(Instant::now()));
        let state = State { idle, answer: Progress::Awaited, known: false, unread: 0 };
        Self { state: Mutex::new(state), ended: Notify::new(), closed: watch::Sender::new(false) }
    }
}

impl Standing {
    /// The header of a request has arrived.
    pub fn asked(&self) {
        *self.state() = State { idle: None, answer: Progress::Awaited, known: false, unread: 0 };
        self.closed.send_replace(false);
    }

    /// The caller sends nothing more. Whether that is still to be held back: who has asked, and only listens now, gets his
    /// answer, and the whole of it.
    pub fn closed(&self) -> bool {
        let hold = !matches!(self.state().idle, Some(Idle::Nothing(_)));
        if hold {
            self.closed.send_replace(true);
        }
        hold
    }

    /// Waits until [`closed`](Self::closed) was said of this request: what has not come by then will not come.
    pub async fn nothing_more(&self) {
        // The sender lives as long as this.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Whoever asked is a user, and within his rate.
    pub fn let_in(&self) {
        self.state().known = true;
    }

    /// Its answer is made, and is handed over from now on.
    pub fn begun(&self) {
        self.state().answer = Progress::Begun;
    }

    /// All of its answer is handed over.
    pub fn answered(&self) {
        self.state().answer = Progress::Whole;
    }

    /// All that was handed over is sent. Whether no more belongs to it: a long answer is sent part by part.
    pub fn sent(&self) -> bool {
        let mut state = self.state();
        if state.answer == Progress::Whole {
            (state.idle, state.answer) = (Some(Idle::Nothing(Instant::now())), Progress::Awaited);
        }
        state.answer == Progress::Awaited
    }

    /// An answer, or the rest of one, waits to be taken.
    pub fn stalled(&self) {
        let mut state = self.state();
        if state.answer != Progress::Awaited && state.idle.is_none() {
            state.idle = Some(Idle::Answer(Instant::now()));
        }
    }

    /// Whether the connection is idle, and since when. One whose answer to a user is on its way is not.
    pub fn idle(&self) -> Option<Idle> {
        let (idle, known) = {
            let state = self.state();
            (state.idle, state.known)
        };
        idle.filter(|idle| !matches!(idle, Idle::Answer(since) if known && since.elapsed() < ON_ITS_WAY))
    }

    /// Nobody waits for anything here: no request has begun, or the last is read and its answer sent.
    pub fn is_unused(&self) -> bool {
        let state = self.state();
        matches!(state.idle, Some(Idle::Nothing(_))) && state.unread == 0
    }

    /// The request was answered although up to `most` bytes of it are still to come: they are to be read and thrown away,
    /// since closing a connection with unread data resets it and the answer with it.
    pub fn leave_unread(&self, most: usize) {
        self.state().unread = most;
    }

    /// How many such bytes there may be.
    pub fn unread(&self) -> usize {
        self.state().unread
    }

    /// Ends the connection.
    pub fn end(&self) {
        self.ended.notify_one();
    }

    /// Waits for [`end`](Self::end).
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_callers_half_is_held_back_while_he_waits() {
        let standing = Standing::default();
        assert!(!standing.closed(), "nobody waits");
        standing.asked();
        let silent = tokio::time::timeout(Duration::ZERO, standing.nothing_more()).await;
        assert!(silent.is_err(), "it is not closed yet");
        assert!(standing.closed());
        standing.nothing_more().await;
        standing.answered();
        standing.stalled();
        assert!(standing.closed(), "the rest of the answer is still to be sent");
        standing.sent();
        assert!(!standing.closed());
    }

    #[test]
    fn a_connection_is_busy_from_the_question_until_the_answer_is_sent() {
        let standing = Standing::default();
        assert!(standing.idle().is_some());
        standing.asked();
        standing.let_in();
        assert!(standing.sent());
        assert!(standing.idle().is_none(), "what was sent was no answer");
        standing.begun();
        assert!(!standing.sent(), "a part of an answer");
        assert!(standing.idle().is_none());
        standing.answered();
        assert!(standing.idle().is_none(), "it is still to be sent");
        standing.stalled();
        assert!(standing.idle().is_none(), "it is on its way");
        standing.state().idle = Instant::now().checked_sub(ON_ITS_WAY).map(Idle::Answer);
        assert!(matches!(standing.idle(), Some(Idle::Answer(_))));
        assert!(Standing::default().idle() < standing.idle(), "what waits for nothing goes first");
        assert!(standing.sent());
        assert!(matches!(standing.idle(), Some(Idle::Nothing(_))));
    }

    #[test]
    fn only_an_answer_to_a_user_is_on_its_way() {
        let standing = Standing::default();
        for known in [true, false] {
            standing.asked();
            if known {
                standing.let_in();
            }
            standing.begun();
            standing.stalled();
            assert_eq!(standing.idle().is_none(), known, "with each request he is to be let in anew");
            standing.answered();
            assert_eq!(standing.idle().is_none(), known);
        }
    }
}
