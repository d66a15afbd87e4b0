//! One picture's answer as the commands write it: the service's JSON and the row of a table.

use face_analysis::Analysis;
use face_bulk::row::{Answer, Row};
use face_service::contract::{FaceImagePlace, analysis_json, outcome, picture_problem_json};

/// Of a finished analysis.
pub fn analysed(picture: String, mut analysis: Analysis, place: FaceImagePlace) -> Answer {
    let json = analysis_json(&picture, &analysis, place);
    Answer { row: Row::new(picture, outcome(&analysis), &mut analysis), json }
}

/// Of what could not be analysed.
pub fn unreadable(picture: String, code: &str, message: &str) -> Answer {
    let json = picture_problem_json(&picture, code, message);
    Answer { row: Row::unreadable(picture, code, message), json }
}

/// Of more bytes than the service would take.
pub fn too_large(picture: String, max_bytes: usize) -> Answer {
    unreadable(picture, TOO_LARGE, &too_large_message(max_bytes))
}

/// The code of [`too_large`].
pub const TOO_LARGE: &str = "image_too_large";

/// The message of [`too_large`].
pub fn too_large_message(max_bytes: usize) -> String {
    format!("the picture is larger than {max_bytes} bytes (server.max_image_bytes): scale it down or compress it more")
}
