//! Values by their dotted names in a TOML table.

use toml::{Table, Value};

use super::error::ConfigError;
use super::settings::Config;

pub(super) fn table_of(config: &Config) -> Result<Table, ConfigError> {
    Ok(Table::try_from(config)?)
}

/// Calls `visit` with the dotted name of every value that is no table, or an empty one.
pub(super) fn leaves(prefix: &str, table: &Table, visit: &mut dyn FnMut(String, &Value)) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => leaves(&name, inner, visit),
            value => visit(name, value),
        }
    }
}

pub(super) fn get<'t>(table: &'t Table, name: &str) -> Option<&'t Value> {
    let mut parts = name.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    Some(value)
}

pub(super) fn insert(table: &mut Table, name: &str, value: Value) {
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
pub(super) fn parse(table: &Table, name: &str, text: &str) -> Value {
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
