//! What is known about each picture: the parser of `LABELS.csv`.
//!
//! The first line names the columns, in any order: `path` and at least one of
//!
//! | column | content |
//! | --- | --- |
//! | `liveness` | `live` (bona fide), or the name of the attack species: `print`, `replay`, `mask`, … |
//! | `age` | years of the main face, 0 to 120 |
//! | `gender` | `male`, `female`, `m` or `f` |
//! | `expected` | `OK` or the word that the service should answer with |
//! | `x`, `y`, `w`, `h` | a face's box in pixels, after EXIF orientation; `0,0,0,0` says that there is no face |
//! | `yaw`, `pitch`, `roll` | rotation of the head in degrees, signs as in [`Pose`](crate::Pose) |
//! | `group` | the person or the session that the picture belongs to; `series` is another name for it |
//!
//! Paths are relative to the folder of the CSV. An empty cell says that nothing is known. A picture with several
//! faces has several rows, one for each box; its other cells may be repeated or left empty.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

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

/// The parsed `LABELS.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    folder: PathBuf,
    pictures: Vec<LabelledPicture>,
}

/// A column of `LABELS.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// `path`
    Path,
    /// `liveness`
    Liveness,
    /// `age`
    Age,
    /// `gender`
    Gender,
    /// `expected`
    Expected,
    /// `x`
    X,
    /// `y`
    Y,
    /// `w`
    W,
    /// `h`
    H,
    /// `yaw`
    Yaw,
    /// `pitch`
    Pitch,
    /// `roll`
    Roll,
    /// `group`
    Group,
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 13] = [
        Self::Path,
        Self::Liveness,
        Self::Age,
        Self::Gender,
        Self::Expected,
        Self::X,
        Self::Y,
        Self::W,
        Self::H,
        Self::Yaw,
        Self::Pitch,
        Self::Roll,
        Self::Group,
    ];

    const BOX: [Self; 4] = [Self::X, Self::Y, Self::W, Self::H];

    /// The name in the first line of the CSV.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Liveness => "liveness",
            Self::Age => "age",
            Self::Gender => "gender",
            Self::Expected => "expected",
            Self::X => "x",
            Self::Y => "y",
            Self::W => "w",
            Self::H => "h",
            Self::Yaw => "yaw",
            Self::Pitch => "pitch",
            Self::Roll => "roll",
            Self::Group => "group",
        }
    }

    /// The column with that name, or with the other name that data sets give to it.
    fn named(name: &str) -> Option<Self> {
        let name = if name == "series" { Self::Group.name() } else { name };
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    fn nearest(name: &str) -> Self {
        Self::ALL.into_iter().min_by_key(|column| strsim::osa_distance(column.name(), name)).unwrap_or(Self::Path)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file cannot be opened.
    #[error("cannot open `{path}`: {source}")]
    Open {
        /// The CSV.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is no CSV, or no UTF-8, or a row has more or fewer cells than the first line.
    #[error("line {line}: {source}")]
    Csv {
        /// Line number from 1.
        line: u64,
        /// What the reader said.
        source: csv::Error,
    },
    /// The first line names a column that does not exist.
    #[error("there is no column `{column}`; did you mean `{nearest}`?")]
    UnknownColumn {
        /// What was written.
        column: String,
        /// The column with the smallest edit distance.
        nearest: Column,
    },
    /// The first line names a column twice.
    #[error("the column `{column}` is there twice")]
    RepeatedColumn {
        /// The column.
        column: Column,
    },
    /// A column that others need is not there.
    #[error("the column `{column}` is missing{}", if *.column == Column::Path { "" } else { ": boxes need x, y, w and h" })]
    MissingColumn {
        /// The column.
        column: Column,
    },
    /// There is only `path`.
    #[error("there is no column beside `path`, so there is nothing to compare with")]
    NoLabelColumn,
    /// There is no row.
    #[error("there is no picture in the list")]
    NoRows,
    /// A cell holds something else than its column may.
    #[error("line {line}, column `{column}`: `{value}` is not {wanted}")]
    Cell {
        /// Line number from 1.
        line: u64,
        /// The column.
        column: Column,
        /// What the cell holds.
        value: String,
        /// What it may hold.
        wanted: String,
    },
    /// Two rows of one picture contradict each other.
    #[error("line {line}, column `{column}`: an earlier row says something else about `{path}`")]
    Contradiction {
        /// Line number of the later row, from 1.
        line: u64,
        /// The column; `x` for a picture that has a box in one row and no face in another.
        column: Column,
        /// The picture.
        path: String,
    },
}

impl Labels {
    /// Reads a file.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, LabelsError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| LabelsError::Open { path: path.to_owned(), source })?;
        Self::from_reader(file, path.parent().unwrap_or_else(|| Path::new("")))
    }

    /// Reads CSV text whose paths are relative to `folder`.
    pub fn from_reader(text: impl io::Read, folder: impl Into<PathBuf>) -> Result<Self, LabelsError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let columns = columns(reader.headers().map_err(csv_error)?)?;
        let mut pictures: Vec<LabelledPicture> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let row = Row {
                line: record.position().map_or(0, csv::Position::line),
                cells: columns.iter().copied().zip(record.iter()).filter(|(_, cell)| !cell.is_empty()).collect(),
            };
            let picture = row.picture()?;
            match known.get(&picture.path) {
                Some(&earlier) => pictures[earlier].add(picture, row.line)?,
                None => {
                    known.insert(picture.path.clone(), pictures.len());
                    pictures.push(picture);
                }
            }
        }
        if pictures.is_empty() {
            return Err(LabelsError::NoRows);
        }
        Ok(Self { folder: folder.into(), pictures })
    }

    /// The pictures in the order of their first rows, each path once.
    pub fn pictures(&self) -> &[LabelledPicture] {
        &self.pictures
    }

    /// Where the picture lies.
    pub fn file(&self, picture: &LabelledPicture) -> PathBuf {
        self.folder.join(&picture.path)
    }
}

