//! The document that says what a form may put: until when, which fields with which values, how many bytes.

use crate::conditions::of;
use crate::errors::refused;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde_json::Value;
use types::WallMillis;

/// Conditions of one document.
const CONDITIONS_MAX: usize = 200;

/// What is said of one field, or of the file.
#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// A field, its name in small letters, has that value.
    Is(String, String),
    /// It begins so.
    Begins(String, String),
    /// Bytes of the file, both included.
    Length(u64, u64),
}

/// A document that was read. Who signed it is for others to see.
#[derive(Debug)]
pub(crate) struct PostPolicy {
    /// In seconds since 1970.
    expires: i64,
    conditions: Vec<Condition>,
}

fn invalid(what: &str) -> S3Error {
    refused(S3ErrorCode::InvalidPolicyDocument, format!("Invalid Policy: {what}"))
}

fn unmet(what: impl std::fmt::Display) -> S3Error {
    refused(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {what}"))
}

impl PostPolicy {
    /// By its base 64.
    pub(crate) fn parse(text: &str) -> S3Result<PostPolicy> {
        let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let json = STANDARD.decode(plain).map_err(|_| invalid("it is no base 64"))?;
        let value: Value = serde_json::from_slice(&json).map_err(|_| invalid("it is no JSON"))?;
        let until = value.get("expiration").and_then(Value::as_str);
        let until = until.ok_or_else(|| invalid("it has no expiration"))?;
        let until = Timestamp::parse(TimestampFormat::DateTime, until)
            .map_err(|_| invalid("its expiration is no time like 2030-01-01T00:00:00.000Z"))?;
        let Some(Value::Array(all)) = value.get("conditions") else { return Err(invalid("it has no conditions")) };
        if all.is_empty() || all.len() > CONDITIONS_MAX {
            return Err(invalid("it has 1 to 200 conditions"));
        }
        let mut conditions = Vec::new();
        for one in all {
            match one {
                Value::Object(pairs) if !pairs.is_empty() => {
                    for (name, value) in pairs {
                        let value = value.as_str().ok_or_else(|| invalid("a condition's value is a text"))?;
                        conditions.push(Condition::Is(name.to_ascii_lowercase(), value.to_string()));
                    }
                }
                Value::Array(words) => conditions.push(words_of(words)?),
                _ => return Err(invalid("a condition is an object or a list")),
            }
        }
        Ok(PostPolicy { expires: of(&until), conditions })
    }

    /// Bytes that the file may have, the most of all conditions; none: they do not say.
    pub(crate) fn length(&self) -> Option<(u64, u64)> {
        let mut found: Option<(u64, u64)> = None;
        for condition in &self.conditions {
            if let Condition::Length(least, most) = condition {
                let (a, b) = found.unwrap_or((0, u64::MAX));
                found = Some((a.max(*least), b.min(*most)));
            }
        }
        found
    }

    /// Does it allow these fields, their names in small letters, at that time?
    pub(crate) fn check(&self, fields: &[(String, String)], bucket: &str, now: WallMillis) -> S3Result<()> {
        if i64::try_from(now.0 / 1000).unwrap_or(i64::MAX) >= self.expires {
            return Err(unmet("Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            _ => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()),
        };
        for condition in &self.conditions {
            let (name, meets) = match condition {
                Condition::Is(name, wanted) => (name, value(name) == Some(wanted.as_str())),
                // A field that is not there begins with nothing.
                Condition::Begins(name, begin) => (name, value(name).unwrap_or_default().starts_with(begin.as_str())),
                Condition::Length(..) => continue,
            };
            if !meets {
                return Err(unmet(format!("Policy Condition failed: the field {name} is not as it says")));
            }
        }
        let named = |field: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Is(name, _) | Condition::Begins(name, _) => name == field,
                Condition::Length(..) => false,
            })
        };
        // Or it would be good for all buckets of whoever signed it.
        if !named("bucket") {
            return Err(unmet("Extra input fields: bucket"));
        }
        match fields.iter().find(|(name, _)| !needs_no_condition(name) && !named(name)) {
            Some((name, _)) => Err(unmet(format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

fn needs_no_condition(name: &str) -> bool {
    matches!(name, "policy" | "x-amz-signature" | "signature" | "awsaccesskeyid" | "file" | "submit" | "bucket")
        || name.starts_with("x-ignore-")
}

fn words_of(words: &[Value]) -> S3Result<Condition> {
    let [kind, a, b] = words else { return Err(invalid("a condition in a list has three words")) };
    let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
    if kind == "content-length-range" {
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        return match (number(a), number(b)) {
            (Some(least), Some(most)) if least <= most => Ok(Condition::Length(least, most)),
            _ => Err(invalid("content-length-range is two numbers of bytes")),
        };
    }
    let (Some(field), Some(value)) = (a.as_str().and_then(|field| field.strip_prefix('$')), b.as_str()) else {
        return Err(invalid("a condition in a list names $FIELD and a text"));
    };
    let (field, value) = (field.to_ascii_lowercase(), value.to_string());
    match kind.as_str() {
        "eq" => Ok(Condition::Is(field, value)),
        "starts-with" => Ok(Condition::Begins(field, value)),
        _ => Err(invalid("a condition is eq, starts-with or content-length-range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: WallMillis = WallMillis(1_800_000_000_000);

    fn policy(conditions: &str) -> S3Result<PostPolicy> {
        let text = format!(r#"{{"expiration":"2030-01-01T00:00:00.000Z","conditions":[{conditions}]}}"#);
        PostPolicy::parse(&STANDARD.encode(text))
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn fields_are_as_the_document_says() {
        let both =
            r#"{"bUcKeT":"pics"},["starts-with","$Key","in/"],["eq","$acl","private"],["content-length-range",2,9]"#;
        let read = policy(both).unwrap();
        assert_eq!(read.length(), Some((2, 9)));
        let good = fields(&[("key", "in/a"), ("acl", "private"), ("policy", "x"), ("x-ignore-me", "y")]);
        assert!(read.check(&good, "pics", NOW).is_ok());
        assert!(read.check(&good, "other", NOW).is_err());
        assert!(read.check(&good, "pics", WallMillis(1_900_000_000_000)).is_err(), "expired");
        for wrong in [
            fields(&[("key", "out/a"), ("acl", "private")]),
            fields(&[("key", "in/a"), ("acl", "public-read")]),
            fields(&[("key", "in/a")]),
            fields(&[("key", "in/a"), ("acl", "private"), ("content-type", "x")]),
        ] {
            let error = read.check(&wrong, "pics", NOW).unwrap_err();
            assert_eq!(*error.code(), S3ErrorCode::AccessDenied, "{wrong:?}");
        }
        let anywhere = policy(r#"["starts-with","$key",""]"#).unwrap();
        let error = anywhere.check(&fields(&[("key", "a")]), "pics", NOW).unwrap_err();
        assert_eq!(*error.code(), S3ErrorCode::AccessDenied, "it names no bucket");
        let narrow = policy(r#"["content-length-range",2,9],["content-length-range","3",20]"#).unwrap();
        assert_eq!(narrow.length(), Some((3, 9)));
    }

    #[test]
    fn documents_that_say_too_little_are_refused() {
        for wrong in [
            "",
            "{}",
            "1",
            r#"["eq","key","x"]"#,
            r#"["eq","$key"]"#,
            r#"["like","$key","x"]"#,
            r#"["content-length-range",1]"#,
            r#"["content-length-range",-1,5]"#,
            r#"["content-length-range",6,5]"#,
            r#"{"key":1}"#,
        ] {
            assert!(policy(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            r#"{"conditions":[{"a":"b"}]}"#,
            r#"{"expiration":"tomorrow","conditions":[{"a":"b"}]}"#,
            r#"{"EXPIRATION":"2030-01-01T00:00:00Z","conditions":[{"a":"b"}]}"#,
            r#"{"expiration":"2030-01-01T00:00:00Z","CONDITIONS":[{"a":"b"}]}"#,
        ] {
            let error = PostPolicy::parse(&STANDARD.encode(wrong)).unwrap_err();
            assert_eq!(*error.code(), S3ErrorCode::InvalidPolicyDocument, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = PostPolicy::parse(&text);
            let _ = policy(&text);
        }
    }
}
