//! The body of a request: how large it may be and how it is read.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::App;
use crate::buffer::{Buffer, Overflow, no_memory};
use crate::contract::Problem;
use crate::pace::Pace;
use crate::standing::Standing;

/// Pieces of a body that are taken before other requests get their turn on the thread.
const PIECES_AT_ONCE: usize = 512;

/// Bytes that a piece has on average from anybody who wants to be fast, and the pause for who has smaller ones after each
/// [`PIECES_AT_ONCE`]: a piece costs about a microsecond, so that a third of a core is the most that he takes.
const CRUMB: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

impl App {
    /// The bytes that the body may have: its declared length, or the limit when it has none.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<usize, Problem> {
        let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type_unsupported",
                "send the request with Content-Type: application/json",
            ));
        }
        if headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_encoding_unsupported",
                "send the body uncompressed, without Content-Encoding",
            ));
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        match length {
            Some(length) if length > self.max_body => Err(self.body_too_large()),
            Some(length) => Ok(length),
            None => Ok(self.max_body),
        }
    }

    fn body_too_large(&self) -> Problem {
        let message = format!("the body is larger than {} bytes: scale the picture down or send a link", self.max_body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) async fn read(
        &self,
        mut body: Body,
        mut buffer: Buffer,
        standing: Option<&Arc<Standing>>,
    ) -> Result<Buffer, Problem> {
        let mut pace = Pace::new(self.min_body_rate, self.body_timeout, Instant::now());
        let mut pieces = 0_usize;
        loop {
            let closed = async {
                match standing {
                    Some(standing) => standing.nothing_more().await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = closed => Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::UnexpectedEof)))),
                () = tokio::time::sleep_until(pace.until()) => return Err(self.body_late(pace.is_over(Instant::now()))),
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                None => return Ok(buffer),
                Some(Err(error)) => return Err(broken(&error)),
            };
            let Some(piece) = frame.data_ref() else { continue };
            buffer.push(piece).map_err(|overflow| match overflow {
                Overflow::TooLarge => self.body_too_large(),
                Overflow::NoMemory(no_more) => no_memory(no_more),
            })?;
            pace.note(piece.len(), Instant::now());
            pieces += 1;
            // Thousands of small pieces may be there at once, and others wait for this thread; a sender of crumbs also for
            // the time that they cost.
            if pieces.is_multiple_of(PIECES_AT_ONCE) {
                if buffer.len() < pieces * CRUMB {
                    tokio::time::sleep(PAUSE).await
                } else {
                    tokio::task::yield_now().await
                }
            }
        }
    }

    fn body_late(&self, over: bool) -> Problem {
        let message = if over {
            format!(
                "the body did not arrive within {} ms: send it again, smaller or on a faster line",
                self.body_timeout.as_millis()
            )
        } else {
            format!(
                "the body came more slowly than {} bytes a second, or stopped: send it again on a faster line",
                self.min_body_rate
            )
        };
        Problem::new(StatusCode::BAD_REQUEST, "body_timeout", message)
    }
}

/// Why a body has no end: what came is no chunk, or no more came.
fn broken(error: &(dyn Error + 'static)) -> Problem {
    let mut causes =
        successors(Some(error), |error| (*error).source()).filter_map(|cause| cause.downcast_ref::<io::Error>());
    // As hyper words it for whatever it cannot read as chunks or trailers.
    let unreadable =
        |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    let (code, message) = if causes.any(unreadable) {
        let message = "the body's chunks cannot be read: a size, an end or a trailer is malformed or too long; correct the \
                       client";
        ("http_malformed", message)
    } else {
        ("body_incomplete", "the body ended before all of it had come: send it again")
    };
    Problem::new(StatusCode::BAD_REQUEST, code, message)
}
