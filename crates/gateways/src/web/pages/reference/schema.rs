//! Schemas in words.

use serde_json::{Map, Value};

/// Types within types that an example goes into.
const DEPTH_MAX: usize = 4;

/// What a value is, in words; `link`: the named type that the words end with.
pub(super) struct Kind {
    pub words: String,
    pub link: Option<String>,
}

/// One of a type's, or a parameter.
pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
    pub required: bool,
    pub description: String,
}

fn name_of(reference: &Value) -> Option<String> {
    Some(reference.as_str()?.rsplit('/').next()?.to_string())
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

impl Kind {
    fn words(words: impl Into<String>) -> Kind {
        Kind { words: words.into(), link: None }
    }

    pub fn of(schema: &Value) -> Kind {
        if let Some(name) = name_of(&schema["$ref"]) {
            return Kind { words: String::new(), link: Some(name) };
        }
        let several = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        if let Some(forms) = several {
            let values: Vec<&Value> = forms.iter().filter(|form| !is_null(form)).collect();
            let kind = match values[..] {
                [one] => Kind::of(one),
                _ if values.iter().all(|one| one["enum"].is_array() || one["const"].is_string()) => {
                    let all =
                        values.iter().map(|one| one["enum"][0].as_str().or(one["const"].as_str()).unwrap_or_default());
                    Kind::words(all.collect::<Vec<_>>().join(" | "))
                }
                _ => Kind::words("one of several forms"),
            };
            let optional = values.len() < forms.len();
            return Kind { words: if optional { format!("null or {}", kind.words) } else { kind.words }, ..kind };
        }
        if let Some(values) = schema["enum"].as_array() {
            return Kind::words(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "));
        }
        match &schema["type"] {
            Value::Array(types) => Kind::words(types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")),
            Value::String(array) if array == "array" => {
                let item = Kind::of(&schema["items"]);
                Kind { words: format!("list of {}", item.words), ..item }
            }
            Value::String(_) if schema["format"] == "binary" => Kind::words("bytes"),
            Value::String(one) => Kind::words(one.clone()),
            _ => Kind::words(if schema["allOf"].is_array() { "object" } else { "any value" }),
        }
    }
}

/// The schema itself, whatever it is called.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    name_of(&schema["$ref"]).map_or(schema, |name| &document["components"]["schemas"][name])
}

fn fields_into(document: &Value, schema: &Value, fields: &mut Vec<Field>) {
    let schema = resolved(document, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        fields_into(document, part, fields);
    }
    let required = |name: &String| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let description = super::text(&property["description"]);
        fields.push(Field { name: name.clone(), kind: Kind::of(property), required: required(name), description });
    }
}

/// The fields of each form that a type has.
pub(super) fn forms(document: &Value, schema: &Value) -> Vec<Vec<Field>> {
    let alone = std::slice::from_ref(schema);
    let forms = schema["oneOf"].as_array().map_or(alone, Vec::as_slice);
    let of = |form: &Value| {
        let mut fields = Vec::new();
        fields_into(document, form, &mut fields);
        fields
    };
    forms.iter().map(of).filter(|fields| !fields.is_empty()).collect()
}

/// A value of that kind: what must be there, and what has an example.
pub(super) fn sample(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(document, schema);
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(form) = schema["oneOf"].as_array().and_then(|forms| forms.iter().find(|form| !is_null(form))) {
        return sample(document, form, depth + 1);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" => Value::from("text"),
        "integer" | "number" => Value::from(0),
        "boolean" => Value::from(true),
        "array" => Value::from(vec![sample(document, &schema["items"], depth + 1)]),
        "null" => Value::Null,
        _ => {
            let mut all = Map::new();
            for part in schema["allOf"].as_array().into_iter().flatten() {
                if let Value::Object(fields) = sample(document, part, depth + 1) {
                    all.extend(fields);
                }
            }
            let required = schema["required"].as_array();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let needed = required.is_some_and(|names| names.iter().any(|it| it == name));
                if needed || !property["example"].is_null() {
                    all.insert(name.clone(), sample(document, property, depth + 1));
                }
            }
            Value::Object(all)
        }
    }
}
