//! A detect request: its fields, each judged on its own, and what is wrong with them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use axum::http::StatusCode;
use memchr::memchr2;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Schema, SchemaFormat};

use super::Problem;

/// A picture to check, and what to answer beside its attributes. Other fields are ignored.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct DetectRequest<'b> {
    /// The caller's name for this call: 1 to 128 printable characters, echoed in the answer and logged. Send a random
    /// value, no customer number.
    #[schema(
        min_length = 1,
        max_length = 128,
        // What `printable` refuses, but for what lies beyond U+FFFF, which not all readers of patterns understand.
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff]+$"
    )]
    pub session_id: Cow<'b, str>,
    /// The picture: JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF, told from its bytes.
    // Read as the place in the body of what stands between its quotes, escapes and all: see `source`.
    #[schema(schema_with = face_image_schema)]
    pub face_image_base: Range<usize>,
    /// Whether the cropped face is wanted; `null` is `false`.
    #[schema(value_type = Option<bool>, default = false)]
    pub return_face_image: bool,
    /// Whether every measured value is wanted; `null` is `false`.
    #[schema(value_type = Option<bool>, default = false)]
    pub return_details: bool,
}

/// The longest `sessionId` in characters.
const MAX_SESSION_ID: usize = 128;

/// The longest that can be as it is written: two escapes of six bytes for each character, and the quotes.
const LONGEST_SESSION_ID: usize = 12 * MAX_SESSION_ID + 2;

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
            "To a public server, if links are allowed here. By default at most 8192 bytes.",
        ))
        .build()
        .into()
}

/// The fields as they were written, each judged later on its own.
#[derive(Default)]
struct RawRequest<'b> {
    session_id: Option<&'b RawValue>,
    face_image_base: Option<&'b RawValue>,
    return_face_image: Option<&'b RawValue>,
    return_details: Option<&'b RawValue>,
    /// The name of a field that stands more than once.
    twice: Option<&'static str>,
}

/// The longest that the name of a field can be as it is written: an escape of six bytes for each of 15 letters, and the quotes.
const LONGEST_NAME: usize = 6 * 15 + 2;

impl<'de> Deserialize<'de> for RawRequest<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Derived code would also read the fields from an array by their order, which nobody means.
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = RawRequest<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRequest<'de>, A::Error> {
        let mut raw = RawRequest::default();
        // Names too are read as they are written: one may be as long as the body.
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let key = match key.get() {
                long if long.len() > LONGEST_NAME => Cow::Borrowed(""),
                // One that is no text, with half of a surrogate pair, is no field's either.
                short => serde_json::from_str(short).map_or(Cow::Borrowed(""), Cow::<str>::Owned),
            };
            let (name, field) = match &*key {
                "sessionId" => ("sessionId", &mut raw.session_id),
                "faceImageBase" => ("faceImageBase", &mut raw.face_image_base),
                "returnFaceImage" => ("returnFaceImage", &mut raw.return_face_image),
                "returnDetails" => ("returnDetails", &mut raw.return_details),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // Two programs would disagree on which of them counts.
            if field.replace(map.next_value()?).is_some() {
                raw.twice = Some(name);
            }
        }
        Ok(raw)
    }
}

