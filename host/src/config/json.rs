//! A policy's settings, written in TOML, as the JSON text that `configure` gets.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

/// A table as a JSON object; dates and times become strings. None names the value that JSON cannot hold.
pub(super) fn object(table: &DeTable<'_>) -> Result<Value, String> {
    let mut object = Map::new();
    for (key, value) in table {
        object.insert(
            key.get_ref().clone().into_owned(),
            convert(value.get_ref())?,
        );
    }
    Ok(Value::Object(object))
}

fn convert(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(when) => Value::String(when.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|n| Value::Number(n.into()))
            .map_err(|_| format!("{number} does not fit 64 bits"))?,
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("JSON has no number {number}"))?,
        DeValue::Array(values) => Value::Array(
            values
                .iter()
                .map(|value| convert(value.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => object(table)?,
    })
}
