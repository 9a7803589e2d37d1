//! What a request's query may say, call by call. The library passes over names that it does not know, and what is left is the
//! plain call: `DELETE /bucket/key?annotation` would delete the object, `PUT /bucket/key?renameObject` empty it.

use crate::errors::not_offered;
use s3s::S3Result;

/// What S3 calls parts of buckets and objects. Where one is named, nothing but it is meant.
const PARTS: [&str; 41] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// The names that make the call what it is, and those that it obeys.
fn names(call: &str) -> &'static [&'static str] {
    match call {
        "UploadPart" | "UploadPartCopy" => &["partNumber", "uploadId"],
        "CompleteMultipartUpload" | "AbortMultipartUpload" => &["uploadId"],
        "CreateMultipartUpload" | "ListMultipartUploads" => &["uploads"],
        "DeleteObject" => &["versionId"],
        "DeleteObjects" => &["delete"],
        "GetBucketTagging" | "PutBucketTagging" | "DeleteBucketTagging" => &["tagging"],
        "GetObjectTagging" | "PutObjectTagging" | "DeleteObjectTagging" => &["tagging", "versionId"],
        "GetBucketAcl" | "PutBucketAcl" => &["acl"],
        "GetObjectAcl" | "PutObjectAcl" => &["acl", "versionId"],
        "GetObjectRetention" | "PutObjectRetention" => &["retention", "versionId"],
        "GetObjectLegalHold" | "PutObjectLegalHold" => &["legal-hold", "versionId"],
        "GetObjectAttributes" => &["attributes", "versionId"],
        "GetObjectLockConfiguration" | "PutObjectLockConfiguration" => &["object-lock"],
        "GetBucketPolicy" | "PutBucketPolicy" | "DeleteBucketPolicy" => &["policy"],
        "GetBucketPolicyStatus" => &["policyStatus"],
        "GetBucketCors" | "PutBucketCors" | "DeleteBucketCors" => &["cors"],
        "GetPublicAccessBlock" | "PutPublicAccessBlock" | "DeletePublicAccessBlock" => &["publicAccessBlock"],
        "GetBucketLifecycleConfiguration" | "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => {
            &["lifecycle"]
        }
        "GetBucketVersioning" | "PutBucketVersioning" => &["versioning"],
        "ListObjectVersions" => &["versions"],
        "GetBucketOwnershipControls" | "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => {
            &["ownershipControls"]
        }
        "GetBucketLocation" => &["location"],
        "GetBucketLogging" => &["logging"],
        "GetBucketNotificationConfiguration" => &["notification"],
        "GetBucketAccelerateConfiguration" => &["accelerate"],
        "GetBucketRequestPayment" => &["requestPayment"],
        "GetBucketWebsite" => &["website"],
        "GetBucketEncryption" => &["encryption"],
        "GetBucketReplication" => &["replication"],
        // Plain ones, and those that are not offered.
        _ => &[],
    }
}

fn reads(call: &str) -> bool {
    ["Get", "Head", "List"].iter().any(|begin| call.starts_with(begin))
}

/// A call that changes something says nothing that is not obeyed; one that reads names no part that it does not tell. Names
/// that begin with `x-` are for nobody, as S3 has it, or were looked at before (`X-Amz-…`).
pub(crate) fn check(call: &str, query: &str) -> S3Result<()> {
    let known = names(call);
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        let own = name.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case("x-"));
        if own || name.is_empty() || known.contains(&&*name) || (reads(call) && !PARTS.contains(&&*name)) {
            continue;
        }
        let shown: String = name.chars().take(64).collect();
        return Err(not_offered(&format!("{shown:?}, which the query names,")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(call: &str, query: &str) -> bool {
        check(call, query).is_ok()
    }

    #[test]
    fn no_other_call_is_taken_for_a_plain_one() {
        for plain in
            ["PutObject", "CopyObject", "DeleteObject", "CreateBucket", "DeleteBucket", "GetObject", "ListObjects"]
        {
            assert!(
                taken(plain, "") && taken(plain, "x-id=Name") && taken(plain, "X-Amz-Expires=60&x-log="),
                "{plain}"
            );
            for part in PARTS {
                assert!(!taken(plain, part) && !taken(plain, &format!("versionId=1&{part}=")), "{plain} {part}");
            }
        }
        assert!(
            !taken("PutObject", "annot%61tion") && !taken("PutObject", "newer") && !taken("PutObject", "versionId=1")
        );
        assert!(!taken("PutObject", "partNumber=1") && !taken("PutObject", "uploadId=1"), "half of a part");
        assert!(!taken("PutObjectTagging", "tagging&acl") && !taken("DeleteBucketCors", "cors&website"));
        assert!(!taken("PutBucketWebsite", "website"));
        assert!(
            taken("DeleteObject", "versionId=null") && taken("UploadPart", "partNumber=1&uploadId=a&x-id=UploadPart")
        );
    }

    #[test]
    fn reads_go_past_what_means_nothing() {
        assert!(taken("GetObject", "2026") && taken("GetObject", "v=2&versionId=a&partNumber=1&response-expires=x"));
        assert!(taken("ListObjectsV2", "list-type=2&prefix=a&delimiter=%2F&fetch-owner=true"));
        assert!(taken("ListMultipartUploads", "uploads&prefix=a") && taken("ListParts", "uploadId=a&max-parts=3"));
        assert!(!taken("GetObject", "torrent") && !taken("ListObjects", "abac") && !taken("ListObjects", "session"));
    }
}
