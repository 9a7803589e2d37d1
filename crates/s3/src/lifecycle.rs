//! A bucket's lifecycle, as S3's documents say it: checked when it is put, told again as it was said.

use crate::about::valid_tags;
use crate::auth::{InBucket, Need};
use crate::errors::{argument, named, not_offered, of_drive, refused};
use crate::gateway::Gateway;
use crate::text::{http_time, percent, time};
use apps::drive::objects::{
    FilterForm, Lifecycle, LifecycleFilter, LifecycleRule as Rule, Object, OpenObject, Pair, RULES_MAX,
};
use hyper::StatusCode;
use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, ExpirationStatus,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, LifecycleExpiration, LifecycleRule,
    LifecycleRuleAndOperator, LifecycleRuleFilter, NoncurrentVersionExpiration, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, Tag, Timestamp, TimestampFormat,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use std::collections::BTreeSet;
use types::WallMillis;

/// Characters in a rule's id.
const ID_MAX: usize = 255;
const PREFIX_BYTES_MAX: usize = 1024;
/// Earlier versions that a rule may keep.
const KEPT_MAX: i32 = 100;
const DAY: u64 = 24 * 60 * 60 * 1000;

fn malformed(message: impl Into<String>) -> S3Error {
    refused(S3ErrorCode::MalformedXML, message)
}

fn invalid(message: impl Into<String>) -> S3Error {
    refused(S3ErrorCode::InvalidRequest, message)
}

/// A whole number of days, at least one.
fn days(asked: i32, what: &str) -> S3Result<u32> {
    u32::try_from(asked).ok().filter(|days| *days > 0).ok_or_else(|| argument(format!("{what} is 1 or more")))
}

fn millis(time: &Timestamp) -> S3Result<u64> {
    let wrong = || argument("this date is none");
    let mut text = Vec::new();
    time.format(TimestampFormat::EpochSeconds, &mut text).map_err(|_| wrong())?;
    let text = String::from_utf8(text).map_err(|_| wrong())?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if fraction.bytes().any(|digit| digit != b'0') {
        return Err(wrong());
    }
    seconds.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000)).ok_or_else(wrong)
}

fn pair(tag: Tag) -> Pair {
    Pair::new(tag.key.unwrap_or_default(), tag.value.unwrap_or_default())
}

fn size(asked: Option<i64>) -> S3Result<Option<u64>> {
    asked.map(|size| u64::try_from(size).map_err(|_| argument("a size is 0 or more"))).transpose()
}

/// The filter of a rule: one condition, several in `And`, or a prefix of the rule's own, as it once was.
fn filter(rule_prefix: Option<String>, filter: Option<LifecycleRuleFilter>) -> S3Result<LifecycleFilter> {
    let mut kept = LifecycleFilter::default();
    match (rule_prefix, filter) {
        (Some(_), Some(_)) => return Err(malformed("a rule has a Filter or a Prefix, not both")),
        (None, None) => return Err(malformed("a rule has a Filter")),
        (Some(prefix), None) => (kept.prefix, kept.form) = (Some(prefix), FilterForm::Rule as i32),
        (None, Some(filter)) => {
            let said = [
                filter.and.is_some(),
                filter.prefix.is_some(),
                filter.tag.is_some(),
                filter.object_size_greater_than.is_some(),
                filter.object_size_less_than.is_some(),
            ];
            if said.into_iter().filter(|said| *said).count() > 1 {
                return Err(malformed("a Filter has one condition; several stand in And"));
            }
            kept.form = if filter.and.is_some() { FilterForm::And } else { FilterForm::One } as i32;
            let and = filter.and.unwrap_or_default();
            kept.prefix = filter.prefix.or(and.prefix);
            kept.tags = filter.tag.into_iter().chain(and.tags.unwrap_or_default()).map(pair).collect();
            kept.larger = size(filter.object_size_greater_than.or(and.object_size_greater_than))?;
            kept.smaller = size(filter.object_size_less_than.or(and.object_size_less_than))?;
        }
    }
    if kept.prefix.as_ref().is_some_and(|prefix| prefix.len() > PREFIX_BYTES_MAX) {
        return Err(invalid("a prefix has at most 1024 bytes"));
    }
    if let (Some(larger), Some(smaller)) = (kept.larger, kept.smaller)
        && larger.checked_add(1).is_none_or(|least| least >= smaller)
    {
        return Err(invalid("no size is larger than the one and smaller than the other"));
    }
    kept.tags = valid_tags(kept.tags)?;
    Ok(kept)
}

