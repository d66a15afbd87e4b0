//! What every answer carries, whoever answers: the number to ask about, and the headers that keep it from being kept,
//! sniffed or framed.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use tracing::Instrument as _;

use super::contract::Problem;
use super::one_reading::check;
use super::unread::Rest;

/// What every answer carries: it is nobody's to keep, sniff or frame, and has a number to ask about. The caller gets to see
/// it also when his request was not read.
pub(crate) async fn finish(State(max_body): State<usize>, request: Request, next: Next) -> Response<Body> {
    let id = request_id(request.headers());
    let (request, rest) = Rest::of(request);
    let span = tracing::info_span!("http", request_id = %id);
    let read = check(&request);
    let ambiguous = read.is_err();
    let mut response = match read {
        Ok(()) => next.run(request).instrument(span).await,
        Err(problem) => problem.into_response(None),
    };
    let unread = rest.leave(max_body).await;
    // Where two servers could disagree about a request, they could about where the next one begins; and what is not read of
    // one ends the connection, of which a client must know that it carries no other.
    if ambiguous || unread {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    protect(response.headers_mut(), Some(&id));
    response
}

/// The headers of every answer, with the request's number or a new one.
pub(crate) fn protect(headers: &mut HeaderMap, id: Option<&str>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The playground brings a policy of its own.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    if let Ok(value) = HeaderValue::from_str(&id.map_or_else(new_id, str::to_owned)) {
        headers.insert("x-request-id", value);
    }
}

/// The caller's `X-Request-Id` when it is harmless, else one of our own.
fn request_id(headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    if let Some(id) = headers.get("x-request-id").and_then(|v| v.to_str().ok()).filter(harmless) {
        return id.to_owned();
    }
    new_id()
}

fn new_id() -> String {
    let mut random = [0; 8];
    // Without randomness the number is zero; it identifies, it does not protect.
    let _ = getrandom::fill(&mut random);
    format!("{:016x}", u64::from_le_bytes(random))
}

/// The answer to a method that a path without side effects does not take.
pub(crate) async fn read_only(method: Method) -> Response<Body> {
    not_allowed(&method, "GET, HEAD")
}

/// The answer to a method that a path does not take, with those that it takes.
pub(crate) fn not_allowed(method: &Method, allowed: &'static str) -> Response<Body> {
    let message = format!("this path does not take {method}: use {allowed}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .with_header(header::ALLOW, HeaderValue::from_static(allowed))
        .into_response(None)
}
