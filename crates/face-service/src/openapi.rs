//! The OpenAPI document, made of the types that the handlers read and answer with.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::routing::get;
use bytes::Bytes;
use face_analysis::report::{Face, Rectangle};
use face_analysis::rules::example_rejections;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, OneOfBuilder, Ref, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, RefOr, Required,
    ResponseBuilder, Schema,
};

use super::contract::{DetectRequest, FaceImagePlace, Failure, Success};
use super::envelope::read_only;
use super::paths::{DETECT, OPENAPI};

/// The `sessionId` of the examples.
const SESSION_ID: &str = "bbbf9002-c3a2-4308-b103-d80b9f5a2b84";

/// A picture that is as small as pictures are: one grey pixel as PNG.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

/// The answers with one status that is not 200.
struct Problems {
    status: u16,
    meaning: &'static str,
    /// `errorDetail.code` with a message as the service words it.
    reasons: &'static [(&'static str, &'static str)],
}

/// Every answer to a detect request that is no 200. The tests of the HTTP contract refuse what is not in this list.
const PROBLEMS: [Problems; 12] = [
    Problems {
        status: 400,
        meaning: "The body is malformed, or a field is missing or wrong.",
        reasons: &[
            (
                "json_malformed",
                "the body is no JSON object with the fields of a detect request (line 1, column 9): send \
                 {\"sessionId\": \"…\", \"faceImageBase\": \"…\"}",
            ),
            ("session_id_invalid", "sessionId has 0 characters: send 1 to 128"),
            ("face_image_base_invalid", "faceImageBase is missing: it is a required string"),
            ("return_face_image_invalid", "returnFaceImage is no boolean: send true or false, or leave it out"),
            ("return_details_invalid", "returnDetails is no boolean: send true or false, or leave it out"),
            (
                "base64_malformed",
                "faceImageBase is no Base64: its length or its padding is wrong, perhaps it was cut off",
            ),
            ("data_uri_malformed", "the data URI in faceImageBase is not in Base64: send data:image/jpeg;base64,…"),
            ("body_incomplete", "the body ended before all of it had come: send it again"),
            ("body_timeout", "the body did not arrive within 20000 ms: send it again, smaller or on a faster line"),
            ("http_malformed", "what was sent is no HTTP/1.1 request: correct the client"),
        ],
    },
    Problems {
        status: 401,
        meaning: "The credentials are missing or wrong.",
        reasons: &[
            ("credentials_missing", "send an Authorization header: Basic and the Base64 of user:password"),
            ("credentials_malformed", "the Authorization header is not Basic and the Base64 of user:password"),
            ("credentials_wrong", "the user name or the password is wrong: check both"),
        ],
    },
    Problems {
        status: 404,
        meaning: "There is nothing at this path.",
        reasons: &[("path_unknown", "there is nothing at this path: send POST /api/v1/face/detect")],
    },
    WRONG_METHOD,
    Problems {
        status: 413,
        meaning: "The body or the picture is over a limit.",
        reasons: &[
            ("body_too_large", "the body is larger than 16777216 bytes: scale the picture down or send a link"),
            (
                "image_too_large",
                "the picture in faceImageBase is larger than 12582912 bytes: scale it down or compress it more",
            ),
        ],
    },
    Problems {
        status: 415,
        meaning: "The body is not plain JSON.",
        reasons: &[
            ("content_type_unsupported", "send the request with Content-Type: application/json"),
            ("content_encoding_unsupported", "send the body uncompressed, without Content-Encoding"),
        ],
    },
    Problems {
        status: 422,
        meaning: "The bytes are no picture that can be read, or the link is refused or cannot be fetched.",
        reasons: &[
            ("image_empty", "the picture is empty: it has no bytes"),
            (
                "image_format_unknown",
                "the bytes are no picture that can be read: send JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF",
            ),
            ("image_format_unsupported", "pictures of this kind are not read (JPEG XL): convert to JPEG, PNG or WebP"),
            ("image_malformed", "the JPEG picture is damaged or incomplete: it ends too early"),
            (
                "image_too_many_pixels",
                "the picture has 9000 x 9000 pixels, more than the limit of 25000000: scale it down before sending",
            ),
            (
                "image_side_too_long",
                "the picture has 30000 x 300 pixels and no side may exceed 10000: scale it down before sending",
            ),
            (
                "image_too_costly",
                "decoding the picture takes more than 3000 ms: scale it down or save it anew as JPEG before sending",
            ),
            ("link_disabled", "links are switched off here: send the picture as Base64"),
            (
                "link_malformed",
                "the link in faceImageBase cannot be read: it is no valid URL; send an http or https link, or Base64",
            ),
            (
                "link_refused",
                "the link in faceImageBase is refused: it names an address that is not public; send another link, or \
                 Base64",
            ),
            (
                "link_unreachable",
                "the server of the link in faceImageBase cannot be reached: check that it is public and up",
            ),
            (
                "link_tls_failed",
                "the server of the link in faceImageBase does not speak TLS with a valid certificate: mend it, or send \
                 Base64",
            ),
            (
                "link_timeout",
                "the picture behind the link in faceImageBase did not arrive within 10000 ms: check its server, or \
                 send Base64",
            ),
            (
                "link_status",
                "the server of the link in faceImageBase answered 404 instead of 200: check that it may be read \
                 without logging in",
            ),
            (
                "link_too_many_redirects",
                "the link in faceImageBase redirects more than 3 times: send the one it leads to",
            ),
            (
                "link_answer_unusable",
                "the answer to the link in faceImageBase cannot be used: it ended before its announced length; check \
                 its server, or send Base64",
            ),
        ],
    },
    Problems {
        status: 429,
        meaning: "This caller has to wait.",
        reasons: &[
            ("rate_limited", "this user may send 60 requests a minute and has: try again in 1 s"),
            ("too_many_failed_logins", "too many wrong passwords from this address: try again in 2 s"),
        ],
    },
    Problems {
        status: 431,
        meaning: "The header of the request is too large.",
        reasons: &[("headers_too_large", "the header of the request is too large: send fewer and shorter fields")],
    },
    Problems {
        status: 500,
        meaning: "A fault of the service. It has been logged with the number in `X-Request-Id`.",
        reasons: &[
            ("analysis_crashed", FAULT),
            ("inference_failed", FAULT),
            ("encoding_failed", FAULT),
            ("decoder_unavailable", FAULT),
        ],
    },
    Problems {
        status: 501,
        meaning: "The body has a transfer coding other than `chunked`.",
        reasons: &[(
            "transfer_coding_unsupported",
            "the body has a coding other than chunked: send it with a Content-Length, or in chunks, uncompressed",
        )],
    },
    Problems {
        status: 503,
        meaning: "More requests than capacity, or the service is starting.",
        reasons: &[
            ("not_ready", "the networks are still being loaded: try again in a moment"),
            ("queue_full", "all workers are busy and the queue is full: try again in a moment"),
            ("queue_timeout", "no worker became free in time: try again in a moment"),
            ("memory_exhausted", "the service holds as many pictures as it may: try again in a moment"),
            ("links_busy", "as many links as may be are being followed: try again in a moment"),
            ("login_busy", "too many logins at once: try again in 1 s"),
            ("deadline_exceeded", "the request was not done within 30000 ms: try again in a moment"),
        ],
    },
];

