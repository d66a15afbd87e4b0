//! The settings in force, each with where its value comes from.

use std::collections::BTreeMap;

use face_analysis::rules::RuleSetting;
use toml::Value;

use super::error::{ConfigError, Origin};
use super::names::{RULES, names};
use super::settings::Config;
use super::values::{get, table_of};

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
