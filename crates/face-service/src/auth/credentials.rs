//! The `Authorization` header: who says to be who.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::users::MAX_CREDENTIAL;
use crate::contract::Problem;

/// The answer to a name or a password that is wrong; nobody learns which.
pub(super) fn wrong() -> Problem {
    unauthorized("credentials_wrong", "the user name or the password is wrong: check both")
}

fn unauthorized(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, message)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"facegate\", charset=\"UTF-8\""))
}

/// User name and password of a Basic `Authorization` header (RFC 7617).
pub(super) fn credentials(headers: &HeaderMap) -> Result<(String, String), Problem> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        unauthorized("credentials_missing", "send an Authorization header: Basic and the Base64 of user:password")
    })?;
    let malformed = || {
        unauthorized("credentials_malformed", "the Authorization header is not Basic and the Base64 of user:password")
    };
    let value = header.to_str().map_err(|_| malformed())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") || token.len() > 4 * MAX_CREDENTIAL {
        return Err(malformed());
    }
    let bytes = base64_simd::STANDARD.decode_to_vec(token.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    let (name, password) = text.split_once(':').ok_or_else(malformed)?;
    if name.len() > MAX_CREDENTIAL || password.len() > MAX_CREDENTIAL {
        return Err(malformed());
    }
    Ok((name.to_owned(), password.to_owned()))
}