const FAULT: &str = "the service failed on this picture; it has been logged, and other requests are not affected";

const WRONG_METHOD: Problems = Problems {
    status: 405,
    meaning: "This path takes another method, which the header `Allow` names.",
    reasons: &[("method_not_allowed", "this path does not take GET: use POST")],
};

const READ_ONLY: Problems =
    Problems { reasons: &[("method_not_allowed", "this path does not take POST: use GET, HEAD")], ..WRONG_METHOD };

const NOT_READY: Problems = Problems {
    status: 503,
    meaning: "The networks are being loaded, or the service is shutting down.",
    reasons: &[
        ("not_ready", "the networks are still being loaded: try again in a moment"),
        ("stopping", "the service is shutting down: send requests to another instance, or again when it is back"),
    ],
};

/// Adds the document to the routes.
pub fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
        // Strings, numbers and maps with string keys: nothing here can fail to serialise.
        document().to_json().unwrap_or_default().into()
    });
    let answer = async || {
        let mut response = Response::new(Body::from(TEXT.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    router.route(OPENAPI, get(answer).fallback(read_only))
}

/// The document.
pub fn document() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("facegate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Is there exactly one usable face in this picture, where, how old, which gender, and is it a live person?\n\n\
             `error` is one of nine words and `errorDetail.code` the finer reason; write programs against both. A \
             picture that cannot be used is a 200 with `hasError: true`: the call worked. Every other status is about \
             the call, with `INTERNAL_ERROR`.",
        ))
        .license(Some(license));
    let mut schemas = Vec::new();
    register::<DetectRequest<'_>>(&mut schemas);
    register::<Success<'_>>(&mut schemas);
    register::<Failure<'_>>(&mut schemas);
    let login = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
    let components =
        ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme("basic", SecurityScheme::Http(login));
    let paths = PathsBuilder::new()
        .path(DETECT, PathItem::new(HttpMethod::Post, detect()))
        .path("/healthz", PathItem::new(HttpMethod::Get, healthz()))
        .path("/readyz", PathItem::new(HttpMethod::Get, readyz()))
        .path(OPENAPI, PathItem::new(HttpMethod::Get, this()));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

/// Adds a type's schema and those it refers to.
fn register<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn detect() -> OperationBuilder {
    let request = ContentBuilder::new().schema(Some(reference::<DetectRequest<'_>>())).examples_from_iter([
        ("base64", example("Base64", &json!({ "sessionId": SESSION_ID, "faceImageBase": PIXEL }))),
        (
            "everything",
            example(
                "A data URI, the face and every measured value asked for",
                &json!({
                    "sessionId": SESSION_ID,
                    "faceImageBase": format!("data:image/png;base64,{PIXEL}"),
                    "returnFaceImage": true,
                    "returnDetails": true,
                }),
            ),
        ),
    ]);
    let request =
        RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", request.build()).build();
    let operation = OperationBuilder::new()
        .operation_id(Some("detect"))
        .summary(Some("Check a face picture"))
        .security(SecurityRequirement::new("basic", [""; 0]))
        .request_body(Some(request))
        .response("200", analysed());
    PROBLEMS.iter().fold(operation, |operation, problems| problems.describe(operation))
}

/// The answer to a picture that could be read.
fn analysed() -> ResponseBuilder {
    let face = Face {
        age: 29,
        gender: -9874,
        passive_liveness_score: 0.9731,
        rectangle: Rectangle { top: 17, left: 314, width: 422, height: 528, right: 736, bottom: 545 },
        image: None,
    };
    let found = |image| Success::new(SESSION_ID, &face, image, FaceImagePlace::Both);
    let accepted = [
        ("OK".to_owned(), example("One usable face", &found(None))),
        ("OK_with_face".to_owned(), example("With the cropped face, shortened here", &found(Some("/9j/4AAQSkZJRg==")))),
    ];
    let rejected = example_rejections().map(|rejection| {
        let summary = format!("{}: {}", rejection.word.as_str(), rejection.code);
        (rejection.code.to_owned(), example(&summary, &Failure::rejected(SESSION_ID, &rejection)))
    });
    let either = OneOfBuilder::new().item(reference::<Success<'_>>()).item(reference::<Failure<'_>>());
    let content =
        ContentBuilder::new().schema(Some(either)).examples_from_iter(accepted.into_iter().chain(rejected)).build();
    response("A face was analysed, or the picture cannot be used.", "application/json", content)
}

fn healthz() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("healthz"))
        .summary(Some("Says that the process lives"))
        .response("200", response("It does.", "text/plain", text("ok\n")));
    READ_ONLY.describe(operation)
}

