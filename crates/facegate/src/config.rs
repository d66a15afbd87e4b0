//! The configuration: one typed struct, filled from a TOML file, the environment and flags.
//!
//! A setting has one name everywhere: `server.listen` in the file is `FACEGATE_SERVER_LISTEN` in the environment and
//! `--set server.listen=…` on the command line. Flags go before the environment, the environment before the file.

pub mod reference;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use face_analysis::rules::{RuleConfigError, RuleSetting, Rules};
use face_analysis::{Profile, Settings};
use face_service::link::LinkSettings;
use face_service::settings::{AuditSettings, ResponseSettings, ServerSettings, ServiceSettings, ShareSettings};
use face_service::traces::TraceSettings;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use utoipa::ToSchema;

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP service.
    pub server: ServerSettings,
    /// Who may call it.
    pub auth: AuthConfig,
    /// Who asked when.
    pub audit: AuditSettings,
    /// What answers look like.
    pub response: ResponseSettings,
    /// Pictures behind links.
    pub links: LinkSettings,
    /// How much of what all have one caller may take.
    pub shares: ShareSettings,
    /// Where the networks lie.
    pub models: ModelsConfig,
    /// What is logged.
    pub log: LogConfig,
    /// What Prometheus can read.
    pub metrics: MetricsConfig,
    /// Spans for an OpenTelemetry collector.
    pub traces: TraceSettings,
    /// How pictures are analysed: `analysis.limits`, `.detection`, `.attributes`, `.rules`.
    pub analysis: Settings,
}

/// Who may call the service. Without any, a user `facegate` with a password for this run is made up and printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// File with a line `name:$argon2id$…` for each user; made with `facegate hash-password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub users_file: Option<PathBuf>,
    /// Name of a single user, with `auth.password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The single user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Requests that each user may send in a minute, and in one burst; more are answered 429. 0 is no limit.
    pub requests_per_minute: u32,
}

/// Where the networks lie.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// The model folder; without it a folder in the user's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub dir: Option<PathBuf>,
}

/// What Prometheus can read, on a listener of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether there are metrics at `/metrics` of their own listener.
    pub enabled: bool,
    /// Address and port of that listener, without encryption and authentication. When the built-in port is taken,
    /// the service starts without metrics and says so; a port that was set must be free.
    #[schema(value_type = String)]
    pub listen: SocketAddr,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        // The port that exporters of OpenTelemetry use by default; 9090 is Prometheus's own.
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// What is logged, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

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
    #[error("{origin}: there is no setting {name}{}", hint(.nearest.as_deref()))]
    Unknown {
        /// Where it was found.
        origin: Origin,
        /// What was written.
        name: String,
        /// The most similar setting.
        nearest: Option<String>,
    },
    /// A flag without `=`.
    #[error("--set takes NAME=VALUE, not {0}")]
    Flag(String),
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
    /// No setting and no group of settings has that name.
    pub fn unknown(origin: Origin, name: &str) -> Self {
        let groups = names().iter().filter_map(|name| name.rsplit_once('.')).map(|(group, _)| group);
        let nearest = nearest(name, names().iter().map(String::as_str).chain(groups));
        Self::Unknown { origin, name: name.to_owned(), nearest }
    }
}

/// serde's reason in words for people who do not write Rust.
fn reason(message: &str) -> String {
    let words =
        [("usize", WHOLE), ("u64", WHOLE), ("u32", WHOLE), ("u16", WHOLE), ("f32", "a number"), ("f64", "a number")];
    words.into_iter().fold(message.trim_end().to_owned(), |text, (rust, words)| {
        text.replace(&format!("expected {rust}"), &format!("expected {words}"))
    })
}

const WHOLE: &str = "a whole number, not negative";

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// A configuration and where its values come from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every setting that differs from the built-in default, by name.
    pub origins: BTreeMap<String, Origin>,
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// Its full name.
    pub name: String,
    /// Its value; `None` when it has none.
    pub value: Option<Value>,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Loaded {
    /// Every setting in the order of [`names`], the limits and actions of the profile included.
    pub fn effective(&self) -> Result<Vec<Effective>, ConfigError> {
        let table = table_of(&self.config)?;
        let rules: BTreeMap<&str, RuleSetting> =
            self.config.analysis.rules.resolve()?.iter().map(|rule| (rule.name, rule.setting)).collect();
        let profile = self.config.analysis.rules.profile;
        Ok(names()
            .iter()
            .map(|name| {
                let origin = self.origins.get(name).cloned();
                let of_rule = |(rule, part): (&str, &str)| {
                    let setting = rules.get(rule)?;
                    Some(if part == "limit" {
                        Value::Float(setting.limit.into())
                    } else {
                        Value::String(setting.action.as_str().into())
                    })
                };
                match name.strip_prefix(RULES).and_then(|rest| rest.split_once('.')) {
                    Some(rule) => Effective {
                        name: name.clone(),
                        value: of_rule(rule),
                        origin: origin.unwrap_or(Origin::Profile(profile)),
                    },
                    None => Effective {
                        name: name.clone(),
                        value: get(&table, name).cloned(),
                        origin: origin.unwrap_or(Origin::Default),
                    },
                }
            })
            .collect())
    }
}

