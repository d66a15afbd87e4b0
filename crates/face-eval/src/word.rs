//! The words that the service answers with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the service says about a picture: `OK`, or the contract's word for why there is no face in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Word {
    /// A face was analysed.
    Ok,
    /// No face that was confirmed.
    FaceNotFound,
    /// A second face of comparable size.
    TooManyFaces,
    /// Too few pixels on the face.
    FaceTooSmall,
    /// The face reaches beyond the picture.
    FaceCropped,
    /// The face fills the picture.
    FaceTooClose,
    /// The face is too near to a border of the picture.
    FaceCloseToBorder,
    /// The head is turned or tilted away.
    FaceAngleTooLarge,
    /// Something covers the face.
    FaceIsOccluded,
    /// Anything else.
    InternalError,
}

impl Word {
    /// All words: `OK`, then the rejections in the order in which they are sent.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::FaceNotFound,
        Self::TooManyFaces,
        Self::FaceTooSmall,
        Self::FaceCropped,
        Self::FaceTooClose,
        Self::FaceCloseToBorder,
        Self::FaceAngleTooLarge,
        Self::FaceIsOccluded,
        Self::InternalError,
    ];

    /// The word as it stands in an answer, such as `FACE_NOT_FOUND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::FaceNotFound => "FACE_NOT_FOUND",
            Self::TooManyFaces => "TOO_MANY_FACES",
            Self::FaceTooSmall => "FACE_TOO_SMALL",
            Self::FaceCropped => "FACE_CROPPED",
            Self::FaceTooClose => "FACE_TOO_CLOSE",
            Self::FaceCloseToBorder => "FACE_CLOSE_TO_BORDER",
            Self::FaceAngleTooLarge => "FACE_ANGLE_TOO_LARGE",
            Self::FaceIsOccluded => "FACE_IS_OCCLUDED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that is none of the ten words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no word of the API; the nearest is `{nearest}`")]
pub struct UnknownWord {
    /// What was written.
    pub text: String,
    /// The word with the smallest edit distance.
    pub nearest: Word,
}

impl FromStr for Word {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord {
            text: text.to_owned(),
            nearest: Self::ALL
                .into_iter()
                .min_by_key(|word| strsim::osa_distance(word.as_str(), text))
                .unwrap_or(Self::InternalError),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_has_the_same_name_in_json() {
        for word in Word::ALL {
            assert_eq!(word.as_str().parse(), Ok(word));
            assert_eq!(serde_json::to_string(&word).ok(), Some(format!("\"{word}\"")));
        }
    }

    #[test]
    fn a_misspelt_word_is_refused_with_the_nearest_one() {
        let error = "FACE_OCCLUDED".parse::<Word>().expect_err("no such word");
        assert_eq!(error.nearest, Word::FaceIsOccluded);
    }
}
