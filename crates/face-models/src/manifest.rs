//! What is fetched, from where, and what it must hash to.

use std::collections::HashSet;
use std::path::{Component, Path};

use serde::{Deserialize, Deserializer};

use crate::convert::{self, ConvertError};
use crate::digest::Sha256;

/// The registry a package is fetched from, through that registry's own client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registry {
    /// `pip download`.
    Pypi,
    /// `npm pack`.
    Npm,
    /// Compiled into this program: nothing is fetched.
    Bundled,
}

/// Which artefacts are wanted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The networks and ONNX Runtime: what the service needs.
    Models,
    /// The one picture that `serve --demo` and `bench` show, and tests too.
    Portrait,
    /// Further pictures that the tests look at.
    TestPictures,
    /// A network that facegate no longer runs and other services beside it do (`benches/peers`).
    Peers,
}

/// How the files of an artefact become the file in the model folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Converter {
    /// Taken as it is.
    Copy,
    /// YuNet with its fixed input made symbolic.
    YunetDynamic,
    /// MiniFASNet out of a PyTorch file.
    TorchMinifasnet,
    /// A MiniFASNet that is ONNX already, rebuilt.
    OnnxMinifasnet,
    /// The dlib age network.
    DlibAge,
    /// The dlib gender network.
    DlibGender,
    /// The face-api age and gender network, out of its quantised weights and their description.
    FaceapiAgeGender,
    /// MediaPipe's landmark network, out of its bundle.
    TfliteFaceLandmarks,
    /// MediaPipe's canonical face mesh, out of the same bundle.
    CanonicalFace,
}

impl Converter {
    /// How many files it reads.
    fn inputs(self) -> usize {
        match self {
            Self::FaceapiAgeGender => 2,
            _ => 1,
        }
    }

    /// The name the manifest uses.
    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::YunetDynamic => "yunet-dynamic",
            Self::TorchMinifasnet => "torch-minifasnet",
            Self::OnnxMinifasnet => "onnx-minifasnet",
            Self::DlibAge => "dlib-age",
            Self::DlibGender => "dlib-gender",
            Self::FaceapiAgeGender => "faceapi-age-gender",
            Self::TfliteFaceLandmarks => "tflite-face-landmarks",
            Self::CanonicalFace => "canonical-face",
        }
    }

    /// Turns the source files, in the manifest's order, into the bytes of the file in the model folder.
    ///
    /// # Panics
    ///
    /// When the number of files is not the converter's: [`Manifest::parse`] refuses such a manifest.
    pub(crate) fn convert(self, sources: &[&[u8]]) -> Result<Vec<u8>, ConvertError> {
        let first = sources[0];
        match self {
            Self::Copy => Ok(first.to_vec()),
            Self::YunetDynamic => convert::yunet::make_dynamic(first),
            Self::TorchMinifasnet => convert::torch::minifasnet(first),
            Self::OnnxMinifasnet => convert::onnx_minifasnet::minifasnet(first),
            Self::DlibAge => convert::dlib::age(first),
            Self::DlibGender => convert::dlib::gender(first),
            Self::FaceapiAgeGender => convert::faceapi::age_gender(first, sources[1]),
            Self::TfliteFaceLandmarks => convert::tflite::face_landmarks(first),
            Self::CanonicalFace => convert::geometry::canonical_face(first),
        }
    }
}

/// One download.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name inside this manifest.
    pub id: String,
    /// Where it is fetched from.
    pub registry: Registry,
    /// Name in the registry.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// The platform tag asked for where a wheel has one, whatever the host is.
    pub wheel_platform: Option<String>,
    /// Length of the download in bytes, for the progress display.
    pub bytes: Option<u64>,
}

impl Package {
    /// The package and its version as its registry writes them.
    pub fn requirement(&self) -> String {
        match self.registry {
            Registry::Pypi => format!("{}=={}", self.name, self.version),
            Registry::Npm | Registry::Bundled => format!("{}@{}", self.name, self.version),
        }
    }
}