/// Short names in the environment, from the issue and for what is set most often.
const SHORT: [(&str, &str); 5] = [
    ("FACEGATE_LISTEN", "server.listen"),
    ("FACEGATE_USER", "auth.user"),
    ("FACEGATE_PASSWORD", "auth.password"),
    ("FACEGATE_USERS_FILE", "auth.users_file"),
    ("FACEGATE_MODELS_DIR", "models.dir"),
];

/// Variables with our prefix that are no settings.
const NOT_SETTINGS: [&str; 1] = ["FACEGATE_CONFIG"];

/// What the names of the rules' limits and actions begin with.
const RULES: &str = "analysis.rules.";

/// The name of every setting, in the order of their declaration.
pub fn names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut names: Vec<String> = reference::settings().into_iter().map(|setting| setting.name).collect();
        // Without a face there is nothing to answer about: min_faces cannot be changed.
        for rule in Rules::of_profile(Profile::Default).iter().filter(|rule| rule.name != "min_faces") {
            names.extend(["limit", "action"].map(|part| format!("{RULES}{}.{part}", rule.name)));
        }
        names
    });
    &NAMES
}

fn table_of(config: &Config) -> Result<Table, ConfigError> {
    Ok(Table::try_from(config)?)
}

/// The environment variable of a setting.
pub fn variable(name: &str) -> String {
    format!("FACEGATE_{}", name.to_ascii_uppercase().replace('.', "_"))
}

impl Config {
    /// What the service is made of.
    pub fn service(&self) -> ServiceSettings {
        ServiceSettings {
            server: self.server.clone(),
            requests_per_minute: self.auth.requests_per_minute,
            audit: self.audit.clone(),
            response: self.response.clone(),
            links: self.links.clone(),
            shares: self.shares.clone(),
            traces: self.traces.clone(),
        }
    }

    /// Reads the file, the environment and `NAME=VALUE` flags, in rising precedence.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Loaded, ConfigError> {
        let names = names();
        let mut table = table_of(&Self::default())?;
        let mut origins = BTreeMap::new();
        let mut put = |table: &mut Table, name: &str, value: Value, origin: Origin| -> Result<(), ConfigError> {
            if !names.iter().any(|known| known == name) {
                return Err(ConfigError::unknown(origin, name));
            }
            if let Some(reason) = fault(name, &value) {
                return Err(ConfigError::Value { origin, name: name.to_owned(), value: display(&value), reason });
            }
            insert(table, name, value);
            // Now, since later nobody would know where the value came from.
            if let Err(error) = table.clone().try_into::<Self>() {
                // A password is not for the log of whoever started us.
                let (value, reason) = match get(table, name) {
                    Some(_) if name == "auth.password" => ("what it is".to_owned(), "expected a string".to_owned()),
                    value => (value.map(display).unwrap_or_default(), reason(error.message())),
                };
                return Err(ConfigError::Value { origin, name: name.to_owned(), value, reason });
            }
            origins.insert(name.to_owned(), origin);
            Ok(())
        };
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            let read: Table = text
                .parse()
                .map_err(|e: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), message: e.to_string() })?;
            let mut values = Vec::new();
            leaves("", &read, &mut |name, value| values.push((name, value.clone())));
            for (name, value) in values {
                if value.is_table()
                    && names.iter().any(|known| known.strip_prefix(&name).is_some_and(|r| r.starts_with('.')))
                {
                    // The heading of a section with nothing below it.
                    continue;
                }
                put(&mut table, &name, value, Origin::File(path.to_owned()))?;
            }
        }
        for (variable_name, text) in environment {
            if !variable_name.starts_with("FACEGATE_") || NOT_SETTINGS.contains(&variable_name.as_str()) {
                continue;
            }
            let origin = Origin::Environment(variable_name.clone());
            let short = SHORT.iter().find(|(short, _)| *short == variable_name).map(|(_, name)| (*name).to_owned());
            let Some(name) = short.or_else(|| names.iter().find(|n| variable(n) == variable_name).cloned()) else {
                let variables: Vec<String> = names.iter().map(|n| variable(n)).collect();
                let nearest = nearest(&variable_name, variables.iter().map(String::as_str));
                return Err(ConfigError::Unknown { origin, name: variable_name, nearest });
            };
            let value = parse(&table, &name, &text);
            put(&mut table, &name, value, origin)?;
        }
        for flag in flags {
            let (name, text) = flag.split_once('=').ok_or_else(|| ConfigError::Flag(flag.clone()))?;
            let value = parse(&table, name, text);
            put(&mut table, name, value, Origin::Flag)?;
        }
        let config: Self = table.try_into().map_err(|error| ConfigError::Syntax {
            path: file.unwrap_or(Path::new("")).to_owned(),
            message: error.to_string(),
        })?;
        config.analysis.rules.resolve()?;
        Ok(Loaded { config, origins })
    }
}