fn readyz() -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some("readyz"))
        .summary(Some("Says whether the networks are loaded and have run"))
        .response("200", response("They are, and have.", "text/plain", text("ready\n")));
    NOT_READY.describe(READ_ONLY.describe(operation))
}

fn this() -> OperationBuilder {
    let schema =
        ObjectBuilder::new().required("openapi").property("openapi", ObjectBuilder::new().schema_type(Type::String));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let operation = OperationBuilder::new()
        .operation_id(Some("openapi"))
        .summary(Some("This document"))
        .response("200", response("The document.", "application/json", content));
    READ_ONLY.describe(operation)
}

fn text(content: &str) -> Content {
    ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(content.into()))
        .build()
}

impl Problems {
    /// Adds the answers to an operation.
    fn describe(&self, operation: OperationBuilder) -> OperationBuilder {
        // Who is not let in is not read; who is on the wrong path neither.
        let known = Some(SESSION_ID).filter(|_| matches!(self.status, 413 | 422 | 500));
        let examples = self
            .reasons
            .iter()
            .map(|(code, message)| (*code, example(code, &Failure::new(known, "INTERNAL_ERROR", code, message))));
        let content =
            ContentBuilder::new().schema(Some(reference::<Failure<'_>>())).examples_from_iter(examples).build();
        let response = response(self.meaning, "application/json", content);
        let response = match self.status {
            401 => with_header(response, "WWW-Authenticate", "The scheme: Basic."),
            405 => with_header(response, "Allow", "The methods that this path takes."),
            429 | 503 => with_header(response, "Retry-After", "Seconds after which to try again."),
            _ => response,
        };
        operation.response(self.status.to_string(), response)
    }
}

fn response(description: &str, media_type: &str, content: Content) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(description).content(media_type, content);
    with_header(response, "X-Request-Id", "The caller's `X-Request-Id`, or a number of our own; it stands in the log.")
}

fn with_header(response: ResponseBuilder, name: &str, description: &str) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    response.header(name, HeaderBuilder::new().schema(Some(text)).description(Some(description)).build())
}

