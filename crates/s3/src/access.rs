//! What a request asks for, by S3's names of actions: what bucket policies speak of.

use crate::gateway::Gateway;
use async_trait::async_trait;
use hyper::HeaderMap;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Such as `s3:GetObject`.
    pub action: &'static str,
    /// What it asks for besides, in the same call: each must be allowed.
    pub also: Vec<&'static str>,
    /// Empty: the bucket itself.
    pub key: String,
    /// The keys are named in the body: each is asked for by itself.
    pub each: bool,
}

/// Actions that a policy may name. Those of calls that are not offered are among them: there is nothing to allow or
/// deny, and policies come from elsewhere, too.
pub(crate) const ACTIONS: [&str; 54] = [
    "s3:AbortMultipartUpload",
    "s3:BypassGovernanceRetention",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectLegalHold",
    "s3:GetObjectRetention",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutBucketAcl",
    "s3:PutBucketCORS",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionTagging",
];

/// Does the action, in small letters, only look at objects? That is what who did not sign may be given.
pub(crate) fn is_reading(action: &str) -> bool {
    ["s3:getobject", "s3:listbucket", "s3:getbucketlocation"].iter().any(|begin| action.starts_with(begin))
}

/// The action of a call, which is often called the same. `version`: it names a version of an object.
fn action_of(call: &str, version: bool) -> &'static str {
    let named = match (call, version) {
        ("ListBuckets", _) => "s3:ListAllMyBuckets",
        ("ListObjects" | "ListObjectsV2" | "HeadBucket", _) => "s3:ListBucket",
        ("ListObjectVersions", _) => "s3:ListBucketVersions",
        ("ListMultipartUploads", _) => "s3:ListBucketMultipartUploads",
        ("ListParts", _) => "s3:ListMultipartUploadParts",
        ("GetObject" | "HeadObject", false) => "s3:GetObject",
        ("GetObject" | "HeadObject", true) => "s3:GetObjectVersion",
        ("GetObjectAttributes", true) => "s3:GetObjectVersionAttributes",
        ("GetObjectAcl", true) => "s3:GetObjectVersionAcl",
        ("GetObjectTagging", true) => "s3:GetObjectVersionTagging",
        ("PutObjectTagging", true) => "s3:PutObjectVersionTagging",
        ("DeleteObjectTagging", true) => "s3:DeleteObjectVersionTagging",
        ("DeleteObject", true) => "s3:DeleteObjectVersion",
        ("DeleteObject" | "DeleteObjects", _) => "s3:DeleteObject",
        ("GetBucketCors", _) => "s3:GetBucketCORS",
        ("PutBucketCors" | "DeleteBucketCors", _) => "s3:PutBucketCORS",
        ("GetBucketLifecycleConfiguration", _) => "s3:GetLifecycleConfiguration",
        ("PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle", _) => "s3:PutLifecycleConfiguration",
        ("GetObjectLockConfiguration", _) => "s3:GetBucketObjectLockConfiguration",
        ("PutObjectLockConfiguration", _) => "s3:PutBucketObjectLockConfiguration",
        ("GetPublicAccessBlock", _) => "s3:GetBucketPublicAccessBlock",
        ("PutPublicAccessBlock" | "DeletePublicAccessBlock", _) => "s3:PutBucketPublicAccessBlock",
        ("DeleteBucketOwnershipControls", _) => "s3:PutBucketOwnershipControls",
        _ => "",
    };
    if !named.is_empty() {
        return named;
    }
    let same = ACTIONS.into_iter().find(|action| action.strip_prefix("s3:") == Some(call));
    // Copies and uploads in parts are puts, and whatever else there may be needs no less.
    same.unwrap_or("s3:PutObject")
}

/// What a call asks for beside its own action.
fn also_asked(call: &str, version: bool, headers: &HeaderMap) -> Vec<&'static str> {
    match call {
        "GetObjectAttributes" if version => vec!["s3:GetObjectVersion"],
        "GetObjectAttributes" => vec!["s3:GetObject"],
        "PutObject" | "CopyObject" | "CreateMultipartUpload" => {
            let said = [
                ("x-amz-tagging", "s3:PutObjectTagging"),
                ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
                ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
            ];
            said.into_iter().filter(|(header, _)| headers.contains_key(*header)).map(|(_, action)| action).collect()
        }
        _ => Vec::new(),
    }
}

#[async_trait]
impl S3Access for Gateway {
    /// Nobody is refused here for who they are: the bucket's policy may let in who did not sign.
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let query = request.uri().query().unwrap_or_default();
        let version = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "versionId");
        let call = request.s3_op().name();
        crate::query::check(call, query)?;
        let (action, each) = (action_of(call, version), call == "DeleteObjects");
        let key = request.s3_path().get_object_key().unwrap_or_default().to_string();
        let also = also_asked(call, version, request.headers());
        request.extensions_mut().insert(Asked { action, also, key, each });
        Ok(())
    }
}

#[cfg(test)]
#[test]
fn calls_have_the_actions_that_policies_name() {
    for (call, action) in [
        ("PutObject", "s3:PutObject"),
        ("CompleteMultipartUpload", "s3:PutObject"),
        ("CopyObject", "s3:PutObject"),
        ("GetBucketPolicyStatus", "s3:GetBucketPolicyStatus"),
        ("GetObjectTagging", "s3:GetObjectTagging"),
        ("PutBucketVersioning", "s3:PutBucketVersioning"),
        ("HeadBucket", "s3:ListBucket"),
    ] {
        assert_eq!(action_of(call, false), action, "{call}");
    }
    assert_eq!(action_of("HeadObject", true), "s3:GetObjectVersion");
    assert_eq!(action_of("GetObjectAcl", true), "s3:GetObjectVersionAcl");
    let mut headers = HeaderMap::new();
    assert_eq!(also_asked("GetObjectAttributes", true, &headers), ["s3:GetObjectVersion"]);
    assert!(also_asked("CopyObject", false, &headers).is_empty());
    headers.insert("x-amz-tagging", hyper::header::HeaderValue::from_static("a=b"));
    for call in ["PutObject", "CopyObject", "CreateMultipartUpload"] {
        assert_eq!(also_asked(call, false, &headers), ["s3:PutObjectTagging"]);
    }
    assert!(is_reading("s3:getobjecttagging") && !is_reading("s3:getbucketpolicy") && !is_reading("s3:putobject"));
}
