//! One row of the list: what its cells may hold.

use std::path::{Component, Path, PathBuf};

use super::column::Column;
use super::error::LabelsError;
use super::picture::{Gender, LabelledBox, LabelledPicture, Presentation};
use crate::word::Word;

/// Names that other data sets give to bona fide presentations. They are refused, since as an unknown name they
/// would be counted as an attack species.
const NOT_AN_ATTACK: [&str; 9] =
    ["real", "bonafide", "bona fide", "bona_fide", "bona-fide", "genuine", "alive", "lve", "true"];

/// Names that say nothing about the attack species, without which APCER cannot be computed per species.
const NOT_A_SPECIES: [&str; 2] = ["0", "1"];

/// Longest name of an attack species, in characters.
const MAX_SPECIES_LENGTH: usize = 40;

/// Longest name of a group, in characters.
const MAX_GROUP_LENGTH: usize = 100;

/// Oldest age that a label may have, in years.
const MAX_AGE_YEARS: f64 = 120.0;

/// One row, without its empty cells.
pub(super) struct Row<'a> {
    pub(super) line: u64,
    pub(super) cells: Vec<(Column, &'a str)>,
}

impl Row<'_> {
    fn cell(&self, column: Column) -> Option<&str> {
        self.cells.iter().find(|(found, _)| *found == column).map(|&(_, cell)| cell)
    }

    fn refuse<T>(&self, column: Column, wanted: impl Into<String>) -> Result<T, LabelsError> {
        let value = self.cell(column).unwrap_or_default().to_owned();
        Err(LabelsError::Cell { line: self.line, column, value, wanted: wanted.into() })
    }

    fn number(&self, column: Column, lowest: f64, highest: f64, wanted: &str) -> Result<Option<f64>, LabelsError> {
        let Some(cell) = self.cell(column) else { return Ok(None) };
        match cell.parse::<f64>() {
            Ok(number) if (lowest..=highest).contains(&number) => Ok(Some(number)),
            _ => self.refuse(column, wanted),
        }
    }

    pub(super) fn picture(&self) -> Result<LabelledPicture, LabelsError> {
        let angle = |column| self.number(column, -180.0, 180.0, "an angle from -180 to 180 degrees");
        Ok(LabelledPicture {
            path: self.path()?,
            liveness: self.liveness()?,
            age: self.number(Column::Age, 0.0, MAX_AGE_YEARS, "an age from 0 to 120 years")?,
            gender: self.gender()?,
            expected: self.expected()?,
            faces: self.faces()?,
            yaw: angle(Column::Yaw)?,
            pitch: angle(Column::Pitch)?,
            roll: angle(Column::Roll)?,
            group: self.group()?,
        })
    }

    fn path(&self) -> Result<String, LabelsError> {
        let path: PathBuf = Path::new(self.cell(Column::Path).unwrap_or_default())
            .components()
            .filter(|component| *component != Component::CurDir)
            .collect();
        match path.to_str() {
            Some(path) if !path.is_empty() => Ok(path.to_owned()),
            _ => self.refuse(Column::Path, "the path of a picture"),
        }
    }

    fn liveness(&self) -> Result<Option<Presentation>, LabelsError> {
        let Some(cell) = self.cell(Column::Liveness) else { return Ok(None) };
        let name = cell.to_lowercase();
        if name == "live" {
            return Ok(Some(Presentation::BonaFide));
        }
        if NOT_AN_ATTACK.contains(&name.as_str()) {
            return self.refuse(Column::Liveness, "an attack species; write `live` for a live person");
        }
        if NOT_A_SPECIES.contains(&name.as_str()) {
            return self.refuse(Column::Liveness, "`live` or the name of an attack species such as `print`");
        }
        if name.chars().count() > MAX_SPECIES_LENGTH || name.chars().any(char::is_control) {
            return self.refuse(Column::Liveness, "a name of at most 40 printable characters");
        }
        Ok(Some(Presentation::Attack(name)))
    }

    fn group(&self) -> Result<Option<String>, LabelsError> {
        match self.cell(Column::Group) {
            Some(name) if name.chars().count() > MAX_GROUP_LENGTH || name.chars().any(char::is_control) => {
                self.refuse(Column::Group, "a name of at most 100 printable characters")
            }
            name => Ok(name.map(str::to_owned)),
        }
    }

    fn gender(&self) -> Result<Option<Gender>, LabelsError> {
        match self.cell(Column::Gender).map(str::to_lowercase).as_deref() {
            None => Ok(None),
            Some("male" | "m") => Ok(Some(Gender::Male)),
            Some("female" | "f") => Ok(Some(Gender::Female)),
            Some(_) => self.refuse(Column::Gender, "`male`, `female`, `m` or `f`"),
        }
    }

    fn expected(&self) -> Result<Option<Word>, LabelsError> {
        let Some(cell) = self.cell(Column::Expected) else { return Ok(None) };
        match cell.parse() {
            Ok(word) => Ok(Some(word)),
            Err(crate::UnknownWord { nearest, .. }) => {
                self.refuse(Column::Expected, format!("`OK` or a word of the API; the nearest is `{nearest}`"))
            }
        }
    }

    fn faces(&self) -> Result<Option<Vec<LabelledBox>>, LabelsError> {
        if Column::BOX.iter().all(|&column| self.cell(column).is_none()) {
            return Ok(None);
        }
        // Large enough for any picture, small enough that areas and their sums stay exact.
        const MAX_PIXELS: f64 = 1e6;
        let pixels = |column, lowest, wanted| match self.number(column, lowest, MAX_PIXELS, wanted)? {
            Some(number) => Ok(number),
            None => self.refuse(column, "a number, as x, y, w and h belong together"),
        };
        let [x, y] = [Column::X, Column::Y].map(|column| pixels(column, -MAX_PIXELS, "a number of pixels"));
        let [w, h] = [Column::W, Column::H].map(|column| pixels(column, 0.0, "a number of pixels from 0"));
        let face = LabelledBox { x: x?, y: y?, w: w?, h: h? };
        if [face.x, face.y, face.w, face.h] == [0.0; 4] {
            return Ok(Some(Vec::new()));
        }
        for (column, side) in [(Column::W, face.w), (Column::H, face.h)] {
            if side == 0.0 {
                return self.refuse(column, "above 0 (a picture without a face has 0 in all of x, y, w and h)");
            }
        }
        Ok(Some(vec![face]))
    }
}