/// The settings for which 0 means something.
const MAY_BE_ZERO: [&str; 6] = [
    "server.workers",
    "server.queue",
    "server.shutdown_timeout_s",
    "auth.requests_per_minute",
    "audit.keep",
    "links.max_redirects",
];

/// Why a value of the right kind cannot be meant: a limit of nothing, and a share that is none.
fn fault(name: &str, value: &Value) -> Option<String> {
    let nothing = matches!(value, Value::Integer(0)) || matches!(value, Value::Float(number) if *number == 0.0);
    // Sizes, times and numbers; of the rest of the analysis, zeros are values like others.
    let is_limit =
        ["server.", "audit.", "links.", "shares.", "analysis.limits."].iter().any(|group| name.starts_with(group));
    if nothing && is_limit && !MAY_BE_ZERO.contains(&name) {
        return Some("with it nothing would be answered; leave it out for the built-in value".to_owned());
    }
    let number = match value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        _ => return None,
    };
    let is_share = name.starts_with("shares.") && name != "shares.window_ms";
    (is_share && !(number > 0.0 && number <= 1.0)).then(|| "a share is more than 0 and at most 1".to_owned())
}

/// Calls `visit` with the dotted name of every value that is no table, or an empty one.
fn leaves(prefix: &str, table: &Table, visit: &mut dyn FnMut(String, &Value)) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => leaves(&name, inner, visit),
            value => visit(name, value),
        }
    }
}

fn get<'t>(table: &'t Table, name: &str) -> Option<&'t Value> {
    let mut parts = name.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    Some(value)
}

