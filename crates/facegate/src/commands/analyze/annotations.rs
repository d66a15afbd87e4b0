//! Where annotated pictures go.

use std::path::{Path, PathBuf};

use face_bulk::names::shown;
use face_bulk::pictures::common_folder;

use super::super::CommandError;
use crate::drawings::format_of;

/// Where annotated pictures go.
pub(super) enum Annotations {
    File(PathBuf),
    Folder { folder: PathBuf, common: PathBuf },
}

impl Annotations {
    /// A folder when it is one already or when there are several pictures, else a file. In the folder the pictures lie
    /// as they do below the folder that holds them all.
    pub(super) fn new(out: &Path, pictures: &[PathBuf]) -> Result<Self, CommandError> {
        if pictures.len() > 1 || out.is_dir() {
            if out.is_file() {
                return Err(CommandError::new(format!(
                    "--annotate: {} is a file, and several pictures need a folder: name another",
                    shown(&out.to_string_lossy())
                )));
            }
            std::fs::create_dir_all(out)
                .map_err(|error| CommandError::new(format!("--annotate: {} cannot be made: {error}", out.display())))?;
            return Ok(Self::Folder { folder: out.to_owned(), common: common_folder(pictures) });
        }
        format_of(out)?;
        Ok(Self::File(out.to_owned()))
    }

    pub(super) fn path_for(&self, picture: &Path) -> Result<PathBuf, CommandError> {
        let (folder, common) = match self {
            Self::File(path) => return Ok(path.clone()),
            Self::Folder { folder, common } => (folder, common),
        };
        let inside = picture.strip_prefix(common).unwrap_or(picture);
        // What leads out of the folder (`..`, `/`) is left out.
        let inside = inside.components().filter(|part| matches!(part, std::path::Component::Normal(_)));
        let mut path = folder.join(inside.collect::<PathBuf>()).into_os_string();
        path.push(".png");
        let path = PathBuf::from(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(path)
    }
}
