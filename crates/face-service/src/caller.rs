//! The wire between hyper and a caller. Three things happen here that hyper leaves to whoever uses it: what is no HTTP
//! gets an answer in the contract's envelope, a caller who does not take an answer loses the connection, and one who has
//! closed his half gets the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::contract::Problem;
use super::envelope::protect;
use super::standing::Standing;

/// What is still read after a refusal, so that the caller gets to see it: closing a connection with unread data
/// resets it.
const MOST_DRAINED: usize = 256 << 10;

/// In which that must arrive.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// In which the rest of a request must arrive that was answered before it was read.
const UNREAD_TIME: Duration = Duration::from_secs(5);

/// So much of it is read at once, and then a pause is made: whoever is refused and asks again without end costs others no
/// more than some megabytes a second of reading, while the largest body still ends within [`UNREAD_TIME`].
const PORTION: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What the header of an answer ends with.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A caller's connection, plain or encrypted.
#[derive(Debug)]
pub struct Caller<S> {
    stream: S,
    /// In which an answer must be taken.
    limit: Duration,
    /// Runs while an answer, or the rest of one, waits to be taken.
    waiting: Option<Pin<Box<Sleep>>>,
    /// The answer to what was no HTTP, and how much of it is sent.
    refusal: Option<(Vec<u8>, usize)>,
    drained: usize,
    /// Runs before more is read after a refusal.
    pause: Option<Pin<Box<Sleep>>>,
    standing: Arc<Standing>,
    /// Who wants to read on once an answer is sent.
    reader: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    /// `limit` is the time that each answer as a whole may take to be sent, however steadily the caller reads.
    pub fn new(stream: S, limit: Duration, standing: Arc<Standing>) -> Self {
        Self { stream, limit, waiting: None, refusal: None, drained: 0, pause: None, standing, reader: None }
    }

    /// Passes on what is ready, and fails when an answer has waited too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            self.standing.stalled();
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.limit)));
            ready!(waiting.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        poll
    }

    /// Sends our own answer in the place of hyper's, which has `length` bytes.
    fn refuse(&mut self, context: &mut Context<'_>, hypers: &[u8]) -> Poll<io::Result<usize>> {
        let (answer, sent) = self.refusal.get_or_insert_with(|| (refusal(hypers), 0));
        while *sent < answer.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &answer[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *sent += count,
            }
        }
        Poll::Ready(Ok(hypers.len()))
    }

    /// Reads and forgets up to `most` bytes that a refused caller still sends.
    fn drain(&mut self, context: &mut Context<'_>, most: usize) -> Poll<()> {
        let mut scratch = [0; 16 << 10];
        while self.drained < most {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            let count = match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => buffer.filled().len(),
                _ => break,
            };
            let portions = self.drained / PORTION;
            self.drained += count;
            if self.drained / PORTION > portions {
                self.pause = Some(Box::pin(sleep(PAUSE)));
            }
        }
        Poll::Ready(())
    }
}

/// Where in `bytes`, which hyper is about to send, an answer begins that is hyper's own and not the router's: the last
/// one, an error in the version of the request, without a body and without the number that every answer of ours has.
fn hypers_own(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(END_OF_HEAD) {
        return None;
    }
    let start = memchr::memmem::rfind(bytes, b"HTTP/1.")?;
    let head = &bytes[start..];
    let error = matches!(head.get(7..10), Some(b"0 4" | b"1 4"));
    let alone = memchr::memmem::find(head, END_OF_HEAD) == Some(head.len() - END_OF_HEAD.len());
    let ours = memchr::memmem::find(head, b"\r\nx-request-id: ").is_some();
    (error && alone && !ours).then_some(start)
}

/// A whole answer that says what hyper's status means.
fn refusal(hypers: &[u8]) -> Vec<u8> {
    let problem = match hypers.get(9..12) {
        Some(b"431") => Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            "the header of the request is too large: send fewer and shorter fields",
        ),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "http_malformed",
            "what was sent is no HTTP/1.1 request: correct the client",
        ),
    };
    let body = problem.to_json(None);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    protect(&mut headers, None);
    let mut answer = format!("HTTP/1.1 {}\r\n", problem.status).into_bytes();
    for (name, value) in &headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    // The answer to HEAD alone has no length, and no body.
    if memchr::memmem::find(hypers, b"\r\ncontent-length: ").is_some() {
        answer.extend(body);
    }
    answer
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Caller<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = match Pin::new(&mut self.stream).poll_read(context, buffer) {
            // Over TLS: the connection was closed without a farewell, as one without TLS always is. A request that was cut
            // off thereby is told by its length.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            poll => poll,
        };
        let ended = matches!(poll, Poll::Ready(Ok(()))) && buffer.filled().len() == before && buffer.remaining() > 0;
        // hyper would take the end of what the caller sends for the end of the caller. A reset is passed on as it is.
        if ended && self.standing.closed() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        poll
    }
}

