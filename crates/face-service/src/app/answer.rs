//! The answer to a finished analysis, and the memory of one that carries the face's picture.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use face_analysis::{Analysis, Verdict};

use crate::admission::{Admission, Guest};
use crate::analysts::fault;
use crate::buffer::{Overflow, no_memory};
use crate::contract::{FaceImagePlace, Problem, analysis_json, json_response, write_analysis};

/// Far more than an answer has beside the face's picture. It is a bound, and takes nothing.
const BESIDE: usize = 16 << 20;

/// The call worked, whatever the picture shows. An answer that carries a picture may be as large as what it answers, and
/// waits for a caller who takes his time: its memory is set aside as that of a body, for as long as any of it is here.
pub(super) fn answer(
    session_id: &str,
    analysis: &Analysis,
    place: FaceImagePlace,
    admission: &Admission,
    guest: &Guest,
) -> Result<Response<Body>, Problem> {
    let image = match &analysis.verdict {
        Verdict::Accepted(face) => face.image.as_ref(),
        Verdict::Rejected(_) => None,
    };
    let Some(image) = image else {
        return Ok(json_response(StatusCode::OK, analysis_json(session_id, analysis, place)));
    };
    // Base64, in up to two places.
    let most = image.len().div_ceil(3) * 4 * 2 + BESIDE;
    let mut buffer = admission.buffer(guest, most);
    match write_analysis(&mut buffer, session_id, analysis, place) {
        Ok(()) => Ok(json_response(StatusCode::OK, Bytes::from_owner(buffer))),
        Err(error) => Err(match io::Error::from(error).downcast::<Overflow>() {
            Ok(Overflow::NoMemory(no_more)) => no_memory(no_more),
            _ => fault("encoding_failed"),
        }),
    }
}