fn csv_error(source: csv::Error) -> LabelsError {
    LabelsError::Csv { line: source.position().map_or(1, csv::Position::line), source }
}

fn columns(header: &csv::StringRecord) -> Result<Vec<Column>, LabelsError> {
    let mut columns = Vec::with_capacity(header.len());
    for name in header {
        let Some(column) = Column::named(name) else {
            return Err(LabelsError::UnknownColumn { column: name.to_owned(), nearest: Column::nearest(name) });
        };
        if columns.contains(&column) {
            return Err(LabelsError::RepeatedColumn { column });
        }
        columns.push(column);
    }
    let boxes = Column::BOX.iter().any(|column| columns.contains(column));
    let needed = [Column::Path].into_iter().chain(Column::BOX.into_iter().filter(|_| boxes));
    for column in needed {
        if !columns.contains(&column) {
            return Err(LabelsError::MissingColumn { column });
        }
    }
    if columns.len() == 1 {
        return Err(LabelsError::NoLabelColumn);
    }
    Ok(columns)
}

/// One row, without its empty cells.
struct Row<'a> {
    line: u64,
    cells: Vec<(Column, &'a str)>,
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

    fn picture(&self) -> Result<LabelledPicture, LabelsError> {
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

impl LabelledPicture {
    /// Adds what a later row says about the same picture.
    fn add(&mut self, later: Self, line: u64) -> Result<(), LabelsError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Labels, LabelsError> {
        Labels::from_reader(text.as_bytes(), "data")
    }

    fn message(text: &str) -> String {
        read(text).expect_err("not usable").to_string()
    }

    #[test]
    fn every_column_is_read_in_any_order() {
        let labels = read(
            "gender,path,age,liveness,expected,roll,pitch,yaw,h,w,y,x,series\n\
             F, ./a/b.jpg ,31.5,Print,FACE_CROPPED,1,-2,3.5,40,30,20,-10,Anna\n",
        )
        .expect("usable");
        let picture = &labels.pictures()[0];
        assert_eq!(labels.file(picture), Path::new("data/a/b.jpg"));
        assert_eq!(
            *picture,
            LabelledPicture {
                path: "a/b.jpg".into(),
                liveness: Some(Presentation::Attack("print".into())),
                age: Some(31.5),
                gender: Some(Gender::Female),
                expected: Some(Word::FaceCropped),
                faces: Some(vec![LabelledBox { x: -10.0, y: 20.0, w: 30.0, h: 40.0 }]),
                yaw: Some(3.5),
                pitch: Some(-2.0),
                roll: Some(1.0),
                group: Some("Anna".into()),
            }
        );
    }

    #[test]
    fn an_empty_cell_says_nothing() {
        let labels = read("path,age,gender,liveness\na.jpg,,,live\n").expect("usable");
        let picture = &labels.pictures()[0];
        assert_eq!((picture.age, picture.gender), (None, None));
        assert_eq!(picture.liveness, Some(Presentation::BonaFide));
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_tolerated() {
        let labels = read("\u{feff}path,age\r\na.jpg,30\r\n").expect("usable");
        assert_eq!(labels.pictures()[0].age, Some(30.0));
    }

    #[test]
    fn several_rows_of_one_picture_give_its_several_boxes() {
        let labels = read("path,x,y,w,h,age\na.jpg,1,2,3,4,20\nb.jpg,0,0,0,0,\n./a.jpg,5,6,7,8,\n").expect("usable");
        let [a, b] = labels.pictures() else { panic!("two pictures, not {labels:?}") };
        assert_eq!(a.faces.as_ref().map(Vec::len), Some(2));
        assert_eq!(a.age, Some(20.0));
        assert_eq!(b.faces, Some(Vec::new()));
    }

    #[test]
    fn rows_of_one_picture_must_not_contradict_each_other() {
        assert_eq!(
            message("path,age\na.jpg,20\nb.jpg,20\na.jpg,21\n"),
            "line 4, column `age`: an earlier row says something else about `a.jpg`"
        );
        assert_eq!(
            message("path,x,y,w,h\na.jpg,1,2,3,4\na.jpg,0,0,0,0\n"),
            "line 3, column `x`: an earlier row says something else about `a.jpg`"
        );
    }

    #[test]
    fn an_unknown_column_is_refused_with_the_nearest_one() {
        assert_eq!(message("path,livness\n"), "there is no column `livness`; did you mean `liveness`?");
        assert_eq!(message("file,age\n"), "there is no column `file`; did you mean `age`?");
    }

    #[test]
    fn columns_that_make_no_sense_together_are_refused() {
        assert_eq!(message("age\n30\n"), "the column `path` is missing");
        assert_eq!(message("path,x,y,w\n"), "the column `h` is missing: boxes need x, y, w and h");
        assert_eq!(message("path,age,age\n"), "the column `age` is there twice");
        assert_eq!(message("path\na.jpg\n"), "there is no column beside `path`, so there is nothing to compare with");
        assert_eq!(message("path,age\n"), "there is no picture in the list");
    }

    #[test]
    fn a_bad_cell_is_named_by_line_and_column() {
        for (text, expected) in [
            ("path,age\na.jpg,20\nb.jpg,old\n", "line 3, column `age`: `old` is not an age from 0 to 120 years"),
            ("path,age\na.jpg,NaN\n", "line 2, column `age`: `NaN` is not an age from 0 to 120 years"),
            ("path,yaw\na.jpg,181\n", "line 2, column `yaw`: `181` is not an angle from -180 to 180 degrees"),
            ("path,gender\na.jpg,x\n", "line 2, column `gender`: `x` is not `male`, `female`, `m` or `f`"),
            (
                "path,expected\na.jpg,FACE_OCCLUDED\n",
                "line 2, column `expected`: `FACE_OCCLUDED` is not `OK` or a word of the API; the nearest is \
                 `FACE_IS_OCCLUDED`",
            ),
            (
                "path,liveness\na.jpg,real\n",
                "line 2, column `liveness`: `real` is not an attack species; write `live` for a live person",
            ),
            (
                "path,liveness\na.jpg,1\n",
                "line 2, column `liveness`: `1` is not `live` or the name of an attack species such as `print`",
            ),
            (
                "path,x,y,w,h\na.jpg,1,2,,4\n",
                "line 2, column `w`: `` is not a number, as x, y, w and h belong together",
            ),
            (
                "path,x,y,w,h\na.jpg,1,2,3,0\n",
                "line 2, column `h`: `0` is not above 0 (a picture without a face has 0 in all of x, y, w and h)",
            ),
            ("path,age\n,20\n", "line 2, column `path`: `` is not the path of a picture"),
        ] {
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn a_row_of_another_length_is_named_by_its_line() {
        let error = read("path,age\na.jpg,20\nb.jpg\n").expect_err("too short");
        assert!(matches!(error, LabelsError::Csv { line: 3, .. }), "{error}");
    }
}
