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

mod column;
mod error;
mod picture;
mod row;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use self::column::Column;
pub use self::error::LabelsError;
pub use self::picture::{Gender, LabelledBox, LabelledPicture, Presentation};
use self::row::Row;

/// The parsed `LABELS.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    folder: PathBuf,
    pictures: Vec<LabelledPicture>,
}

impl Labels {
    /// Reads a file.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, LabelsError> {
        let path = path.as_ref();
        let fault = |source| LabelsError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(fault)?;
        if file.metadata().map_err(fault)?.is_dir() {
            return Err(fault(io::ErrorKind::IsADirectory.into()));
        }
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
    // As spreadsheets of many countries write it.
    let only = if header.len() == 1 { &header[0] } else { "" };
    for (letter, separator) in [(';', "semicolons"), ('\t', "tabs")] {
        if only.contains(letter) {
            return Err(LabelsError::Separator { separator });
        }
    }
    let mut columns = Vec::with_capacity(header.len());
    for name in header {
        let Some(column) = Column::named(name) else {
            return Err(LabelsError::UnknownColumn { column: name.to_owned(), meant: Column::meant(name) });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;

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
    fn an_unknown_column_is_refused_with_one_that_is_written_alike_or_with_all() {
        assert_eq!(message("path,livness\n"), "there is no column `livness`; did you mean `liveness`?");
        for other in ["file", "foo", "name"] {
            let told = message(&format!("{other},age\n"));
            assert!(
                told.starts_with(&format!("there is no column `{other}`; the columns are `path`, `liveness`,")),
                "{told}"
            );
        }
    }

    #[test]
    fn semicolons_and_tabs_are_named_and_a_folder_is_no_list() {
        assert!(message("path;expected\na.jpg;OK\n").ends_with("and not by semicolons"));
        assert!(message("path\texpected\na.jpg\tOK\n").ends_with("and not by tabs"));
        let folder = tempfile::tempdir().expect("a folder");
        let told = Labels::from_path(folder.path()).expect_err("a folder").to_string();
        assert!(told.starts_with("cannot open `") && told.contains("is a directory"), "{told}");
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