fn example(summary: &str, value: &impl Serialize) -> Example {
    ExampleBuilder::new().summary(summary).value(serde_json::to_value(value).ok()).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::contract::error_words;

    /// Every example of an answer with its status.
    fn examples() -> Vec<(String, Value)> {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut found = Vec::new();
        for operation in document["paths"].as_object().expect("paths").values().flat_map(|p| p.as_object()).flatten() {
            for (status, answer) in operation.1["responses"].as_object().expect("answers") {
                let examples = answer["content"]["application/json"]["examples"].as_object();
                found.extend(examples.into_iter().flatten().map(|(_, e)| (status.clone(), e["value"].clone())));
            }
        }
        found
    }

    #[test]
    fn every_word_and_every_status_of_the_contract_has_an_example() {
        let examples = examples();
        let words: BTreeSet<&str> = examples.iter().filter_map(|(_, value)| value["error"].as_str()).collect();
        assert_eq!(words, error_words().collect());
        let statuses: BTreeSet<&str> = examples.iter().map(|(status, _)| status.as_str()).collect();
        let contract = ["200", "400", "401", "404", "405", "413", "415", "422", "429", "500", "503"];
        // Beyond the contract: what is refused by its head alone, before there is a request to answer.
        assert_eq!(statuses, contract.into_iter().chain(["431", "501"]).collect());
        assert!(examples.iter().any(|(_, value)| value["hasError"] == false));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).expect("JSON");
        let text = document.to_string();
        let names: Vec<&str> =
            text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