fn rule(asked: LifecycleRule) -> S3Result<Rule> {
    if asked.transitions.is_some_and(|all| !all.is_empty())
        || asked.noncurrent_version_transitions.is_some_and(|all| !all.is_empty())
    {
        return Err(not_offered("a transition to another storage class"));
    }
    let id = asked.id.unwrap_or_default();
    if id.chars().count() > ID_MAX {
        return Err(argument("a rule's ID has at most 255 characters"));
    }
    let enabled = match asked.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("a rule's Status is Enabled or Disabled")),
    };
    let filter = filter(asked.prefix, asked.filter)?;
    let by_more = !filter.tags.is_empty() || filter.larger.is_some() || filter.smaller.is_some();
    let mut rule = Rule { id, enabled, ..Rule::default() };
    if let Some(expiration) = asked.expiration {
        let LifecycleExpiration { date, days: after, expired_object_delete_marker } = expiration;
        match (date, after, expired_object_delete_marker) {
            (None, Some(after), None) => rule.days = Some(days(after, "Days of an Expiration")?),
            (Some(date), None, None) => {
                let date = millis(&date)?;
                if !date.is_multiple_of(DAY) {
                    return Err(argument("the Date of an Expiration is a midnight of Greenwich"));
                }
                rule.date = Some(date);
            }
            (None, None, Some(lone)) => {
                if by_more {
                    return Err(invalid(
                        "markers have neither tags nor sizes: ExpiredObjectDeleteMarker goes with a prefix",
                    ));
                }
                rule.lone_markers = Some(lone);
            }
            _ => return Err(malformed("an Expiration has Days, a Date or ExpiredObjectDeleteMarker, one of them")),
        }
    }
    if let Some(earlier) = asked.noncurrent_version_expiration {
        let after = earlier.noncurrent_days.ok_or_else(|| malformed("earlier versions go after NoncurrentDays"))?;
        rule.noncurrent_days = Some(days(after, "NoncurrentDays")?);
        if let Some(kept) = earlier.newer_noncurrent_versions {
            if !(1..=KEPT_MAX).contains(&kept) {
                return Err(argument("NewerNoncurrentVersions is 1 to 100"));
            }
            rule.newer_kept = Some(kept.unsigned_abs());
        }
    }
    if let Some(abort) = asked.abort_incomplete_multipart_upload {
        if by_more {
            return Err(invalid(
                "uploads have neither tags nor sizes: AbortIncompleteMultipartUpload goes with a prefix",
            ));
        }
        let after = abort.days_after_initiation.ok_or_else(|| malformed("uploads are aborted DaysAfterInitiation"))?;
        rule.abort_days = Some(days(after, "DaysAfterInitiation")?);
    }
    let acts = rule.days.is_some()
        || rule.date.is_some()
        || rule.lone_markers.is_some()
        || rule.noncurrent_days.is_some()
        || rule.abort_days.is_some();
    if !acts {
        return Err(invalid("a rule has at least one action"));
    }
    rule.filter = Some(filter);
    Ok(rule)
}

fn rules(asked: Vec<LifecycleRule>) -> S3Result<Lifecycle> {
    if asked.is_empty() || asked.len() > RULES_MAX {
        return Err(malformed(format!("a lifecycle has 1 to {RULES_MAX} rules")));
    }
    let mut rules = asked.into_iter().map(rule).collect::<S3Result<Vec<_>>>()?;
    let mut ids = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.id.is_empty()) {
        if !ids.insert(rule.id.clone()) {
            return Err(argument("two rules have the same ID"));
        }
    }
    // Whoever says none gets one.
    let free = (1..).map(|number| format!("rule-{number}")).filter(|id| !ids.contains(id));
    for (rule, id) in rules.iter_mut().filter(|rule| rule.id.is_empty()).zip(free) {
        rule.id = id;
    }
    Ok(Lifecycle { rules })
}

