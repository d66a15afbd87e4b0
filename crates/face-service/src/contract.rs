//! Requests and answers as the API contract words them.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use face_analysis::report::{Details, Face, Rectangle, Rejection, Verdict};
use face_analysis::{Analysis, RejectionWord};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Schema, SchemaFormat};

/// A picture to check, and what to answer beside its attributes. Other fields are ignored.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct DetectRequest<'b> {
    /// The caller's name for this call: 1 to 128 printable characters, echoed in the answer and logged. Send a random
    /// value, no customer number.
    #[schema(
        min_length = 1,
        max_length = 128,
        // What `printable` refuses.
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+$"
    )]
    pub session_id: Cow<'b, str>,
    /// The picture: JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF, told from its bytes.
    #[schema(schema_with = face_image_schema)]
    pub face_image_base: Cow<'b, str>,
    /// Whether the cropped face is wanted; `null` is `false`.
    #[schema(value_type = Option<bool>, default = false)]
    pub return_face_image: bool,
    /// Whether every measured value is wanted; `null` is `false`.
    #[schema(value_type = Option<bool>, default = false)]
    pub return_details: bool,
}

/// The longest `sessionId` in characters.
const MAX_SESSION_ID: usize = 128;

/// The three forms of a picture in a request.
fn face_image_schema() -> Schema {
    let form = |title: &str, format: &str, pattern: &str, description: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .title(Some(title))
            .format(Some(SchemaFormat::Custom(format.into())))
            .pattern(Some(pattern))
            .description(Some(description))
    };
    AnyOfBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("The picture: JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF, told from its bytes."))
        .item(
            form(
                "Base64",
                "byte",
                r"^[A-Za-z0-9+/_=\s-]+$",
                "Standard or URL-safe alphabet, with or without padding; line breaks are allowed.",
            )
            .content_encoding("base64"),
        )
        .item(form("Data URI", "uri", "^data:[^,]*;base64,", "The declared type is ignored."))
        .item(form(
            "Link",
            "uri",
            r"^https?://[^/\s]",
            "To a public server, if links are allowed here. At most 2048 bytes.",
        ))
        .build()
        .into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest<'b> {
    #[serde(borrow, default)]
    session_id: Option<&'b RawValue>,
    #[serde(borrow, default)]
    face_image_base: Option<&'b RawValue>,
    #[serde(borrow, default)]
    return_face_image: Option<&'b RawValue>,
    #[serde(borrow, default)]
    return_details: Option<&'b RawValue>,
}

/// What is wrong with a request, and the `sessionId` if at least that could be read.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The caller's `sessionId`.
    pub session_id: Option<String>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

impl<'b> DetectRequest<'b> {
    /// Reads a request. Each field is judged on its own, so that the `sessionId` is known even when another is wrong.
    pub fn parse(body: &'b [u8]) -> Result<Self, RequestError> {
        // serde would also read the fields from an array by their order, which nobody means.
        let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let read = if array { Err(serde::de::Error::custom("an array")) } else { serde_json::from_slice(body) };
        let raw: RawRequest<'b> = read.map_err(|error: serde_json::Error| RequestError {
            session_id: None,
            problem: Box::new(Problem::new(
                StatusCode::BAD_REQUEST,
                "json_malformed",
                format!(
                    "the body is no JSON object with the fields of a detect request (line {}, column {}): send \
                     {{\"sessionId\": \"…\", \"faceImageBase\": \"…\"}}",
                    error.line(),
                    error.column()
                ),
            )),
        })?;
        let session_id = session_id(raw.session_id)
            .map_err(|problem| RequestError { session_id: None, problem: Box::new(problem) })?;
        let rest = || -> Result<(Cow<'b, str>, bool, bool), Problem> {
            let face_image_base = text(raw.face_image_base, "faceImageBase")?;
            if face_image_base.is_empty() {
                return Err(field("faceImageBase", "is empty: send Base64, a data URI or a link"));
            }
            Ok((
                face_image_base,
                flag(raw.return_face_image, "returnFaceImage")?,
                flag(raw.return_details, "returnDetails")?,
            ))
        };
        match rest() {
            Ok((face_image_base, return_face_image, return_details)) => {
                Ok(Self { session_id, face_image_base, return_face_image, return_details })
            }
            Err(problem) => Err(RequestError { session_id: Some(session_id.into_owned()), problem: Box::new(problem) }),
        }
    }
}

fn session_id(raw: Option<&RawValue>) -> Result<Cow<'_, str>, Problem> {
    let id = text(raw, "sessionId")?;
    let length = id.chars().count();
    if length == 0 || length > MAX_SESSION_ID {
        let reason = format!("has {length} characters: send 1 to {MAX_SESSION_ID}");
        return Err(field("sessionId", &reason));
    }
    if !id.chars().all(printable) {
        return Err(field("sessionId", "has characters that cannot be printed: send printable characters only"));
    }
    Ok(id)
}

/// Control characters, line separators and the marks that reorder text would forge log lines.
fn printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn text<'b>(raw: Option<&'b RawValue>, name: &'static str) -> Result<Cow<'b, str>, Problem> {
    let raw = raw.ok_or_else(|| field(name, "is missing: it is a required string"))?.get();
    // Without escapes the text is borrowed: pictures are megabytes.
    if let Ok(plain) = serde_json::from_str::<&'b str>(raw) {
        return Ok(Cow::Borrowed(plain));
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(_) => Err(field(name, "is no string: send a JSON string")),
    }
}