/// What editors and some libraries write before UTF-8. RFC 8259 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The shortest request, as messages show it.
const REQUEST: &str = r#"{"sessionId": "…", "faceImageBase": "…"}"#;

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
    pub fn parse(whole: &'b [u8]) -> Result<Self, RequestError> {
        let body = whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(whole);
        let malformed = |message| Problem::new(StatusCode::BAD_REQUEST, "json_malformed", message);
        let refused = |message| RequestError { session_id: None, problem: Box::new(malformed(message)) };
        // Of the whole body, also of fields that are ignored.
        let body = str::from_utf8(body).map_err(|error| {
            refused(format!("the body is not in UTF-8 (after {} bytes): JSON is sent in UTF-8", error.valid_up_to()))
        })?;
        // What is none would be read to its end, and copied, only to say what it is instead.
        if !body.trim_ascii_start().starts_with('{') {
            return Err(refused(format!("the body is no JSON object: send {REQUEST}")));
        }
        if is_too_deep(body.as_bytes()) {
            return Err(refused(format!(
                "in the body more than {MOST_NESTED} arrays and objects stand in each other: send the fields of a detect request"
            )));
        }
        let raw: RawRequest<'b> = serde_json::from_str(body).map_err(|error| {
            refused(format!(
                "the body is no JSON object with the fields of a detect request (line {}, column {}): send {REQUEST}",
                error.line(),
                error.column()
            ))
        })?;
        let repeated = |name| malformed(format!("the field {name} stands more than once: send each field once"));
        let session_id = match raw.twice {
            Some(name @ "sessionId") => Err(repeated(name)),
            _ => session_id(raw.session_id),
        }
        .map_err(|problem| RequestError { session_id: None, problem: Box::new(problem) })?;
        let rest = || -> Result<(Range<usize>, bool, bool), Problem> {
            if let Some(name) = raw.twice {
                return Err(repeated(name));
            }
            Ok((
                place(whole, raw.face_image_base, "faceImageBase")?,
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

/// Arrays and objects that may stand in each other.
const MOST_NESTED: usize = 128;

/// Whether there are more. Whoever reads JSON without recursion keeps a byte for each that is open: as much again as the body,
/// and nobody has counted it.
fn is_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = body.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            // To the end of a string, which is no escaped quotation mark.
            b'"' => loop {
                let rest = body.get(at..).unwrap_or_default();
                let Some(found) = memchr2(b'"', b'\\', rest) else { return false };
                at += found + 1;
                if rest[found] == b'"' {
                    break;
                }
                at += 1;
            },
            _ => {}
        }
        if depth > MOST_NESTED {
            return true;
        }
    }
    false
}

fn session_id(raw: Option<&RawValue>) -> Result<Cow<'_, str>, Problem> {
    // Before escapes are resolved, of which one may be a quarter of the body.
    if raw.is_some_and(|raw| raw.get().starts_with('"') && raw.get().len() > LONGEST_SESSION_ID) {
        return Err(field("sessionId", &format!("has too many characters: send 1 to {MAX_SESSION_ID}")));
    }
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

/// Control characters and line separators would forge log lines; what reorders text, and what nobody sees, would make two
/// names look like one: all of Unicode 16's Default_Ignorable_Code_Point and of its general category Cf (bidirectional
/// marks, joiners, tags, variation selectors, fillers), the blank Braille pattern, and what is no character.
fn printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
                | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}'
                | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A required field as it was written. `null` is none.
fn given<'b>(raw: Option<&'b RawValue>, name: &'static str) -> Result<&'b str, Problem> {
    let given = raw.map(RawValue::get).filter(|raw| *raw != "null");
    given.ok_or_else(|| field(name, "is missing: it is a required string"))
}

fn text<'b>(raw: Option<&'b RawValue>, name: &'static str) -> Result<Cow<'b, str>, Problem> {
    let raw = given(raw, name)?;
    let none = || field(name, "is no string: send a JSON string");
    // Of a number all digits would be copied, only to say that it is one.
    if !raw.starts_with('"') {
        return Err(none());
    }
    if let Ok(plain) = serde_json::from_str::<&'b str>(raw) {
        return Ok(Cow::Borrowed(plain));
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(_) => Err(none()),
    }
}