/// One file inside a package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Path inside the wheel, or inside the `package` folder of an npm package.
    pub path: String,
    /// Exact length; nothing longer is read.
    pub bytes: u64,
    /// What it must hash to.
    pub sha256: Sha256,
}

/// One file of the model folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// Name inside this manifest; the same for every platform.
    pub name: String,
    /// Path inside the model folder, `/` between its parts.
    pub output: String,
    /// What it is fetched with.
    pub group: Group,
    /// The only platform it is for, as [`host_platform`] writes it.
    pub platform: Option<String>,
    /// The package it comes out of.
    pub package: String,
    /// The files it is made of, in the converter's order.
    pub files: Vec<SourceFile>,
    /// How it is made.
    pub converter: Converter,
    /// Raised when the converter makes something else of the same files.
    pub revision: u32,
    /// SPDX name of the licence of these weights, or words where none fits.
    pub licence: String,
    /// Who holds the copyright, as far as known.
    pub copyright: String,
    /// What facegate uses it for.
    pub purpose: String,
    /// Who made it, and where it was published first.
    pub origin: String,
}

impl Artefact {
    /// A hash over everything that decides the file's content: an installed file of another recipe is outdated.
    pub(crate) fn recipe(&self) -> Sha256 {
        let mut text = format!("{} {}", self.converter.name(), self.revision);
        for file in &self.files {
            text.push_str(&format!(" {}", file.sha256));
        }
        Sha256::of(text.as_bytes())
    }

    /// Whether it is for the machine this program was built for.
    fn is_for(&self, platform: &str) -> bool {
        self.platform.as_deref().is_none_or(|p| p == platform)
    }
}

/// The manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the TOML that is expected.
    #[error("the model manifest cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// It contradicts itself.
    #[error("the model manifest is wrong: {0}")]
    Contradiction(String),
    /// It has nothing for this machine.
    #[error("there is no {name} for {platform}; it exists for {available}")]
    Platform {
        /// The artefact.
        name: String,
        /// This machine, as [`host_platform`] writes it.
        platform: String,
        /// The platforms it exists for.
        available: String,
    },
}

/// All packages and artefacts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(rename = "package")]
    packages: Vec<Package>,
    #[serde(rename = "artefact")]
    artefacts: Vec<Artefact>,
}

impl Manifest {
    /// The manifest this program was built with.
    ///
    /// # Errors
    ///
    /// Never for a released program: a test parses it.
    pub fn builtin() -> Result<Self, ManifestError> {
        Self::parse(include_str!("../manifest.toml"))
    }

