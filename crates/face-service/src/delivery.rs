//! The way of an answer to its caller: piece by piece, however long it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::standing::Standing;

/// Bytes of a piece. hyper copies each into a buffer of the connection, which never shrinks, and takes none while that is
/// full: so a connection holds a few of them, whatever the answer's length.
const PIECE: usize = 16 << 10;

/// The body of an answer. The connection knows when all of it is handed over.
#[derive(Debug)]
pub(crate) struct Delivery {
    body: Body,
    /// What is left of the part that `body` gave last.
    rest: Bytes,
    standing: Arc<Standing>,
}

impl Delivery {
    /// Begins to hand `body` over.
    pub(crate) fn new(body: Body, standing: Arc<Standing>) -> Self {
        standing.begun();
        Self { body, rest: Bytes::new(), standing }
    }
}

impl HttpBody for Delivery {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (to_come, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(to_come.lower() + rest);
        if let Some(upper) = to_come.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// hyper lets go of a body when it has taken all that it wants of it, which is nothing when only the head was asked for.
impl Drop for Delivery {
    fn drop(&mut self) {
        self.standing.answered();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_handed_over_in_pieces_and_its_length_is_known_before() {
        let bytes: Vec<u8> = (0..50_000_u32).map(|number| (number % 251) as u8).collect();
        let standing = Arc::new(Standing::default());
        standing.asked();
        let mut delivery = Delivery::new(Body::from(bytes.clone()), Arc::clone(&standing));
        let mut taken = Vec::new();
        loop {
            assert_eq!(delivery.size_hint().exact(), Some((bytes.len() - taken.len()) as u64));
            assert_eq!(delivery.is_end_stream(), taken.len() == bytes.len());
            assert!(!standing.sent(), "what is handed over may be sent, but it is not all");
            let Some(frame) = delivery.frame().await else { break };
            let piece = frame.expect("no error").into_data().expect("no trailers");
            assert!((1..=PIECE).contains(&piece.len()));
            taken.extend_from_slice(&piece);
        }
        assert_eq!(taken, bytes);
        assert!(standing.idle().is_none());
        drop(delivery);
        assert!(standing.sent() && standing.idle().is_some());
    }

    #[tokio::test]
    async fn of_an_answer_that_nobody_takes_nothing_is_left() {
        let standing = Arc::new(Standing::default());
        standing.asked();
        drop(Delivery::new(Body::from("for HEAD"), Arc::clone(&standing)));
        assert!(standing.sent());
    }
}
