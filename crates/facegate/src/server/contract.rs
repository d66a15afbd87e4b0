//! Requests and answers as the API contract words them.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use face_analysis::report::{Details, Face, Rectangle, Verdict};
use face_analysis::{Analysis, RejectionWord};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A request for `POST /api/v1/face/detect`, its texts borrowed from the body.
#[derive(Debug)]
pub struct DetectRequest<'b> {
    /// 1 to 128 printable characters.
    pub session_id: Cow<'b, str>,
    /// Base64, a data URI or a link.
    pub face_image: Cow<'b, str>,
    /// Whether the cropped face is wanted.
    pub return_face_image: bool,
    /// Whether every measured value is wanted.
    pub return_details: bool,
}

/// The longest `sessionId` in characters.
const MAX_SESSION_ID: usize = 128;

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
            let face_image = text(raw.face_image_base, "faceImageBase")?;
            if face_image.is_empty() {
                return Err(field("faceImageBase", "is empty: send Base64, a data URI or a link"));
            }
            Ok((
                face_image,
                flag(raw.return_face_image, "returnFaceImage")?,
                flag(raw.return_details, "returnDetails")?,
            ))
        };
        match rest() {
            Ok((face_image, return_face_image, return_details)) => {
                Ok(Self { session_id, face_image, return_face_image, return_details })
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

    /// The answer in the contract's envelope.
    pub fn into_response(self, session_id: Option<&str>) -> Response<Body> {
        let envelope = Envelope::error(session_id, "INTERNAL_ERROR", self.code, &self.message);
        let mut response = json(self.status, &envelope);
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Every answer of the service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    /// As in the request; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    /// Whether there is no face to report.
    pub has_error: bool,
    /// One of the contract's nine words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// The finer reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail<'a>>,
    /// The one usable face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face: Option<FaceAnswer<'a>>,
    /// JPEG of the face rectangle in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face_image_base: Option<&'a str>,
    /// Every measured value, on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a Details>,
}

/// A finer, stable reason and a sentence that a developer can act on.
#[derive(Debug, Serialize)]
pub struct ErrorDetail<'a> {
    /// In snake_case.
    pub code: &'a str,
    /// What was measured or sent, what is required, what to do.
    pub message: &'a str,
}

/// The attributes of the face.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaceAnswer<'a> {
    /// Whole years.
    pub age: u8,
    /// -10000 (male) to 10000 (female).
    pub gender: i32,
    /// 0 to 1, higher is more alive, 0.5 is the operating threshold.
    pub passive_liveness_score: f64,
    /// Whole pixels of the picture as a person sees it.
    pub rectangle: Rectangle,
    /// JPEG of the rectangle in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face_image_base: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    /// An error.
    pub fn error(session_id: Option<&'a str>, word: &'a str, code: &'a str, message: &'a str) -> Self {
        Self {
            session_id,
            has_error: true,
            error: Some(word),
            error_detail: Some(ErrorDetail { code, message }),
            face: None,
            face_image_base: None,
            details: None,
        }
    }

    fn face(session_id: &'a str, face: &Face, image: Option<&'a str>, place: FaceImagePlace) -> Self {
        let inside = image.filter(|_| place != FaceImagePlace::TopLevel);
        let beside = image.filter(|_| place != FaceImagePlace::Face);
        Self {
            session_id: Some(session_id),
            has_error: false,
            error: None,
            error_detail: None,
            face: Some(FaceAnswer {
                age: face.age,
                gender: face.gender,
                // Four digits are more than the networks are worth, and keep f32's tail out of the answer.
                passive_liveness_score: (f64::from(face.passive_liveness_score) * 1e4).round() / 1e4,
                rectangle: face.rectangle,
                face_image_base: inside,
            }),
            face_image_base: beside,
            details: None,
        }
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
    let image;
    let mut envelope = match &analysis.verdict {
        Verdict::Accepted(face) => {
            image = face.image.as_deref().map(|jpeg| base64_simd::STANDARD.encode_to_string(jpeg));
            Envelope::face(session_id, face, image.as_deref(), place)
        }
        Verdict::Rejected(rejection) => {
            Envelope::error(Some(session_id), rejection.word.as_str(), rejection.code, &rejection.message)
        }
    };
    envelope.details = analysis.details.as_deref();
    to_json(&envelope)
}

/// The answer to a finished analysis: the call worked, whatever the picture shows.
pub fn analysis_response(session_id: &str, analysis: &Analysis, place: FaceImagePlace) -> Response<Body> {
    json_bytes(StatusCode::OK, analysis_json(session_id, analysis, place))
}

/// The JSON for bytes that are no usable picture.
pub fn picture_problem_json(session_id: &str, code: &str, message: &str) -> Vec<u8> {
    to_json(&Envelope::error(Some(session_id), "INTERNAL_ERROR", code, message))
}

fn to_json(envelope: &Envelope<'_>) -> Vec<u8> {
    // Strings, numbers and maps with string keys: nothing here can fail to serialise.
    serde_json::to_vec(envelope).unwrap_or_default()
}

fn json(status: StatusCode, envelope: &Envelope<'_>) -> Response<Body> {
    json_bytes(status, to_json(envelope))
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
        assert_eq!((&*request.session_id, &*request.face_image), ("a", "AAAA"));
        assert!(request.return_face_image && !request.return_details);
        assert!(matches!(request.face_image, Cow::Borrowed(_)));
    }

    #[test]
    fn line_breaks_in_the_base64_survive_their_json_escapes() {
        let request = DetectRequest::parse(br#"{"sessionId":"a","faceImageBase":"AA\r\nAA"}"#).expect("valid");
        assert_eq!(request.face_image, "AA\r\nAA");
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
