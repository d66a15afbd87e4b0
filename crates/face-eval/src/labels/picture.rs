//! What is known about one picture, from one row or several.

use serde::Serialize;

use super::column::Column;
use super::error::LabelsError;
use crate::word::Word;

/// The gender that a label gives, on the service's scale of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gender {
    /// `male` or `m`.
    Male,
    /// `female` or `f`.
    Female,
}

/// What was presented to the camera.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presentation {
    /// A live person who does not try to deceive.
    BonaFide,
    /// A presentation attack instrument of the named species (ISO/IEC 30107-3: a class of instruments made in
    /// one way), in lower case.
    Attack(String),
}

/// A labelled face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelledBox {
    /// Left edge in pixels.
    pub x: f64,
    /// Upper edge in pixels.
    pub y: f64,
    /// Width in pixels, above 0.
    pub w: f64,
    /// Height in pixels, above 0.
    pub h: f64,
}

/// All that is known about one picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelledPicture {
    /// As written in the CSV, without `.` components.
    pub path: String,
    /// What was presented.
    pub liveness: Option<Presentation>,
    /// Age in years.
    pub age: Option<f64>,
    /// Gender.
    pub gender: Option<Gender>,
    /// The word that the service should answer with.
    pub expected: Option<Word>,
    /// Every face; empty when the picture is known to show none, absent when its faces are not labelled.
    pub faces: Option<Vec<LabelledBox>>,
    /// Yaw in degrees.
    pub yaw: Option<f64>,
    /// Pitch in degrees.
    pub pitch: Option<f64>,
    /// Roll in degrees.
    pub roll: Option<f64>,
    /// The person or the session: pictures that resemble each other for another reason than what was presented.
    pub group: Option<String>,
}

impl LabelledPicture {
    /// Adds what a later row says about the same picture.
    pub(super) fn add(&mut self, later: Self, line: u64) -> Result<(), LabelsError> {
        let contradiction = |column| LabelsError::Contradiction { line, column, path: later.path.clone() };
        agree(&mut self.liveness, later.liveness, || contradiction(Column::Liveness))?;
        agree(&mut self.age, later.age, || contradiction(Column::Age))?;
        agree(&mut self.gender, later.gender, || contradiction(Column::Gender))?;
        agree(&mut self.expected, later.expected, || contradiction(Column::Expected))?;
        agree(&mut self.yaw, later.yaw, || contradiction(Column::Yaw))?;
        agree(&mut self.pitch, later.pitch, || contradiction(Column::Pitch))?;
        agree(&mut self.roll, later.roll, || contradiction(Column::Roll))?;
        agree(&mut self.group, later.group, || contradiction(Column::Group))?;
        match (&mut self.faces, later.faces) {
            (_, None) => {}
            (Some(faces), Some(more)) => {
                if faces.is_empty() != more.is_empty() {
                    return Err(contradiction(Column::X));
                }
                faces.extend(more);
            }
            (faces @ None, more) => *faces = more,
        }
        Ok(())
    }
}

#[cfg(test)]
impl LabelledPicture {
    /// A picture of which nothing is known but what was shown: `live`, or the name of a species.
    pub(crate) fn shown(path: &str, name: &str) -> Self {
        let liveness = match name {
            "live" => Presentation::BonaFide,
            species => Presentation::Attack(species.to_owned()),
        };
        Self { path: path.to_owned(), liveness: Some(liveness), ..Self::default() }
    }
}

fn agree<T: PartialEq>(
    known: &mut Option<T>,
    later: Option<T>,
    contradiction: impl FnOnce() -> LabelsError,
) -> Result<(), LabelsError> {
    match (&known, later) {
        (_, None) => Ok(()),
        (Some(known), Some(later)) if *known == later => Ok(()),
        (Some(_), Some(_)) => Err(contradiction()),
        (None, later) => {
            *known = later;
            Ok(())
        }
    }
}
