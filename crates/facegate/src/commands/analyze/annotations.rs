//! Where annotated pictures go.

use std::path::{Component, Path, PathBuf};

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
        // What leads out of the folder does not, and is told from what does not lead there.
        let inside = inside.components().filter_map(|part| match part {
            Component::Normal(name) if name.as_encoded_bytes().iter().all(|&byte| byte == b'_') => {
                let mut longer = name.to_owned();
                longer.push("__");
                Some(longer)
            }
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("__".into()),
            Component::RootDir => Some("_".into()),
            Component::CurDir | Component::Prefix(_) => None,
        });
        let mut path = folder.join(inside.collect::<PathBuf>()).into_os_string();
        path.push(".png");
        let path = PathBuf::from(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_under_the_same_name_is_drawn_into_another_file() {
        let out = tempfile::tempdir().expect("a folder");
        let pictures = ["a/x.jpg", "../a/x.jpg", "/a/x.jpg", "./b/x.jpg", "__/a/x.jpg", "_/a/x.jpg"].map(PathBuf::from);
        let annotations = Annotations::new(out.path(), &pictures).expect("a folder");
        let paths = pictures.map(|picture| annotations.path_for(&picture).expect("a path"));
        let expected =
            ["a/x.jpg.png", "__/a/x.jpg.png", "_/a/x.jpg.png", "b/x.jpg.png", "____/a/x.jpg.png", "___/a/x.jpg.png"];
        assert_eq!(paths, expected.map(|name| out.path().join(name)));
    }
}
