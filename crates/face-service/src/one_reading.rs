//! What has more than one reading is refused: a proxy and the service could understand it differently, and take a part of one
//! request for another (request smuggling). hyper refuses lengths of this kind, and ends a connection after a request that has
//! a length and chunks.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};

use super::contract::Problem;

/// Whether there is one reading of what the header says.
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    check_host(request)?;
    check_codings(request.headers())
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 names one host, and what does not is refused, since two servers could
/// understand it differently.
fn check_host(request: &Request) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let well_formed = |host: &HeaderValue| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
        let (name, port) = match host.as_bytes() {
            // An address in brackets, whose colons are no port's.
            [b'[', rest @ ..] => {
                let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
                let (address, port) = rest.split_at(end);
                if !address.iter().all(|byte| is_part(byte) || *byte == b':') {
                    return false;
                }
                (&[][..], &port[1..])
            }
            bytes => bytes.split_at(bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len())),
        };
        let is_port = match port {
            [] => true,
            [colon, digits @ ..] => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
        };
        name.iter().all(is_part) && is_port
    };
    let fine = match (first, second) {
        (Some(host), None) => well_formed(host),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if fine {
        return Ok(());
    }
    let message = "a request of HTTP/1.1 names one host: send exactly one Host field with a name or an address";
    Err(malformed(message))
}

/// RFC 9112, section 6.1: a body comes with a length or in chunks. Nobody here undoes another coding, and chunks in chunks are
/// none.
fn check_codings(headers: &HeaderMap) -> Result<(), Problem> {
    let (mut chunked, mut others) = (0, 0);
    let fields = headers.get_all(header::TRANSFER_ENCODING).iter();
    for coding in fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')) {
        match coding.trim_ascii() {
            name if name.eq_ignore_ascii_case(b"chunked") => chunked += 1,
            b"" => return Err(malformed("a coding in Transfer-Encoding has no name: send Transfer-Encoding: chunked")),
            _ => others += 1,
        }
    }
    if chunked > 1 {
        return Err(malformed("the body is chunked more than once: send Transfer-Encoding: chunked"));
    }
    if others > 0 {
        let message =
            "the body has a coding other than chunked: send it with a Content-Length, or in chunks, uncompressed";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "transfer_coding_unsupported", message));
    }
    Ok(())
}

fn malformed(message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "http_malformed", message)
}
