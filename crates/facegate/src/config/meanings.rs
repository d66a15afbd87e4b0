//! What every setting means, from the doc comments of the configuration's own types.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema as _, ToSchema as _};

use super::settings::Config;

/// One setting, but for the limits and actions of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its full name.
    pub(super) name: String,
    /// Its doc comment in one line.
    pub(super) meaning: String,
    /// The name of the table that it stands in.
    pub(super) section: String,
    /// The doc comment of that table's type in one line.
    pub(super) section_meaning: String,
}

/// Every setting in the order of declaration.
pub(super) fn settings() -> Vec<Setting> {
    let mut parts = Vec::new();
    Config::schemas(&mut parts);
    let parts: BTreeMap<String, RefOr<Schema>> = parts.into_iter().collect();
    let mut settings = Vec::new();
    walk("", &Config::schema(), &parts, &mut settings);
    settings
}

fn walk(section: &str, schema: &RefOr<Schema>, parts: &BTreeMap<String, RefOr<Schema>>, settings: &mut Vec<Setting>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for (key, property) in &object.properties {
        let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let (meaning, part) = match property {
            RefOr::Ref(reference) => {
                let part = reference.ref_location.rsplit('/').next().and_then(|name| parts.get(name));
                (reference.description.as_str(), part)
            }
            RefOr::T(schema) => (description(schema), None),
        };
        match part {
            Some(table @ RefOr::T(Schema::Object(part))) if !part.properties.is_empty() => {
                walk(&name, table, parts, settings);
            }
            _ => settings.push(Setting {
                name,
                meaning: one_line(meaning),
                section: section.to_owned(),
                section_meaning: one_line(object.description.as_deref().unwrap_or_default()),
            }),
        }
    }
}

fn description(schema: &Schema) -> &str {
    let text = match schema {
        Schema::Object(object) => &object.description,
        Schema::Array(array) => &array.description,
        Schema::OneOf(one) => &one.description,
        Schema::AllOf(all) => &all.description,
        _ => &None,
    };
    text.as_deref().unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::values::{leaves, table_of};
    use super::*;

    #[test]
    fn every_setting_has_a_meaning_and_its_section_too() {
        let settings = settings();
        assert!(settings.len() > 30, "{}", settings.len());
        for setting in settings {
            let Setting { name, meaning, section, section_meaning } = setting;
            assert!(meaning.len() > 10 && meaning.ends_with('.'), "{name}: {meaning:?}");
            assert!(section_meaning.len() > 10 && name.starts_with(&section), "{name}: {section_meaning:?}");
        }
    }

    #[test]
    fn every_built_in_value_belongs_to_a_setting() {
        let known: Vec<String> = settings().into_iter().map(|setting| setting.name).collect();
        let mut built_in = Vec::new();
        leaves("", &table_of(&Config::default()).expect("a table"), &mut |name, value| {
            // `models` is an empty table: its only setting has no built-in value.
            if !value.is_table() {
                built_in.push(name);
            }
        });
        assert!(built_in.len() > 25);
        for name in built_in {
            assert!(known.contains(&name), "{name} is missing in {known:?}");
        }
    }
}