    /// Reads a manifest and checks that it agrees with itself.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |what: String| Err(ManifestError::Contradiction(what));
        let mut ids = HashSet::new();
        for package in &self.packages {
            if !ids.insert(&package.id) {
                return wrong(format!("the package {} is listed twice", package.id));
            }
            // They become arguments of a command: nothing that could be read as an option or a path.
            let plain = |s: &str| !s.is_empty() && !s.starts_with(['-', '.']) && !s.contains(char::is_whitespace);
            if !plain(&package.name) || !plain(&package.version) {
                return wrong(format!("the package {} has no usable name or version", package.id));
            }
        }
        let mut seen = HashSet::new();
        for artefact in &self.artefacts {
            let name = &artefact.name;
            if !seen.insert((name, &artefact.platform)) {
                return wrong(format!("the artefact {name} is listed twice"));
            }
            if !ids.contains(&artefact.package) {
                return wrong(format!("{name} comes out of the unknown package {}", artefact.package));
            }
            let expected = artefact.converter.inputs();
            if artefact.files.len() != expected {
                return wrong(format!("{name} lists {} files, its converter reads {expected}", artefact.files.len()));
            }
            let output = Path::new(&artefact.output);
            let inside = output.components().all(|c| matches!(c, Component::Normal(_)));
            if artefact.output.is_empty() || !inside || artefact.output.starts_with('.') {
                return wrong(format!("{name} would be written to {:?}", artefact.output));
            }
        }
        Ok(())
    }

    /// Every artefact for every platform, in the order of the manifest.
    pub fn artefacts(&self) -> &[Artefact] {
        &self.artefacts
    }

    /// The package an artefact comes out of.
    ///
    /// # Panics
    ///
    /// When the artefact is not of this manifest.
    pub fn package_of(&self, artefact: &Artefact) -> &Package {
        self.packages
            .iter()
            .find(|p| p.id == artefact.package)
            .expect("parse() refuses an artefact of an unknown package")
    }

    /// The artefacts of a group for this machine.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Platform`] when one exists for other machines only.
    pub fn group(&self, group: Group) -> Result<Vec<&Artefact>, ManifestError> {
        self.group_for(group, &host_platform())
    }

    fn group_for(&self, group: Group, platform: &str) -> Result<Vec<&Artefact>, ManifestError> {
        let of_group = || self.artefacts.iter().filter(|a| a.group == group);
        let chosen: Vec<_> = of_group().filter(|a| a.is_for(platform)).collect();
        for artefact in of_group() {
            if !chosen.iter().any(|c| c.name == artefact.name) {
                let name = artefact.name.clone();
                let available: Vec<_> =
                    of_group().filter(|a| a.name == name).filter_map(|a| a.platform.as_deref()).collect();
                let available = available.join(", ");
                return Err(ManifestError::Platform { name, platform: platform.to_owned(), available });
            }
        }
        Ok(chosen)
    }

    /// A hash over what the models' files contain: folders of different manifests get different names by it.
    pub(crate) fn fingerprint(&self) -> Sha256 {
        let mut text = String::new();
        for artefact in self.artefacts.iter().filter(|a| a.group == Group::Models) {
            text.push_str(&format!("{} {}\n", artefact.output, artefact.recipe()));
        }
        Sha256::of(text.as_bytes())
    }
}