/// A rule as it was said.
fn told(rule: Rule) -> LifecycleRule {
    let number = |days: u32| i32::try_from(days).ok();
    let status = if rule.enabled { ExpirationStatus::ENABLED } else { ExpirationStatus::DISABLED };
    let filter = rule.filter.unwrap_or_default();
    let form = filter.form();
    let mut tags = filter.tags.into_iter().map(|pair| Tag { key: Some(pair.name), value: Some(pair.value) });
    let size = |size: Option<u64>| size.and_then(|size| i64::try_from(size).ok());
    let (larger, smaller) = (size(filter.larger), size(filter.smaller));
    let mut out = LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort_days
            .map(|days| AbortIncompleteMultipartUpload { days_after_initiation: number(days) }),
        expiration: None,
        filter: None,
        id: Some(rule.id),
        noncurrent_version_expiration: rule.noncurrent_days.map(|days| NoncurrentVersionExpiration {
            newer_noncurrent_versions: rule.newer_kept.and_then(number),
            noncurrent_days: number(days),
        }),
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(status),
        transitions: None,
    };
    if rule.days.is_some() || rule.date.is_some() || rule.lone_markers.is_some() {
        out.expiration = Some(LifecycleExpiration {
            date: rule.date.map(|date| time(WallMillis(date))),
            days: rule.days.and_then(number),
            expired_object_delete_marker: rule.lone_markers,
        });
    }
    match form {
        FilterForm::Rule => out.prefix = filter.prefix,
        FilterForm::One => {
            out.filter = Some(LifecycleRuleFilter {
                and: None,
                object_size_greater_than: larger,
                object_size_less_than: smaller,
                prefix: filter.prefix,
                tag: tags.next(),
            });
        }
        FilterForm::And => {
            let tags: Vec<Tag> = tags.collect();
            let and = LifecycleRuleAndOperator {
                object_size_greater_than: larger,
                object_size_less_than: smaller,
                prefix: filter.prefix,
                tags: Some(tags).filter(|tags| !tags.is_empty()),
            };
            out.filter = Some(LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() });
        }
    }
    out
}

/// When an object goes and by which rule, as its header says it.
pub(crate) fn expiration(open: &OpenObject) -> Option<String> {
    shown(open.expiry()?)
}

/// The same of an object that has just come.
pub(crate) async fn expiration_of(at: &InBucket, put: &Object, tags: &[Pair]) -> Option<String> {
    match at.drives.expiry_lately(at.bucket.drive, put, tags).await {
        Ok(expiry) => expiry.and_then(shown),
        Err(error) => {
            tracing::debug!(%error, "it is not told when what was put goes");
            None
        }
    }
}

fn shown((at, rule): (WallMillis, String)) -> Option<String> {
    // As S3 does: a rule's id may be of any characters.
    Some(format!("expiry-date=\"{}\", rule-id=\"{}\"", http_time(at)?, percent(&rule)))
}

