//! Where a value comes from, and why a configuration cannot be used.

use std::fmt;
use std::path::PathBuf;

use face_analysis::Profile;
use face_analysis::rules::RuleConfigError;

use super::names::{RULES, names, nearest};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag,
    /// A rule's limit or action that nothing but the profile sets.
    Profile(Profile),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
            Self::Profile(profile) => write!(f, "profile {}", profile.as_str()),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration {path} is no TOML: {message}")]
    Syntax {
        /// Its path.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// No setting has that name.
    #[error("{origin}: there is no setting {name}{hint}")]
    Unknown {
        /// Where it was found.
        origin: Origin,
        /// What was written.
        name: String,
        /// What was probably meant, after a semicolon, or nothing.
        hint: String,
    },
    /// A flag without `=`, which is not shown: it may hold a password.
    #[error("--set takes NAME=VALUE, such as server.queue=4; what one of them was given has no =")]
    Flag,
    /// Two environment variables for the same setting.
    #[error("environment {first} and {second} both set {name}: keep one of them")]
    Twice {
        /// The setting.
        name: String,
        /// One variable.
        first: String,
        /// The other.
        second: String,
    },
    /// A value of the wrong kind.
    #[error("{origin}: {name} cannot be {value}: {reason}")]
    Value {
        /// Where it was found.
        origin: Origin,
        /// The setting.
        name: String,
        /// What was written.
        value: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The values in force cannot be shown.
    #[error("the configuration cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
    /// A rule that cannot be judged as configured.
    #[error(transparent)]
    Rules(#[from] RuleConfigError),
}

impl ConfigError {
    /// No setting has that name; a group of settings may.
    pub fn unknown(origin: Origin, name: &str) -> Self {
        let groups = names().iter().filter_map(|name| name.rsplit_once('.')).map(|(group, _)| group);
        let hint = hint_of_group(name)
            .unwrap_or_else(|| hint(nearest(name, names().iter().map(String::as_str).chain(groups)).as_deref()));
        Self::Unknown { origin, name: shown(name), hint }
    }
}

/// A name that is none, as far as it could be one: behind another character may stand a value, and that be a password.
fn shown(name: &str) -> String {
    match name.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
        Some(end) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What can be set in a group that was given a value itself.
fn hint_of_group(name: &str) -> Option<String> {
    let inside = |known: &&String| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let first = names().iter().find(inside)?;
    Some(match name.strip_prefix(RULES) {
        Some(_) => format!("; it is a rule: set {name}.limit, {name}.action or both"),
        None => format!("; it is a group of settings, such as {first}"),
    })
}

/// What was probably meant, for the end of a message.
pub(super) fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