fn insert(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = table.entry(head).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// A value as TOML writes it, numbers in the fewest digits that tell them apart in single precision, which is how the
/// program holds them.
pub fn display(value: &Value) -> String {
    match value {
        Value::Float(number) if f64::from(*number as f32) == *number => (*number as f32).to_string(),
        value => value.to_string(),
    }
}

/// Text from the environment or a flag, read as what the setting holds now: a list, or a TOML scalar unless it is text.
fn parse(table: &Table, name: &str, text: &str) -> Value {
    let scalar = |text: &str| -> Value {
        format!("v = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut t| t.remove("v"))
            .filter(|v| !v.is_table() && !v.is_array())
            .unwrap_or_else(|| Value::String(text.to_owned()))
    };
    match get(table, name) {
        Some(Value::String(_)) => Value::String(text.to_owned()),
        Some(Value::Float(_)) => match scalar(text) {
            Value::Integer(whole) => Value::Float(whole as f64),
            other => other,
        },
        Some(Value::Array(_)) => {
            Value::Array(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(scalar).collect())
        }
        // What has no built-in value is text, but for a rule's limit.
        None if !name.ends_with(".limit") => Value::String(text.to_owned()),
        _ => scalar(text),
    }
}

/// The name that is so similar that it was probably meant.
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use face_analysis::Profile;
    use face_analysis::rules::Action;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("facegate.toml");
        std::fs::write(&path, text).expect("writes");
        (folder, path)
    }

    #[test]
    fn nothing_configured_is_the_default() {
        let loaded = Config::load(None, environment(&[("PATH", "/bin")]), &[]).expect("loads");
        assert_eq!(loaded.config, Config::default());
        assert!(loaded.origins.is_empty());
    }

    #[test]
    fn flags_go_before_the_environment_and_the_environment_before_the_file() {
        let (_folder, path) = file("[server]\nlisten = \"127.0.0.1:1\"\nqueue = 5\nworkers = 3\n");
        let variables = environment(&[("FACEGATE_LISTEN", "127.0.0.1:2"), ("FACEGATE_SERVER_QUEUE", "6")]);
        let loaded = Config::load(Some(&path), variables, &["server.listen=127.0.0.1:3".into()]).expect("loads");
        assert_eq!(loaded.config.server.listen.port(), 3);
        assert_eq!((loaded.config.server.queue, loaded.config.server.workers), (6, 3));
        assert_eq!(loaded.origins["server.listen"], Origin::Flag);
        assert_eq!(loaded.origins["server.queue"], Origin::Environment("FACEGATE_SERVER_QUEUE".into()));
        assert_eq!(loaded.origins["server.workers"], Origin::File(path));
    }

    #[test]
    fn rules_can_be_changed_everywhere() {
        let (_folder, path) = file("[analysis.rules]\nprofile = \"strict\"\nmin_margin = { limit = 20 }\n");
        let variables = environment(&[("FACEGATE_ANALYSIS_RULES_MAX_YAW_ACTION", "warn")]);
        let flags = ["analysis.rules.max_pitch.limit=12.5".into()];
        let rules = Config::load(Some(&path), variables, &flags).expect("loads").config.analysis.rules;
        assert_eq!(rules.profile, Profile::Strict);
        assert_eq!(rules.overrides["min_margin"].limit, Some(20.0));
        assert_eq!(rules.overrides["max_yaw"].action, Some(Action::Warn));
        assert_eq!(rules.overrides["max_pitch"].limit, Some(12.5));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let (_folder, path) = file("[server]\nlissen = \"127.0.0.1:1\"\n");
        let text = Config::load(Some(&path), [], &[]).expect_err("unknown").to_string();
        assert!(text.contains("server.lissen") && text.contains("did you mean server.listen?"), "{text}");
        let (_folder, path) = file("[servr]\n");
        let text = Config::load(Some(&path), [], &[]).expect_err("unknown").to_string();
        assert!(text.contains("did you mean server?"), "{text}");
        let text = Config::load(None, environment(&[("FACEGATE_LISTN", "x")]), &[]).expect_err("unknown").to_string();
        assert!(text.contains("FACEGATE_LISTN"), "{text}");
        let text = Config::load(None, [], &["analysis.rules.max_jaw.limit=3".into()]).expect_err("unknown").to_string();
        assert!(text.contains("did you mean analysis.rules.max_yaw.limit?"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        for flag in ["server.listen=nowhere", "server.queue=-1", "server.queue=many", "analysis.rules.profile=soft"] {
            let error = Config::load(None, [], &[flag.into()]).expect_err(flag);
            assert!(matches!(error, ConfigError::Value { .. }), "{flag}");
            let (name, value) = flag.split_once('=').expect("a flag");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(value) && !text.contains("usize"), "{text}");
        }
        assert!(matches!(Config::load(None, [], &["server".into()]), Err(ConfigError::Flag(_))));
    }

    #[test]
    fn a_limit_of_nothing_is_refused_and_a_zero_that_means_something_is_not() {
        let load = |flag: &str| Config::load(None, [], &[flag.to_owned()]);
        let defaults = table_of(&Config::default()).expect("a table");
        for name in names().iter().filter(|name| ["server.", "links.", "audit."].iter().any(|g| name.starts_with(g))) {
            if !matches!(get(&defaults, name), Some(Value::Integer(_))) {
                continue;
            }
            let error = load(&format!("{name}=0")).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), MAY_BE_ZERO.contains(&name.as_str()), "{name}: {error:?}");
        }
        for flag in
            ["shares.memory=0", "shares.memory=1.5", "shares.links=-0.5", "shares.window_ms=0", "shares.logins=nan"]
        {
            assert!(matches!(load(flag), Err(ConfigError::Value { .. })), "{flag}");
        }
        for flag in ["shares.memory=1", "shares.connections=0.001", "analysis.rules.max_yaw.limit=0"] {
            assert!(load(flag).is_ok(), "{flag}");
        }
    }

    #[test]
    fn no_two_settings_share_a_variable() {
        let mut variables: Vec<String> = names().iter().map(|name| variable(name)).collect();
        let count = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }
}
