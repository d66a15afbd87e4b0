//! Where drawn pictures are written, and what they may never replace.

use std::fs::{self, OpenOptions};
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::{ImageError, ImageFormat, RgbImage};

use crate::sources::Sources;

/// A drawing is not written.
#[derive(Debug, thiserror::Error)]
pub enum DrawingError {
    /// It would take the place of a picture that is analysed.
    #[error("{0} is a picture of this run and is not overwritten: give another file or folder for what is drawn")]
    Source(PathBuf),
    /// It would be written wherever a link leads.
    #[error("{0} is a symbolic link, which is not followed: give another file or folder for what is drawn")]
    Link(PathBuf),
    /// Its name says no format.
    #[error("{0} ends in none of .png, .jpg and .jpeg: give what is drawn such a name")]
    Name(PathBuf),
    /// It cannot be encoded.
    #[error("{path} cannot be drawn: {source}")]
    Image {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The pictures of a run, none of which is ever overwritten.
#[derive(Debug)]
pub struct Drawings {
    sources: Sources,
}

impl Drawings {
    /// Of a run with these pictures.
    pub fn new(sources: &[PathBuf]) -> Self {
        Self { sources: Sources::new(sources.to_vec()) }
    }

    /// Writes a picture, PNG or JPEG by its name. A file that is there is replaced as a whole, unless it is a picture of
    /// this run or a symbolic link.
    pub fn save(&self, picture: &RgbImage, path: &Path) -> Result<(), DrawingError> {
        if let Ok(there) = fs::symlink_metadata(path) {
            if there.file_type().is_symlink() {
                return Err(DrawingError::Link(path.to_owned()));
            }
            if self.sources.hold(path) {
                return Err(DrawingError::Source(path.to_owned()));
            }
        }
        let image = |source| DrawingError::Image { path: path.to_owned(), source };
        let format = format_of(path)?;
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).map_err(image)?;
        // Beside and renamed: a link that appears meanwhile is replaced and not followed, and no half picture is left.
        // In containers that share a folder two processes may have the same number.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.{now}.part", std::process::id()));
        let part = path.with_file_name(name);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&part)?;
            file.write_all(bytes.get_ref())?;
            fs::rename(&part, path)
        })();
        written.map_err(|source| {
            // What is left of it helps nobody; it may not even be there.
            let _ = fs::remove_file(&part);
            DrawingError::Write { path: path.to_owned(), source }
        })
    }
}

/// The format that a drawing's name says.
///
/// # Errors
///
/// When it is neither PNG nor JPEG.
pub fn format_of(path: &Path) -> Result<ImageFormat, DrawingError> {
    match ImageFormat::from_path(path) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok(format),
        _ => Err(DrawingError::Name(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> RgbImage {
        RgbImage::new(3, 2)
    }

    #[test]
    fn a_picture_of_the_run_is_never_replaced_by_whatever_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("a.png");
        fs::write(&source, b"the only copy").expect("writes");
        let drawings = Drawings::new(std::slice::from_ref(&source));
        assert!(matches!(drawings.save(&picture(), &source), Err(DrawingError::Source(_))));
        let same = folder.path().join("sub/../a.png");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        assert!(matches!(drawings.save(&picture(), &same), Err(DrawingError::Source(_))));
        let hard = folder.path().join("hard.png");
        fs::hard_link(&source, &hard).expect("links");
        #[cfg(unix)]
        assert!(matches!(drawings.save(&picture(), &hard), Err(DrawingError::Source(_))));
        assert_eq!(fs::read(&source).expect("reads"), b"the only copy");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let [elsewhere, link] = ["elsewhere", "link.png"].map(|name| folder.path().join(name));
        fs::write(&elsewhere, b"not ours").expect("writes");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("links");
        assert!(matches!(Drawings::new(&[]).save(&picture(), &link), Err(DrawingError::Link(_))));
        fs::remove_file(&elsewhere).expect("removes");
        assert!(matches!(Drawings::new(&[]).save(&picture(), &link), Err(DrawingError::Link(_))));
        assert!(!elsewhere.exists());
    }

    #[test]
    fn an_older_drawing_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("drawn.png");
        let drawings = Drawings::new(&[]);
        for _ in 0..2 {
            drawings.save(&picture(), &path).expect("saves");
        }
        assert!(matches!(drawings.save(&picture(), &folder.path().join("drawn.xyz")), Err(DrawingError::Name(_))));
        assert_eq!(image::open(&path).expect("a picture").to_rgb8().dimensions(), (3, 2));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