/// Where in `body` the inside of a string stands that is part of it.
fn place(body: &[u8], raw: Option<&RawValue>, name: &'static str) -> Result<Range<usize>, Problem> {
    let inside = given(raw, name)?.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inside = inside.ok_or_else(|| field(name, "is no string: send a JSON string"))?;
    let start = inside.as_ptr().addr() - body.as_ptr().addr();
    Ok(start..start + inside.len())
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
        assert_eq!((&*request.session_id, &body[request.face_image_base]), ("a", &b"AAAA"[..]));
        assert!(request.return_face_image && !request.return_details);
    }

    #[test]
    fn the_picture_stands_where_it_is_said_to() {
        for body in [
            r#"{"sessionId":"a","faceImageBase":"AA\r\nAA"}"#,
            "\u{feff} {\"faceImageBase\" : \"AA\\r\\nAA\" ,\"sessionId\":\"\\u0061\"}",
        ] {
            let request = DetectRequest::parse(body.as_bytes()).expect("valid");
            assert_eq!((&*request.session_id, &body[request.face_image_base]), ("a", r"AA\r\nAA"));
        }
    }

    #[test]
    fn every_wrong_field_is_named_and_the_session_id_kept() {
        let cases = [
            (r#"{"sessionId":"s"}"#, "face_image_base_invalid"),
            (r#"{"sessionId":"s","faceImageBase":null}"#, "face_image_base_invalid"),
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
    fn null_is_told_as_a_missing_field() {
        for (body, name) in [
            (r#"{"sessionId":null,"faceImageBase":"AAAA"}"#, "sessionId"),
            (r#"{"faceImageBase":"AAAA"}"#, "sessionId"),
            (r#"{"sessionId":"s","faceImageBase": null }"#, "faceImageBase"),
            (r#"{"sessionId":"s"}"#, "faceImageBase"),
        ] {
            assert_eq!(problem(body).problem.message, format!("{name} is missing: it is a required string"), "{body}");
        }
    }

    #[test]
    fn an_unknown_field_whose_name_is_no_text_is_ignored() {
        for name in [r"\ud800", r"\udc00\ud800", r"sessionId\udfff"] {
            let body = format!(r#"{{"{name}":1,"sessionId":"s","{name}":"{name}","faceImageBase":"AAAA"}}"#);
            assert_eq!(DetectRequest::parse(body.as_bytes()).expect(name).session_id, "s");
        }
        // An escape that is none makes the whole no JSON.
        for name in [r"\ud80", r"\x", "\n"] {
            let body = format!(r#"{{"{name}":1,"sessionId":"s","faceImageBase":"AAAA"}}"#);
            assert_eq!(problem(&body).problem.code, "json_malformed", "{name}");
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
        let escaped = format!(r#"{{"sessionId":"{}","faceImageBase":"AAAA"}}"#, r"\ud83d\ude00".repeat(128));
        assert_eq!(DetectRequest::parse(escaped.as_bytes()).expect("128").session_id, "😀".repeat(128));
        let digits = format!(r#"{{"sessionId":{},"faceImageBase":"AAAA"}}"#, "5".repeat(100_000));
        for bad in [r#"{"sessionId":5,"faceImageBase":"AAAA"}"#, r#"{"faceImageBase":"AAAA"}"#, &digits] {
            assert_eq!(problem(bad).problem.code, "session_id_invalid", "{bad}");
        }
    }

    #[test]
    fn a_session_id_has_nothing_that_reorders_or_hides() {
        // The marks of Unicode's Bidi_Control, and what is drawn as nothing.
        let reorder = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'];
        let hide = [
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{2060}',
            '\u{2064}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ];
        for mark in reorder.into_iter().chain(hide) {
            for id in [format!("a{mark}b"), mark.to_string()] {
                let body = serde_json::json!({ "sessionId": id, "faceImageBase": "AAAA" }).to_string();
                assert_eq!(problem(&body).problem.code, "session_id_invalid", "{:x}", mark as u32);
            }
        }
        for good in ["فارسی", "日本語", "é\u{301}", "a\u{a0}b", "\u{1f600}", "\u{fffd}"] {
            let body = serde_json::json!({ "sessionId": good, "faceImageBase": "AAAA" }).to_string();
            assert_eq!(DetectRequest::parse(body.as_bytes()).expect(good).session_id, good);
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_body_is_ignored() {
        let body = b"\xef\xbb\xbf{\"sessionId\":\"a\",\"faceImageBase\":\"AAAA\"}";
        assert_eq!(body[DetectRequest::parse(body).expect("valid").face_image_base], *b"AAAA");
        let twice = "\u{feff}\u{feff}{\"sessionId\":\"a\",\"faceImageBase\":\"AAAA\"}";
        assert_eq!(problem(twice).problem.code, "json_malformed");
    }

    #[test]
    fn a_field_that_stands_twice_is_refused_by_name() {
        let cases = [
            (r#"{"sessionId":"a","sessionId":"a","faceImageBase":"AAAA"}"#, "sessionId", None),
            (r#"{"sessionId":"a","faceImageBase":"AAAA","faceImageBase":"BBBB"}"#, "faceImageBase", Some("a")),
            (r#"{"sessionId":"a","faceImageBase":"AAAA","face\u0049mageBase":"BBBB"}"#, "faceImageBase", Some("a")),
            (
                r#"{"returnDetails":null,"sessionId":"a","faceImageBase":"AAAA","returnDetails":true}"#,
                "returnDetails",
                Some("a"),
            ),
        ];
        for (body, name, session_id) in cases {
            let error = problem(body);
            assert_eq!((error.problem.code, error.session_id.as_deref()), ("json_malformed", session_id), "{body}");
            assert!(error.problem.message.contains(name), "{}", error.problem.message);
        }
        // The longest spelling of the longest name is still that name.
        let spelt: String = "returnFaceImage".bytes().map(|letter| format!(r"\u{letter:04x}")).collect();
        let body = format!(r#"{{"sessionId":"a","faceImageBase":"AAAA","{spelt}":true,"{spelt}x":7}}"#);
        assert!(DetectRequest::parse(body.as_bytes()).expect("valid").return_face_image);
        // Of fields that mean nothing here nothing is asked.
        assert!(DetectRequest::parse(br#"{"x":1,"x":2,"sessionId":"a","faceImageBase":"AAAA"}"#).is_ok());
    }

    #[test]
    fn what_stands_too_deep_in_itself_is_refused_and_brackets_in_strings_are_none() {
        let around = |value: &str| format!(r#"{{"x":{value},"sessionId":"s","faceImageBase":"AAAA"}}"#);
        let nested = |depth: usize| around(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        // The object around it is one of them.
        assert!(DetectRequest::parse(nested(MOST_NESTED - 1).as_bytes()).is_ok());
        let refused = problem(&nested(MOST_NESTED)).problem;
        assert_eq!(refused.code, "json_malformed");
        assert!(refused.message.contains("more than 128"), "{}", refused.message);
        let many = "[{".repeat(1_000);
        for fine in [format!(r#""{many}\"{many}\\""#), format!("[{}7]", "[],".repeat(1_000))] {
            assert!(DetectRequest::parse(around(&fine).as_bytes()).is_ok(), "{fine}");
        }
        for cut in [r#"{"x":"\"#, r#"{"x":""#, r#"{"x":"a"#] {
            assert_eq!(problem(cut).problem.code, "json_malformed");
        }
    }

    #[test]
    fn what_is_no_json_object_is_malformed() {
        let nested = "[".repeat(100_000);
        for bad in ["", "{", "[]", " [\"a\", \"AAAA\"]", "7", "null", "{\"sessionId\":\"a\"", nested.as_str()] {
            assert_eq!(problem(bad).problem.code, "json_malformed");
        }
        // What it is instead is not looked at.
        for other in ["", "7", "\"\\n\"", " [{}]"] {
            assert!(problem(other).problem.message.starts_with("the body is no JSON object: send {"), "{other}");
        }
        for bad in [
            &b"\xff\xfe{}"[..],
            b"{\"x\":\"\xff\xfe\",\"sessionId\":\"s\",\"faceImageBase\":\"AAAA\"}",
            b"{\"sessionId\":\"s\",\"faceImageBase\":\"AAAA\",\"x\":[{\"\xed\xa0\x80\":1}]}",
            b"{\"sessionId\":\"s\",\"faceImageBase\":\"AAAA\",\"\xc0\xaf\":1}",
        ] {
            assert_eq!(DetectRequest::parse(bad).expect_err("no UTF-8").problem.code, "json_malformed");
        }
    }
}
