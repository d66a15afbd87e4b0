//! What becomes of the part of a request's body that nobody reads.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use super::standing::Standing;

/// What is read of the body of a request that is refused, and in which time, before the answer.
const MOST_READ_AT_ONCE: usize = 1 << 20;
const READ_AT_ONCE: Duration = Duration::from_millis(50);

/// How many times the largest body is read and thrown away, so that a caller who sent too much gets to see the answer.
const MOST_DRAINED: usize = 4;

/// The body of a request, which outlives its handler.
#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

struct State {
    body: Body,
    /// Why there is no more of it to read.
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    Broken,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is there already, up to a bound. Whether that was all.
    async fn read_to_end(&mut self) -> bool {
        let mut left = MOST_READ_AT_ONCE;
        let reading = async {
            while left > 0
                && let Some(Ok(frame)) = self.frame().await
            {
                left = left.saturating_sub(frame.data_ref().map_or(1, |data| data.len().max(1)));
            }
        };
        let _ = tokio::time::timeout(READ_AT_ONCE, reading).await;
        self.is_whole()
    }

    fn is_whole(&self) -> bool {
        let state = self.lock();
        state.end.map_or_else(|| state.body.is_end_stream(), |end| end == End::Whole)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut state = self.lock();
        let end = match state.end {
            None => {
                let poll = Pin::new(&mut state.body).poll_frame(context);
                state.end = match &poll {
                    Poll::Ready(None) => Some(End::Whole),
                    Poll::Ready(Some(Err(_))) => Some(End::Broken),
                    _ => None,
                };
                return poll;
            }
            Some(end) => end,
        };
        Poll::Ready((end == End::Broken).then(|| Err(axum::Error::new(io::Error::from(io::ErrorKind::UnexpectedEof)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}

/// Sees to it that a caller who is answered before his request was read gets to see the answer.
pub(crate) struct Rest {
    body: Shared,
    standing: Option<Arc<Standing>>,
    /// He has announced to wait for our word before the body, and is not given it.
    waits: bool,
}

impl Rest {
    /// Of `request`, whose handler reads what it needs.
    pub(crate) fn of(request: Request) -> (Request, Self) {
        let (parts, body) = request.into_parts();
        let body = Shared(Arc::new(Mutex::new(State { body, end: None })));
        let standing = parts.extensions.get().cloned();
        let waits = parts.headers.contains_key(header::EXPECT);
        (Request::from_parts(parts, Body::new(body.clone())), Self { body, standing, waits })
    }

    /// Once the handler has answered. What is there already is read, so that the connection can go on; the rest comes after
    /// the answer (see `caller.rs`), up to a multiple of `max_body`. Whether there is a rest: then the connection ends with
    /// the answer, which has to say so.
    #[must_use]
    pub(crate) async fn leave(mut self, max_body: usize) -> bool {
        if self.body.is_whole() || !self.waits && self.body.read_to_end().await {
            return false;
        }
        if let Some(standing) = &self.standing {
            standing.leave_unread(max_body.saturating_mul(MOST_DRAINED));
        }
        true
    }
}