fn flag(raw: Option<&RawValue>, name: &'static str) -> Result<bool, Problem> {
    match raw.map(RawValue::get) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(field(name, "is no boolean: send true or false, or leave it out")),
    }
}

fn field(name: &'static str, reason: &str) -> Problem {
    let code = match name {
        "sessionId" => "session_id_invalid",
        "faceImageBase" => "face_image_base_invalid",
        "returnFaceImage" => "return_face_image_invalid",
        _ => "return_details_invalid",
    };
    Problem::new(StatusCode::BAD_REQUEST, code, format!("{name} {reason}"))
}

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
        let mut response = json_bytes(self.status, self.to_json(session_id));
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
    let details = analysis.details.as_deref();
    match &analysis.verdict {
        Verdict::Accepted(face) => {
            let image = face.image.as_deref().map(|jpeg| base64_simd::STANDARD.encode_to_string(jpeg));
            to_json(&Success { details, ..Success::new(session_id, face, image.as_deref(), place) })
        }
        Verdict::Rejected(rejection) => to_json(&Failure { details, ..Failure::rejected(session_id, rejection) }),
    }
}

/// The answer to a finished analysis: the call worked, whatever the picture shows.
pub fn analysis_response(session_id: &str, analysis: &Analysis, place: FaceImagePlace) -> Response<Body> {
    json_bytes(StatusCode::OK, analysis_json(session_id, analysis, place))
}

/// The JSON for bytes that are no usable picture.
pub fn picture_problem_json(session_id: &str, code: &str, message: &str) -> Vec<u8> {
    to_json(&Failure::new(Some(session_id), "INTERNAL_ERROR", code, message))
}

fn to_json(answer: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and maps with string keys: nothing here can fail to serialise.
    serde_json::to_vec(answer).unwrap_or_default()
}

fn json_bytes(status: StatusCode, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// All words that can stand in `error`.
pub fn error_words() -> impl Iterator<Item = &'static str> {
    RejectionWord::ALL.into_iter().map(RejectionWord::as_str).chain(["INTERNAL_ERROR"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> RequestError {
        DetectRequest::parse(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn reads_a_request_and_ignores_unknown_fields() {
        let body = br#"{"sessionId":"a","faceImageBase":"AAAA","returnFaceImage":true,"more":{"x":[1]}}"#;
        let request = DetectRequest::parse(body).expect("valid");
        assert_eq!((&*request.session_id, &*request.face_image_base), ("a", "AAAA"));
        assert!(request.return_face_image && !request.return_details);
        assert!(matches!(request.face_image_base, Cow::Borrowed(_)));
    }

    #[test]
    fn line_breaks_in_the_base64_survive_their_json_escapes() {
        let request = DetectRequest::parse(br#"{"sessionId":"a","faceImageBase":"AA\r\nAA"}"#).expect("valid");
        assert_eq!(request.face_image_base, "AA\r\nAA");
    }

    #[test]
    fn every_wrong_field_is_named_and_the_session_id_kept() {
        let cases = [
            (r#"{"sessionId":"s"}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":null}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":""}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":7}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":["A"]}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":"AAAA","returnFaceImage":"true"}"#, "return_face_image_invalid"),
            (r#"{"sessionId":"s","faceImageBase":"AAAA","returnFaceImage":1}"#, "return_face_image_invalid"),
            (r#"{"sessionId":"s","faceImageBase":"AAAA","returnDetails":{}}"#, "return_details_invalid"),
        ];
        for (body, code) in cases {
            let error = problem(body);
            assert_eq!((error.session_id.as_deref(), error.problem.code), (Some("s"), code), "{body}");
            assert_eq!(error.problem.status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn a_session_id_is_one_to_128_printable_characters() {
        let request = |id: &str| format!(r#"{{"sessionId":{},"faceImageBase":"AAAA"}}"#, serde_json::json!(id));
        for good in ["x", "ü", &"é".repeat(128), "a b/c:d\"\\"] {
            assert_eq!(DetectRequest::parse(request(good).as_bytes()).expect(good).session_id, good);
        }
        for bad in ["", "a\nb", "a\0", "\u{202e}x", &"x".repeat(129)] {
            assert_eq!(problem(&request(bad)).problem.code, "session_id_invalid", "{bad:?}");
        }
        for bad in [r#"{"sessionId":5,"faceImageBase":"AAAA"}"#, r#"{"faceImageBase":"AAAA"}"#] {
            assert_eq!(problem(bad).problem.code, "session_id_invalid", "{bad}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_malformed() {
        let nested = "[".repeat(100_000);
        for bad in
            ["", "{", "[]", " [\"a\", \"AAAA\"]", "7", "null", "{\"sessionId\":\"a\"", "\u{feff}{}", nested.as_str()]
        {
            assert_eq!(problem(bad).problem.code, "json_malformed");
        }
        assert_eq!(DetectRequest::parse(b"\xff\xfe{}").expect_err("no UTF-8").problem.code, "json_malformed");
    }
}