/// The machine this program was built for, as the manifest writes platforms: `linux-x86_64`, `macos-aarch64`. Linux
/// without glibc is `linux-musl-…`, since the wheels' shared libraries need glibc.
pub fn host_platform() -> String {
    let libc = if cfg!(target_env = "musl") { "musl-" } else { "" };
    format!("{}-{libc}{}", std::env::consts::OS, std::env::consts::ARCH)
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        [[package]]
        id = "p"
        registry = "pypi"
        name = "p"
        version = "1.0"

        [[artefact]]
        name = "a"
        output = "a.bin"
        group = "models"
        package = "p"
        files = [{ path = "p/a", bytes = 3, sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" }]
        converter = "copy"
        revision = 1
        licence = "MIT"
        copyright = "c"
        purpose = "p"
        origin = "o"
    "#;

    fn contradiction(replace: &str, with: &str) -> String {
        assert!(MINIMAL.contains(replace), "the test replaces nothing");
        match Manifest::parse(&MINIMAL.replace(replace, with)) {
            Err(ManifestError::Contradiction(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_builtin_manifest_has_every_artefact_on_every_supported_platform() {
        let manifest = Manifest::builtin().unwrap();
        for platform in ["linux-x86_64", "linux-aarch64", "macos-aarch64"] {
            let names: Vec<_> = manifest.group_for(Group::Models, platform).unwrap().iter().map(|a| &a.name).collect();
            for name in [
                "detector",
                "liveness_v2",
                "liveness_fr",
                "age",
                "gender",
                "age_gender",
                "landmarks",
                "face_geometry",
                "onnx_runtime",
            ] {
                assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{name} on {platform}");
            }
            assert_eq!(manifest.group_for(Group::TestPictures, platform).unwrap().len(), 8);
            let portrait = manifest.group_for(Group::Portrait, platform).unwrap();
            // Fetched outside of tests: nothing whose licence is not known.
            assert!(matches!(portrait[..], [only] if only.licence == "Public domain"), "{portrait:?}");
        }
    }

    #[test]
    fn a_platform_without_onnx_runtime_is_named_with_those_that_have_it() {
        let error = Manifest::builtin().unwrap().group_for(Group::Models, "linux-musl-x86_64").unwrap_err().to_string();
        assert!(error.contains("onnx_runtime for linux-musl-x86_64"), "{error}");
        assert!(error.contains("linux-x86_64, linux-aarch64, macos-aarch64"), "{error}");
    }

    #[test]
    fn no_two_artefacts_of_a_platform_share_a_file() {
        let manifest = Manifest::builtin().unwrap();
        let mut outputs = HashSet::new();
        for group in [Group::Models, Group::Portrait, Group::TestPictures] {
            for artefact in manifest.group_for(group, "linux-x86_64").unwrap() {
                assert!(outputs.insert(&artefact.output), "{}", artefact.output);
            }
        }
    }

    #[test]
    fn notice_names_every_artefact_with_its_licence_and_origin() {
        let notice = include_str!("../../../NOTICE").split_whitespace().collect::<Vec<_>>().join(" ");
        let manifest = Manifest::builtin().unwrap();
        for artefact in manifest.artefacts() {
            let package = manifest.package_of(artefact);
            for text in
                [&artefact.output, &artefact.licence, &artefact.copyright, &artefact.origin, &package.requirement()]
            {
                assert!(notice.contains(text), "NOTICE does not say {text:?} (artefact {})", artefact.name);
            }
        }
    }

    /// Beside the manifest's there are weights of our own that are compiled in.
    #[test]
    fn notice_names_every_file_of_weights_that_is_compiled_in() {
        let notice = include_str!("../../../NOTICE");
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../face-analysis/src"))];
        let mut named = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "bin") {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    assert!(notice.contains(&format!("\n{name}: ")), "NOTICE does not say what {name} is");
                    named += 1;
                }
            }
        }
        assert!(named >= 2);
    }

    #[test]
    fn a_minimal_manifest_is_read() {
        let manifest = Manifest::parse(MINIMAL).unwrap();
        assert_eq!(manifest.group(Group::Models).unwrap().len(), 1);
        assert_eq!(manifest.package_of(&manifest.artefacts()[0]).requirement(), "p==1.0");
    }

    #[test]
    fn refuses_an_output_outside_the_folder() {
        for output in ["../a", "/etc/a", "", ".lock", "x/../../a"] {
            let what = contradiction("\"a.bin\"", &format!("{output:?}"));
            assert!(what.contains("would be written to"), "{what}");
        }
    }

    #[test]
    fn refuses_an_unknown_package_and_a_wrong_number_of_files() {
        assert!(contradiction("package = \"p\"", "package = \"q\"").contains("unknown package q"));
        assert!(contradiction("\"copy\"", "\"faceapi-age-gender\"").contains("reads 2"));
    }

    #[test]
    fn refuses_a_package_name_that_a_client_could_read_as_an_option() {
        assert!(contradiction("name = \"p\"", "name = \"--index-url=x\"").contains("no usable name"));
    }

    #[test]
    fn refuses_a_hash_that_is_none() {
        let text = MINIMAL.replace("ba7816bf", "zz7816bf");
        assert!(matches!(Manifest::parse(&text), Err(ManifestError::Syntax(_))));
    }

    #[test]
    fn the_fingerprint_changes_with_a_converter_revision_and_not_with_words() {
        let fingerprint = |text: &str| Manifest::parse(text).unwrap().fingerprint();
        let before = fingerprint(MINIMAL);
        assert_ne!(before, fingerprint(&MINIMAL.replace("revision = 1", "revision = 2")));
        assert_eq!(before, fingerprint(&MINIMAL.replace("origin = \"o\"", "origin = \"elsewhere\"")));
    }
}