impl Gateway {
    pub(crate) async fn lifecycle(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let Some(kept) = at.drives.lifecycle(at.bucket.drive).await.map_err(of_drive)? else {
            let code = "NoSuchLifecycleConfiguration";
            return Err(named(code, StatusCode::NOT_FOUND, "this bucket has no lifecycle"));
        };
        let rules = Some(kept.rules.into_iter().map(told).collect());
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules,
            ..GetBucketLifecycleConfigurationOutput::default()
        }))
    }

    pub(crate) async fn put_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let asked = request.input.lifecycle_configuration.ok_or_else(|| malformed("say the rules"))?;
        let lifecycle = rules(asked.rules)?;
        at.drives.set_lifecycle(at.bucket.drive, Some(&lifecycle)).await.map_err(of_drive)?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
    }

    pub(crate) async fn delete_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        at.drives.set_lifecycle(at.bucket.drive, None).await.map_err(of_drive)?;
        Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> LifecycleRule {
        LifecycleRule {
            abort_incomplete_multipart_upload: None,
            expiration: Some(LifecycleExpiration { days: Some(3), ..LifecycleExpiration::default() }),
            filter: Some(LifecycleRuleFilter { prefix: Some("log/".into()), ..LifecycleRuleFilter::default() }),
            id: Some("logs".into()),
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            transitions: None,
        }
    }

    fn code(rules_asked: Vec<LifecycleRule>) -> String {
        rules(rules_asked).map_or_else(|error| error.code().as_str().to_string(), |_| String::new())
    }

    #[test]
    fn rules_are_told_as_they_were_said() {
        let tag = Tag { key: Some("a".into()), value: Some("b".into()) };
        let and = LifecycleRuleAndOperator {
            prefix: Some("x".into()),
            tags: Some(vec![tag.clone()]),
            object_size_greater_than: Some(5),
            object_size_less_than: None,
        };
        let filters = [
            (None, Some(LifecycleRuleFilter::default())),
            (None, Some(LifecycleRuleFilter { tag: Some(tag), ..LifecycleRuleFilter::default() })),
            (None, Some(LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() })),
            (None, Some(LifecycleRuleFilter { object_size_less_than: Some(9), ..LifecycleRuleFilter::default() })),
            (Some("old/".to_string()), None),
        ];
        for (prefix, filter) in filters {
            let said = LifecycleRule { prefix, filter, ..asked() };
            let kept = rules(vec![said.clone()]).unwrap().rules.remove(0);
            assert_eq!(told(kept), said);
        }
    }

    #[test]
    fn what_makes_no_rule_is_refused_by_its_name() {
        assert_eq!(code(vec![asked()]), "");
        assert_eq!(code(vec![]), "MalformedXML");
        assert_eq!(code(vec![asked(), asked()]), "InvalidArgument", "the same id");
        let named = |id: Option<&str>| LifecycleRule { id: id.map(str::to_string), ..asked() };
        let given = rules(vec![named(None), named(Some("rule-1")), named(Some(""))]).unwrap().rules;
        assert_eq!(given.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["rule-2", "rule-1", "rule-3"]);
        let with = |change: fn(&mut LifecycleRule)| {
            let mut rule = asked();
            change(&mut rule);
            code(vec![rule])
        };
        assert_eq!(with(|rule| rule.id = Some("x".repeat(256))), "InvalidArgument");
        assert_eq!(with(|rule| rule.status = ExpirationStatus::from_static("enabled")), "MalformedXML");
        assert_eq!(with(|rule| rule.expiration = None), "InvalidRequest");
        assert_eq!(with(|rule| rule.filter = None), "MalformedXML");
        assert_eq!(with(|rule| rule.prefix = Some("x".into())), "MalformedXML");
        assert_eq!(with(|rule| rule.expiration.as_mut().unwrap().days = Some(0)), "InvalidArgument");
        assert_eq!(
            with(|rule| rule.expiration.as_mut().unwrap().expired_object_delete_marker = Some(true)),
            "MalformedXML"
        );
        let date = |millis: u64| LifecycleExpiration {
            date: Some(time(WallMillis(millis))),
            ..LifecycleExpiration::default()
        };
        let dated = |millis: u64| code(vec![LifecycleRule { expiration: Some(date(millis)), ..asked() }]);
        assert_eq!(dated(20_000 * DAY), "");
        assert_eq!(dated(20_000 * DAY + 3_600_000), "InvalidArgument");
        assert_eq!(with(|rule| rule.transitions = Some(vec![Default::default()])), "NotImplemented");
        assert_eq!(
            with(|rule| rule.noncurrent_version_expiration =
                Some(NoncurrentVersionExpiration { newer_noncurrent_versions: Some(101), noncurrent_days: Some(1) })),
            "InvalidArgument"
        );
    }
}