/// Not vectored, so that hyper hands over a whole head at once, and the body with it or a large part of that.
impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Caller<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = match hypers_own(bytes) {
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
            // What comes before belongs to the answer to an earlier request.
            Some(start @ 1..) => Pin::new(&mut self.stream).poll_write(context, &bytes[..start]),
            Some(0) => self.refuse(context, bytes),
        };
        self.in_time(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        // hyper flushes when it has handed over everything that it has: of a long answer, a part. The time runs on then.
        if poll.is_ready() && self.standing.sent() {
            self.waiting = None;
            if self.standing.idle().is_some()
                && let Some(reader) = self.reader.take()
            {
                reader.wake();
            }
        }
        self.in_time(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut poll = Pin::new(&mut self.stream).poll_shutdown(context);
        let unread = self.standing.unread();
        if (unread > 0 || self.refusal.is_some()) && matches!(poll, Poll::Ready(Ok(()))) {
            let (most, time) = if unread > 0 { (unread, UNREAD_TIME) } else { (MOST_DRAINED, DRAIN_TIME) };
            self.limit = time;
            poll = self.drain(context, most).map(Ok);
        }
        self.in_time(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{Interval, MissedTickBehavior, interval};

    use super::*;

    /// A caller who takes a byte at every tick.
    struct Slow(Interval);

    impl AsyncRead for Slow {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            self.0.poll_tick(context).map(|_| Ok(1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Sends as hyper does: all there is, then a flush. Counts what was taken.
    async fn send(caller: &mut Caller<Slow>, mut bytes: &[u8], taken: &mut usize) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| Pin::new(&mut *caller).poll_write(context, bytes)).await?;
            *taken += count;
            bytes = &bytes[count..];
        }
        poll_fn(|context| Pin::new(&mut *caller).poll_flush(context)).await
    }

    #[test]
    fn hypers_answers_are_told_from_ours() {
        let hypers = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(hypers_own(hypers), Some(0));
        let version_0 = b"HTTP/1.0 400 Bad Request\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let head = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ndate: x\r\n\r\n";
        assert_eq!((hypers_own(version_0), hypers_own(head)), (Some(0), Some(0)));
        let before = b"HTTP/1.1 200 OK\r\nx-request-id: 1\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(hypers_own(&[&before[..], hypers].concat()), Some(before.len()));
        for ours in [
            &before[..],
            b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 90\r\nx-request-id: 1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.0 404 Not Found\r\nx-request-id: 1\r\n\r\n",
            b"HTTP/1.1 4 in a text\r\n\r\nof ours\r\n\r\n",
            b"rest of a body\r\n\r\n",
            b"",
        ] {
            assert_eq!(hypers_own(ours), None);
        }
    }

    #[tokio::test]
    async fn a_caller_who_takes_an_answer_byte_by_byte_loses_the_connection() {
        let mut ticks = interval(Duration::from_millis(10));
        // Else he would take at once what he has missed while the machine was busy.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (slow, mut taken) = (Slow(ticks), 0);
        let error =
            send(&mut Caller::new(slow, Duration::from_millis(200), Arc::default()), &[0; 4096], &mut taken).await;
        assert_eq!(error.expect_err("too slow").kind(), io::ErrorKind::TimedOut);
        assert!((2..=40).contains(&taken), "{taken} bytes in the time of 20 ticks");
    }

    #[tokio::test]
    async fn an_answer_that_is_sent_part_by_part_has_one_time() {
        let standing = Arc::new(Standing::default());
        standing.asked();
        standing.begun();
        let mut ticks = interval(Duration::from_millis(5));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut caller = Caller::new(Slow(ticks), Duration::from_millis(200), standing);
        let begin = tokio::time::Instant::now();
        let error = loop {
            if let Err(error) = send(&mut caller, &[0; 10], &mut 0).await {
                break error;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "each part has its own time");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn each_answer_has_its_own_time() {
        let mut caller =
            Caller::new(Slow(interval(Duration::from_millis(5))), Duration::from_millis(500), Arc::default());
        for _ in 0..15 {
            send(&mut caller, &[0; 10], &mut 0).await.expect("taken in time");
        }
    }
}
