//! Why a link gave no picture.

use axum::http::StatusCode;

use crate::contract::{Problem, overloaded};

/// Why a link gave no picture. No message quotes the link: links carry secrets, and logs are read by many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Links are switched off.
    #[error("links are switched off here: send the picture as Base64")]
    Disabled,
    /// No link that can be read.
    #[error("the link in faceImageBase cannot be read: {0}; send an http or https link, or Base64")]
    Malformed(&'static str),
    /// A link beyond the limit.
    #[error("the link in faceImageBase cannot be read: it is longer than {0} bytes; send a shorter one, or Base64")]
    TooLong(usize),
    /// A link that may not be followed.
    #[error("the link in faceImageBase is refused: {0}; send another link, or Base64")]
    Refused(&'static str),
    /// As many names are being looked up as may be, and none was done in time.
    #[error("as many names of links as may be are being looked up: try again in a moment")]
    Busy,
    /// No server answered; also said of names whose servers may not be reached, so that nobody learns which exist.
    #[error("the server of the link in faceImageBase cannot be reached: check that it is public and up")]
    Unreachable,
    /// The certificate or the handshake was wrong.
    #[error(
        "the server of the link in faceImageBase does not speak TLS with a valid certificate: mend it, or send Base64"
    )]
    Tls,
    /// It took too long.
    #[error(
        "the picture behind the link in faceImageBase did not arrive within {0} ms: check its server, or send Base64"
    )]
    Timeout(u64),
    /// It came too slowly.
    #[error(
        "the picture behind the link in faceImageBase came more slowly than {0} bytes a second, or stopped: check its server, or send Base64"
    )]
    Slow(u64),
    /// Another status than 200.
    #[error(
        "the server of the link in faceImageBase answered {0} instead of 200: check that it may be read without logging in"
    )]
    Status(u16),
    /// More redirects than are followed.
    #[error("the link in faceImageBase redirects more than {0} times: send the one it leads to")]
    Redirects(usize),
    /// What came is no HTTP, ended early or is compressed.
    #[error("the answer to the link in faceImageBase cannot be used: {0}; check its server, or send Base64")]
    Answer(&'static str),
}

impl LinkError {
    /// A stable reason in snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "link_disabled",
            Self::Malformed(_) | Self::TooLong(_) => "link_malformed",
            Self::Refused(_) => "link_refused",
            Self::Busy => "links_busy",
            Self::Unreachable => "link_unreachable",
            Self::Tls => "link_tls_failed",
            Self::Timeout(_) | Self::Slow(_) => "link_timeout",
            Self::Status(_) => "link_status",
            Self::Redirects(_) => "link_too_many_redirects",
            Self::Answer(_) => "link_answer_unusable",
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Busy => overloaded(error.code(), error.to_string()),
            _ => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string()),
        }
    }
}
