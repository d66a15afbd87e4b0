//! Reads the file, the environment and flags, and refuses what cannot be meant.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};

use super::effective::Loaded;
use super::error::{ConfigError, Origin, hint};
use super::names::{NOT_SETTINGS, SECRET, SHORT, names, nearest, variable};
use super::settings::Config;
use super::values::{display, get, insert, leaves, parse, table_of};

impl Config {
    /// Reads the file, the environment and `NAME=VALUE` flags, in rising precedence.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
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
                    Some(_) if name == SECRET => ("what it is".to_owned(), "expected a string".to_owned()),
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
                .map_err(|e| ConfigError::Syntax { path: path.to_owned(), message: fault_of(&text, &e) })?;
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
        let mut variables = BTreeMap::new();
        for (variable_name, text) in environment {
            let variable_name = variable_name.to_string_lossy().into_owned();
            if !variable_name.starts_with("FACEGATE_") || NOT_SETTINGS.contains(&variable_name.as_str()) {
                continue;
            }
            let origin = Origin::Environment(variable_name.clone());
            let short = SHORT.iter().find(|(short, _)| *short == variable_name).map(|(_, name)| (*name).to_owned());
            let Some(name) = short.or_else(|| names.iter().find(|n| variable(n) == variable_name).cloned()) else {
                let variables: Vec<String> = names.iter().map(|n| variable(n)).collect();
                let nearest = nearest(&variable_name, variables.iter().map(String::as_str));
                return Err(ConfigError::Unknown { origin, name: variable_name, hint: hint(nearest.as_deref()) });
            };
            // Which of two counts would be chance.
            if let Some(first) = variables.insert(name.clone(), variable_name.clone()) {
                return Err(ConfigError::Twice { name, first, second: variable_name });
            }
            // Not shown: it may be a password.
            let text = text.into_string().map_err(|_| ConfigError::Value {
                origin: origin.clone(),
                name: name.clone(),
                value: "what it is".to_owned(),
                reason: "it is no text in UTF-8".to_owned(),
            })?;
            let value = parse(&table, &name, &text);
            put(&mut table, &name, value, origin)?;
        }
        for flag in flags {
            let (name, text) = flag.split_once('=').ok_or(ConfigError::Flag)?;
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

/// What is wrong with the file, and where. Not the line itself: it may hold a password.
fn fault_of(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let (number, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
    format!("line {number}, column {column}: {}", error.message().trim_end())
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

/// More than the largest machines have cores; a number without bound would take all memory before anything is said.
const MOST_WORKERS: f64 = 1_024.0;

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
    if !number.is_finite() {
        return Some("it is not finite".to_owned());
    }
    if name == "server.workers" && number > MOST_WORKERS {
        return Some(format!("each has a process and memory of its own: at most {MOST_WORKERS}"));
    }
    let is_share = name.starts_with("shares.") && name != "shares.window_ms";
    if is_share && !(number > 0.0 && number <= 1.0) {
        return Some("a share is more than 0 and at most 1".to_owned());
    }
    let (_, least, most) = RANGES.into_iter().find(|(ranged, ..)| *ranged == name)?;
    (!(least..=most).contains(&number)).then(|| format!("it is from {least} to {most}"))
}

/// The settings of the analysis that a number has a meaning for only from here to there: what was meant as a percentage would
/// switch off what it limits, in a picture of a few pixels no face is seen, and one of 100,000 takes all memory.
const RANGES: [(&str, f64, f64); 10] = [
    ("analysis.detection.min_score", 0.0, 1.0),
    ("analysis.detection.weak_score", 0.0, 1.0),
    ("analysis.detection.min_certainty", 0.0, 1.0),
    ("analysis.detection.border", 0.0, 1.0),
    ("analysis.detection.coarse_size", 64.0, 4_096.0),
    ("analysis.detection.fine_size", 64.0, 4_096.0),
    ("analysis.detection.min_face_share", 0.0, 1.0),
    ("analysis.liveness.crops", 1.0, 5.0),
    // A gigapixel is 3 GB of memory for each worker.
    ("analysis.limits.max_pixels", 1.0, 1e9),
    ("analysis.limits.max_side", 1.0, 1e6),
];

/// serde's reason in words for people who do not write Rust.
fn reason(message: &str) -> String {
    // The only settings of two bytes are ports.
    let port = "a port, a whole number from 0 to 65535";
    let words =
        [("usize", WHOLE), ("u64", WHOLE), ("u32", WHOLE), ("u16", port), ("f32", "a number"), ("f64", "a number")];
    let message = message.trim_end().replace("invalid socket address syntax", ADDRESS_AND_PORT);
    words
        .into_iter()
        .fold(message, |text, (rust, words)| text.replace(&format!("expected {rust}"), &format!("expected {words}")))
}

/// How an address to listen on is written.
pub(crate) const ADDRESS_AND_PORT: &str =
    "write an address and a port, such as 127.0.0.1:8080 or [::1]:8080; names such as localhost are not looked up";

const WHOLE: &str = "a whole number, not negative";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use face_analysis::Profile;
    use face_analysis::rules::Action;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("facegate.toml");
        std::fs::write(&path, text).expect("writes");
        (folder, path)
    }

    #[test]
    fn nothing_configured_is_the_default() {
        // The clients' variable is often exported in the same shell.
        let variables = environment(&[("PATH", "/bin"), ("FACEGATE_URL", "http://127.0.0.1:8080")]);
        let loaded = Config::load(None, variables, &[]).expect("loads");
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
    fn two_variables_for_one_setting_are_refused_in_either_order() {
        for (short, long) in [
            (("FACEGATE_LISTEN", "127.0.0.1:1"), ("FACEGATE_SERVER_LISTEN", "127.0.0.1:2")),
            (("FACEGATE_PASSWORD", "secret"), ("FACEGATE_AUTH_PASSWORD", "secret")),
        ] {
            for pairs in [[short, long], [long, short]] {
                let text = Config::load(None, environment(&pairs), &[]).expect_err("two").to_string();
                assert!(text.contains(short.0) && text.contains(long.0) && !text.contains("secret"), "{text}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_refused_in_our_variables_and_none_of_our_business_in_others() {
        use std::os::unix::ffi::OsStringExt as _;
        let raw = || OsString::from_vec(b"\xff".to_vec());
        assert!(Config::load(None, [("OTHER".into(), raw()), (raw(), raw())], &[]).is_ok());
        for name in ["FACEGATE_LISTEN", "FACEGATE_SERVER_QUEUE", "FACEGATE_PASSWORD"] {
            let text = Config::load(None, [(name.into(), raw())], &[]).expect_err(name).to_string();
            assert!(text.contains(name) && text.contains("UTF-8"), "{text}");
        }
        let strange = OsString::from_vec(b"FACEGATE_\xff".to_vec());
        assert!(matches!(Config::load(None, [(strange, "1".into())], &[]), Err(ConfigError::Unknown { .. })));
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
    fn a_value_for_a_rule_or_a_group_is_told_what_can_be_set_in_it() {
        let (_folder, path) = file("[analysis.rules]\nmax_yaw = 3\n");
        let flag = |flag: &str| Config::load(None, [], &[flag.to_owned()]).expect_err("no setting").to_string();
        let in_file = Config::load(Some(&path), [], &[]).expect_err("no setting").to_string();
        for text in [flag("analysis.rules.max_yaw=3"), in_file] {
            let told = "it is a rule: set analysis.rules.max_yaw.limit, analysis.rules.max_yaw.action or both";
            assert!(text.contains(told) && !text.contains("did you mean"), "{text}");
        }
        let text = flag("server=3");
        assert!(text.contains("it is a group of settings, such as server."), "{text}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place_and_without_what_stands_there() {
        for line in
            ["password = \"hunter2", "password = hunter2", "password = \"hunter2\" hunter2", "password: hunter2"]
        {
            let (_folder, path) = file(&format!("[auth]\n{line}\n"));
            let text = Config::load(Some(&path), [], &[]).expect_err(line).to_string();
            assert!(text.contains("is no TOML: line 2, column ") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_flag_with_another_sign_than_the_equals_sign_does_not_show_the_password_behind_it() {
        for (flag, told) in [
            ("auth.password:hunter2", "--set takes NAME=VALUE"),
            ("auth.password hunter2", "--set takes NAME=VALUE"),
            ("auth.password:hunter2=", "no setting auth.password…; did you mean auth.password?"),
            ("auth.password hunter=2", "no setting auth.password…; did you mean auth.password?"),
        ] {
            let text = Config::load(None, [], &[flag.to_owned()]).expect_err(flag).to_string();
            assert!(text.contains(told) && !text.contains("hunter"), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_told_the_range_of_ports() {
        for flag in ["links.ports=70000", "links.ports=80,-1"] {
            let text = Config::load(None, [], &[flag.to_owned()]).expect_err("no port").to_string();
            assert!(text.contains("links.ports") && text.contains("from 0 to 65535"), "{text}");
        }
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
        for address in ["localhost:8080", ":8080", "0.0.0.0", "8080"] {
            let text =
                Config::load(None, environment(&[("FACEGATE_LISTEN", address)]), &[]).expect_err(address).to_string();
            assert!(text.contains("such as 127.0.0.1:8080"), "{text}");
        }
        assert!(matches!(Config::load(None, [], &["server".into()]), Err(ConfigError::Flag)));
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
        for flag in ["traces.sample_ratio=nan", "analysis.detection.min_score=nan", "analysis.detection.border=inf"] {
            assert!(matches!(load(flag), Err(ConfigError::Value { .. })), "{flag}");
        }
        assert!(matches!(load("server.workers=9223372036854775807"), Err(ConfigError::Value { .. })));
        for flag in
            ["server.workers=1024", "shares.memory=1", "shares.connections=0.001", "analysis.rules.max_yaw.limit=0"]
        {
            assert!(load(flag).is_ok(), "{flag}");
        }
    }

    #[test]
    fn a_percentage_is_no_share_and_sizes_are_within_reason() {
        let load = |flag: &str| Config::load(None, [], &[flag.to_owned()]).map_err(|error| error.to_string());
        for flag in [
            "analysis.detection.min_score=60",
            "analysis.detection.weak_score=5",
            "analysis.detection.min_certainty=50",
            "analysis.detection.border=15",
            "analysis.detection.min_face_share=3",
            "analysis.detection.min_score=-0.1",
            "analysis.liveness.crops=9",
            "analysis.liveness.crops=0",
            "analysis.detection.coarse_size=0",
            "analysis.detection.coarse_size=63",
            "analysis.detection.fine_size=4097",
            "analysis.detection.fine_size=1000000",
            "analysis.limits.max_pixels=1000000000000000000",
            "analysis.limits.max_side=1000001",
            "analysis.rules.max_second_face.limit=35",
            "analysis.rules.max_occlusion.limit=50",
            "analysis.rules.min_face_area.limit=2",
        ] {
            let (name, _) = flag.split_once('=').expect("a flag");
            let rule = name.trim_start_matches("analysis.rules.").trim_end_matches(".limit");
            assert!(load(flag).expect_err(flag).contains(rule), "{flag}");
        }
        for flag in [
            "analysis.detection.min_certainty=1",
            "analysis.detection.border=0",
            "analysis.liveness.crops=5",
            "analysis.detection.coarse_size=64",
            "analysis.detection.fine_size=4096",
            "analysis.limits.max_pixels=1000000000",
            "analysis.rules.max_occlusion.limit=1",
            "analysis.rules.min_surrounding.limit=1.8",
            "analysis.rules.max_yaw.limit=90",
            "analysis.rules.min_contrast.limit=30",
        ] {
            assert!(load(flag).is_ok(), "{flag}");
        }
    }
}
