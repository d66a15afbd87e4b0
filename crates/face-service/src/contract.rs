//! Requests and answers as the API contract words them.

mod request;

use std::{fmt, io};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use face_analysis::report::{Details, Face, Rectangle, Rejection, Verdict};
use face_analysis::{Analysis, RejectionWord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

pub use self::request::{DetectRequest, RequestError};

/// Why a request was not answered with an analysis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable reason in snake_case.
    pub code: &'static str,
    /// A sentence for the developer.
    pub message: String,
    /// A header that belongs to the status, such as `Retry-After`.
    pub header: Option<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem without an extra header.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    /// The same problem with a header.
    #[must_use]
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The contract's envelope.
    pub fn to_json(&self, session_id: Option<&str>) -> Vec<u8> {
        to_json(&Failure::new(session_id, "INTERNAL_ERROR", self.code, &self.message))
    }

    /// The answer in the contract's envelope.
    pub fn into_response(self, session_id: Option<&str>) -> Response<Body> {
        let mut response = json_response(self.status, self.to_json(session_id));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Where the cropped face stands in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaceImagePlace {
    /// Inside `face` and beside it: clients of both kinds exist.
    #[default]
    Both,
    /// Inside `face` only.
    Face,
    /// Beside `face` only.
    TopLevel,
}

/// The answer with the one usable face.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Success<'a> {
    /// As in the request.
    pub session_id: &'a str,
    #[schema(schema_with = never)]
    has_error: bool,
    /// The attributes of the face.
    pub face: FaceAnswer<'a>,
    /// JPEG of the face rectangle in Base64, when it was asked for (setting `response.face_image`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, content_encoding = "base64", content_media_type = "image/jpeg")]
    pub face_image_base: Option<&'a str>,
    /// Every measured value, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub details: Option<&'a Details>,
}

/// The answer without a face to report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure<'a> {
    /// As in the request; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub session_id: Option<&'a str>,
    #[schema(schema_with = always)]
    has_error: bool,
    /// One of the contract's nine words: the first that applies. `INTERNAL_ERROR` comes with a status that is not 200.
    #[schema(schema_with = error_word_schema)]
    pub error: &'a str,
    /// The finer reason.
    pub error_detail: ErrorDetail<'a>,
    /// Every value that was measured, when a picture was rejected and they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub details: Option<&'a Details>,
}

fn never() -> Schema {
    constant(false, "There is a face to report.")
}

fn always() -> Schema {
    constant(true, "There is no face to report.")
}

fn constant(value: bool, meaning: &str) -> Schema {
    let one = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([value]));
    one.description(Some(meaning)).build().into()
}

fn error_word_schema() -> Schema {
    let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(error_words()));
    let meaning =
        "The first of the contract's words that applies. `INTERNAL_ERROR` comes with a status that is not 200.";
    words.description(Some(meaning)).build().into()
}

/// A finer, stable reason and a sentence that a developer can act on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail<'a> {
    /// Stable; each has an example with its answer.
    #[schema(pattern = "^[a-z0-9_]+$")]
    pub code: &'a str,
    /// What was measured or sent, what is required, what to do. For developers; may change.
    pub message: &'a str,
}

/// The attributes of the face.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaceAnswer<'a> {
    /// Whole years.
    #[schema(maximum = 100)]
    pub age: u8,
    /// -10000 (certainly male) to 10000 (certainly female), 0 undecided.
    #[schema(minimum = -10000, maximum = 10000)]
    pub gender: i32,
    /// 0 to 1, higher is more alive, 0.5 is the operating threshold: the caller decides.
    #[schema(minimum = 0, maximum = 1)]
    pub passive_liveness_score: f64,
    /// Whole pixels of the picture as a person sees it, after EXIF orientation.
    pub rectangle: Rectangle,
    /// JPEG of the rectangle in Base64, when it was asked for (setting `response.face_image`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, content_encoding = "base64", content_media_type = "image/jpeg")]
    pub face_image_base: Option<&'a str>,
}

impl<'a> Success<'a> {
    /// The answer about a face, with its picture in the places that `place` names.
    pub fn new(session_id: &'a str, face: &Face, image: Option<&'a str>, place: FaceImagePlace) -> Self {
        Self {
            session_id,
            has_error: false,
            face: FaceAnswer {
                age: face.age,
                gender: face.gender,
                // Four digits are more than the networks are worth, and keep f32's tail out of the answer.
                passive_liveness_score: (f64::from(face.passive_liveness_score) * 1e4).round() / 1e4,
                rectangle: face.rectangle,
                face_image_base: image.filter(|_| place != FaceImagePlace::TopLevel),
            },
            face_image_base: image.filter(|_| place != FaceImagePlace::Face),
            details: None,
        }
    }
}

impl<'a> Failure<'a> {
    /// The answer that says why there is no face.
    pub fn new(session_id: Option<&'a str>, error: &'a str, code: &'a str, message: &'a str) -> Self {
        Self { session_id, has_error: true, error, error_detail: ErrorDetail { code, message }, details: None }
    }

    /// The answer about a rejected picture.
    pub fn rejected(session_id: &'a str, rejection: &'a Rejection) -> Self {
        Self::new(Some(session_id), rejection.word.as_str(), rejection.code, &rejection.message)
    }
}

/// The contract's word for an outcome: `OK` or one of the rejections.
pub fn outcome(analysis: &Analysis) -> &'static str {
    match &analysis.verdict {
        Verdict::Accepted(_) => "OK",
        Verdict::Rejected(rejection) => rejection.word.as_str(),
    }
}

/// The JSON of a finished analysis.
pub fn analysis_json(session_id: &str, analysis: &Analysis, place: FaceImagePlace) -> Vec<u8> {
    let mut json = Vec::with_capacity(1 << 10);
    // As `to_json`, and memory takes all bytes.
    let _ = write_analysis(&mut json, session_id, analysis, place);
    json
}

/// The same, written where it is to be.
///
/// # Errors
///
/// That of `to`.
pub fn write_analysis(
    to: impl io::Write,
    session_id: &str,
    analysis: &Analysis,
    place: FaceImagePlace,
) -> serde_json::Result<()> {
    let details = analysis.details.as_deref();
    match &analysis.verdict {
        Verdict::Accepted(face) => {
            let image = face.image.as_deref().map(|jpeg| base64_simd::STANDARD.encode_to_string(jpeg));
            serde_json::to_writer(to, &Success { details, ..Success::new(session_id, face, image.as_deref(), place) })
        }
        Verdict::Rejected(rejection) => {
            serde_json::to_writer(to, &Failure { details, ..Failure::rejected(session_id, rejection) })
        }
    }
}

/// The JSON for bytes that are no usable picture.
pub fn picture_problem_json(session_id: &str, code: &str, message: &str) -> Vec<u8> {
    to_json(&Failure::new(Some(session_id), "INTERNAL_ERROR", code, message))
}

fn to_json(answer: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and maps with string keys: nothing here can fail to serialise.
    serde_json::to_vec(answer).unwrap_or_default()
}

/// An answer of JSON.
pub(crate) fn json_response(status: StatusCode, json: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Seconds after which a shed caller may try again.
const RETRY_AFTER_S: u64 = 1;

/// All words that can stand in `error`.
pub fn error_words() -> impl Iterator<Item = &'static str> {
    RejectionWord::ALL.into_iter().map(RejectionWord::as_str).chain(["INTERNAL_ERROR"])
}

/// What a caller gets who may try again soon: 503 with `Retry-After`.
pub(crate) fn overloaded(code: &'static str, message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
}
