//! Files, folders and patterns on a command line, and the pictures that they mean.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Endings of picture files, those included that cannot be decoded: who has such pictures should learn of it.
const ENDINGS: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif", "avif"];

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Each picture once, files in the order in which they were named, what is in folders in the order of its names.
    pub pictures: Vec<PathBuf>,
    /// Files in folders whose names do not end like those of pictures.
    pub left_aside: usize,
    /// Folders that could not be read, and why.
    pub faults: Vec<String>,
}

/// A pattern that means no picture.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It is malformed.
    #[error("{pattern} is no pattern: {reason} (column {column})")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
        /// Where, from 1.
        column: usize,
    },
    /// No file has such a name.
    #[error("no file matches {0}")]
    NoMatch(String),
}

/// Finds the pictures that the arguments mean. What exists under an argument's name is taken as it is; a folder means
/// all pictures below it, hidden ones left out; what does not exist and has `*`, `?` or `[` in it is a pattern, in which
/// `**` stands for any folders. Everything else is taken for a file, which can then not be read.
pub fn find(arguments: &[PathBuf]) -> Result<Found, FindError> {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if argument.exists() || !text.contains(['*', '?', '[']) {
            add(argument, &mut found, &mut seen);
            continue;
        }
        let matches = glob::glob(&text).map_err(|error| FindError::Pattern {
            pattern: text.clone().into_owned(),
            reason: error.msg,
            column: error.pos + 1,
        })?;
        let mut any = false;
        for path in matches {
            any = true;
            match path {
                Ok(path) => add(&path, &mut found, &mut seen),
                Err(error) => found.faults.push(format!("{}: {}", error.path().display(), error.error())),
            }
        }
        if !any {
            return Err(FindError::NoMatch(text.into_owned()));
        }
    }
    Ok(found)
}

fn add(path: &Path, found: &mut Found, seen: &mut HashSet<PathBuf>) {
    if !path.is_dir() {
        if seen.insert(path.to_owned()) {
            found.pictures.push(path.to_owned());
        }
        return;
    }
    let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if entry.file_type().is_file() && is_picture(entry.path()) => {
                if seen.insert(entry.path().to_owned()) {
                    found.pictures.push(entry.into_path());
                }
            }
            Ok(_) => found.left_aside += 1,
            // A link to a folder above: what is below it is found already.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => found.faults.push(error.to_string()),
        }
    }
}

/// Whether a file is named like a picture.
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The folder that holds all of the paths, as far as their names tell.
pub fn common_folder(paths: &[PathBuf]) -> PathBuf {
    let mut folders = paths.iter().map(|path| path.parent().unwrap_or(Path::new("")));
    let Some(first) = folders.next() else { return PathBuf::new() };
    folders.fold(first.to_owned(), |common, folder| {
        common.components().zip(folder.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

/// A file's bytes, or `None` when there are more than `max_bytes`. What every command reads pictures with.
///
/// # Errors
///
/// Also for what is no file: a pipe that nobody writes to would be waited for, and a device may never end.
pub fn read(path: &Path, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe waits already.
    is_file(&std::fs::metadata(path)?)?;
    let file = std::fs::File::open(path)?;
    let meta = file.metadata()?;
    is_file(&meta)?;
    if meta.len() > max_bytes as u64 {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    // Of what grows, or has no length (as in /proc), no more is read than is needed to tell.
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max_bytes).then_some(bytes))
}

fn is_file(meta: &std::fs::Metadata) -> io::Result<()> {
    if meta.is_file() {
        return Ok(());
    }
    let what = if meta.is_dir() { "a folder" } else { "a pipe, a device or a socket" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and pictures are read from files only")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("in the folder")).expect("makes folders");
            std::fs::write(path, "x").expect("writes");
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, found: &Found) -> Vec<String> {
        let relative = |path: &PathBuf| path.strip_prefix(folder.path()).expect("inside").display().to_string();
        found.pictures.iter().map(relative).collect()
    }

    #[test]
    fn a_folder_means_the_pictures_below_it() {
        let folder =
            folder_with(&["b.JPG", "a/z.png", "a/notes.txt", ".hidden/c.jpg", "a/.d.jpg", "e.heic", "f[1].tiff"]);
        let found = find(&[folder.path().to_owned()]).expect("finds");
        assert_eq!(names(&folder, &found), ["a/z.png", "b.JPG", "e.heic", "f[1].tiff"]);
        assert_eq!((found.left_aside, found.faults.len()), (1, 0));
    }

    #[test]
    fn a_pattern_means_what_it_matches_and_a_name_goes_before_a_pattern() {
        let folder = folder_with(&["a.jpg", "b.jpg", "c/d/e.jpg", "c/f.txt", "g[ab].jpg", "ga.jpg"]);
        let found = |pattern: &str| find(&[folder.path().join(pattern)]).map(|found| names(&folder, &found));
        assert_eq!(found("?.jpg").expect("matches"), ["a.jpg", "b.jpg"]);
        assert_eq!(found("**/*.jpg").expect("matches"), ["a.jpg", "b.jpg", "c/d/e.jpg", "g[ab].jpg", "ga.jpg"]);
        assert_eq!(found("c*").expect("a folder"), ["c/d/e.jpg"]);
        assert_eq!(found("g[ab].jpg").expect("a name"), ["g[ab].jpg"]);
        assert!(matches!(found("*.gif"), Err(FindError::NoMatch(_))));
        assert!(matches!(found("***"), Err(FindError::Pattern { .. })));
    }

    #[test]
    fn a_picture_that_is_named_twice_is_found_once_and_a_missing_one_is_kept_for_the_message() {
        let folder = folder_with(&["a.jpg"]);
        let [file, missing] = ["a.jpg", "b.jpg"].map(|name| folder.path().join(name));
        let found = find(&[file.clone(), folder.path().to_owned(), missing.clone(), file.clone()]).expect("finds");
        assert_eq!(found.pictures, [file, missing]);
    }

    #[test]
    fn the_common_folder_is_what_all_paths_begin_with() {
        let common = |paths: &[&str]| common_folder(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(common(&["a/b/c.jpg", "a/b/d/e.jpg", "a/bb/f.jpg"]), Path::new("a"));
        assert_eq!(common(&["/a/b/c.jpg"]), Path::new("/a/b"));
        assert_eq!(common(&["a.jpg", "/b.jpg"]), Path::new(""));
        assert_eq!(common(&[]), Path::new(""));
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let folder = folder_with(&["a"]);
        let path = folder.path().join("a");
        assert_eq!(read(&path, 1).expect("reads"), Some(b"x".to_vec()));
        assert_eq!(read(&path, 0).expect("reads"), None);
        std::fs::create_dir(folder.path().join("b")).expect("a folder");
        assert!(read(&folder.path().join("b"), 1).expect_err("no file").to_string().contains("it is a folder"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_never_ends_and_what_nobody_writes_to_is_not_read() {
        let folder = folder_with(&[]);
        let pipe = folder.path().join("pipe.jpg");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        for path in [&pipe, Path::new("/dev/zero")] {
            let (sender, receiver) = std::sync::mpsc::channel();
            let path = path.to_owned();
            std::thread::spawn(move || sender.send(read(&path, 1000)));
            let read =
                receiver.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits or reads without end");
            let error = read.expect_err("no file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("a pipe, a device or a socket"), "{error}");
        }
        // A file without a length is read as far as is needed to tell.
        assert_eq!(read(Path::new("/proc/self/maps"), 10).expect("reads"), None);
    }
}
