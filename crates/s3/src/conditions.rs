//! Conditions of reads, in the order that RFC 9110, section 13.2.2, gives them.

use crate::errors::refused;
use crate::text::{etag, seconds};
use apps::drive::objects::{Object, ObjectCondition};
use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderValue};
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3ErrorCode, S3Result};

/// Of a read.
#[derive(Default)]
pub(crate) struct Conditions {
    pub is: Option<ETagCondition>,
    pub is_not: Option<ETagCondition>,
    pub since: Option<Timestamp>,
    pub not_since: Option<Timestamp>,
}

impl Conditions {
    /// Does the object meet them?
    pub(crate) fn check(&self, object: &Object) -> S3Result<()> {
        let failed = || refused(S3ErrorCode::PreconditionFailed, "the object is not as the condition says");
        match &self.is {
            Some(condition) if !matches(condition, object) => return Err(failed()),
            None if self.not_since.as_ref().is_some_and(|at| seconds(object.modified()) > of(at)) => {
                return Err(failed());
            }
            _ => {}
        }
        let unchanged = match &self.is_not {
            Some(condition) => matches(condition, object),
            None => self.since.as_ref().is_some_and(|at| seconds(object.modified()) <= of(at)),
        };
        if !unchanged {
            return Ok(());
        }
        let mut error = refused(S3ErrorCode::NotModified, "the object is as it was");
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", object.etag())) {
            headers.insert(ETAG, value);
        }
        error.set_headers(headers);
        Err(error)
    }

    /// Of the source of a copy, where nothing but a failed precondition is known.
    pub(crate) fn check_source(&self, object: &Object) -> S3Result<()> {
        self.check(object).map_err(|error| match error.code() {
            S3ErrorCode::NotModified => refused(S3ErrorCode::PreconditionFailed, "the source is as it was"),
            _ => error,
        })
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.weak_cmp(&etag(object.etag())),
    }
}

/// Seconds since 1970.
pub(crate) fn of(time: &Timestamp) -> i64 {
    let mut text = Vec::new();
    let told = time.format(TimestampFormat::EpochSeconds, &mut text).ok();
    let text = told.and_then(|()| String::from_utf8(text).ok()).unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// Of a write.
pub(crate) fn of_write(is: Option<&ETagCondition>, is_not: Option<&ETagCondition>) -> S3Result<ObjectCondition> {
    match (is, is_not) {
        (None, None) => Ok(ObjectCondition::Any),
        (Some(ETagCondition::ETag(tag)), None) => Ok(ObjectCondition::Is(tag.value().to_string())),
        (Some(ETagCondition::Any), None) => Ok(ObjectCondition::Present),
        (None, Some(ETagCondition::Any)) => Ok(ObjectCondition::Absent),
        _ => Err(crate::errors::not_offered("a write under any condition but If-Match or If-None-Match: *")),
    }
}
