"""Object lock, call by call, through three nodes in turn: what is locked stays, whoever tries. Run by s3.rs."""

import datetime
import json
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINTS = os.environ["ENDPOINTS"].split(",")
BUCKET = "locked"
UTC = datetime.timezone.utc
FAR = datetime.datetime(2090, 1, 1, tzinfo=UTC)


def client(node, key=None, secret=None):
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 5})
    return boto3.client("s3", endpoint_url=ENDPOINTS[node], config=config, aws_access_key_id=key, aws_secret_access_key=secret)


A, B, C = client(0), client(1), client(2)
OTHER = client(1, os.environ["OTHER_ID"], os.environ["OTHER_SECRET"])


def refused(call, **words):
    """What the call must be refused with: code and status."""
    try:
        call(**words)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"{words} was not refused")


def configuration(mode="GOVERNANCE", enabled="Enabled", **period):
    return {"ObjectLockEnabled": enabled, "Rule": {"DefaultRetention": {"Mode": mode, **period}}}


def put(key, node=A, **words):
    return node.put_object(Bucket=BUCKET, Key=key, Body=b"kept", **words)["VersionId"]


def delete(key, version, node=B, **words):
    return node.delete_object(Bucket=BUCKET, Key=key, VersionId=version, **words)


def soon(seconds=3):
    return datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)


def buckets_without():
    A.create_bucket(Bucket="open")
    assert refused(B.get_object_lock_configuration, Bucket="open") == ("ObjectLockConfigurationNotFoundError", 404)
    days = configuration(Days=1)
    assert refused(B.put_object_lock_configuration, Bucket="open", ObjectLockConfiguration=days) == ("InvalidBucketState", 409)
    A.put_object(Bucket="open", Key="a", Body=b"x")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    for call, words in [
        (B.put_object_retention, {"Retention": retention}),
        (B.get_object_retention, {}),
        (B.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
        (B.get_object_legal_hold, {}),
    ]:
        assert refused(call, Bucket="open", Key="a", **words) == ("InvalidRequest", 400), words
    said = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}
    assert refused(A.put_object, Bucket="open", Key="b", Body=b"x", **said) == ("InvalidRequest", 400)
    assert refused(A.copy_object, Bucket="open", Key="b", CopySource="open/a", **said) == ("InvalidRequest", 400)
    # It may come later, where versions are kept.
    A.put_bucket_versioning(Bucket="open", VersioningConfiguration={"Status": "Enabled"})
    B.put_object_lock_configuration(Bucket="open", ObjectLockConfiguration=days)
    assert C.get_object_lock_configuration(Bucket="open")["ObjectLockConfiguration"] == days
    own = A.list_buckets()["Buckets"][0]["Name"]
    assert own == "demo"
    A.put_bucket_versioning(Bucket=own, VersioningConfiguration={"Status": "Enabled"})
    assert refused(A.put_object_lock_configuration, Bucket=own, ObjectLockConfiguration=days) == ("InvalidBucketState", 409)


def configurations():
    A.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    assert C.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert C.get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    assert refused(B.create_bucket, Bucket=BUCKET, ObjectLockEnabledForBucket=True) == ("BucketAlreadyOwnedByYou", 409)
    assert refused(A.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}) == (
        "InvalidBucketState", 409)
    for wrong, code in [
        (configuration(Days=0), "InvalidRetentionPeriod"),
        (configuration(Years=-1), "InvalidRetentionPeriod"),
        (configuration(Days=1, Years=1), "MalformedXML"),
        (configuration(), "MalformedXML"),
        (configuration("abc", Days=1), "MalformedXML"),
        (configuration(enabled="Disabled", Days=1), "MalformedXML"),
    ]:
        words = {"Bucket": BUCKET, "ObjectLockConfiguration": wrong}
        assert refused(A.put_object_lock_configuration, **words) == (code, 400), wrong


def retentions():
    version = put("a")
    at = {"Bucket": BUCKET, "Key": "a"}
    assert refused(C.get_object_retention, **at) == ("NoSuchObjectLockConfiguration", 404)
    for mode, until, code in [("governance", FAR, "MalformedXML"), ("GOVERNANCE", datetime.datetime(2020, 1, 1), "InvalidArgument"),
            ("COMPLIANCE", datetime.datetime(2240, 1, 1), "InvalidArgument")]:
        wrong = {"Mode": mode, "RetainUntilDate": until}
        assert refused(A.put_object_retention, **at, Retention=wrong) == (code, 400), mode
    far = {"Mode": "GOVERNANCE", "RetainUntilDate": FAR}
    A.put_object_retention(**at, Retention=far)
    assert C.get_object_retention(**at, VersionId=version)["Retention"] == far
    head = B.head_object(**at)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", FAR)
    assert refused(B.delete_object, **at, VersionId=version) == ("AccessDenied", 403)
    # A delete that names no version hides it, and that is all.
    marker = B.delete_object(**at)["VersionId"]
    assert C.get_object(**at, VersionId=version)["Body"].read() == b"kept"
    assert refused(A.put_object_retention, **at, VersionId=marker, Retention=far) == ("MethodNotAllowed", 405)
    delete("a", marker)
    # Shorter, or otherwise, only for who may pass over it.
    day = {"Mode": "GOVERNANCE", "RetainUntilDate": soon(86400).replace(microsecond=0)}
    assert refused(A.put_object_retention, **at, Retention=day) == ("AccessDenied", 403)
    assert refused(A.put_object_retention, **at, Retention={**far, "Mode": "COMPLIANCE"}) == ("AccessDenied", 403)
    A.put_object_retention(**at, Retention=day, BypassGovernanceRetention=True)
    assert C.get_object_retention(**at)["Retention"] == day
    answer = B.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a", "VersionId": version}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied" and "Deleted" not in answer
    answer = B.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": "a", "VersionId": version}]}, BypassGovernanceRetention=True)
    assert answer["Deleted"][0]["VersionId"] == version
    # Of compliance nobody gets rid before its time, and it can be longer.
    end = soon(15)
    version = put("b", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=end)
    at = {"Bucket": BUCKET, "Key": "b", "VersionId": version}
    for other in ({"Mode": "GOVERNANCE", "RetainUntilDate": FAR}, {"Mode": "COMPLIANCE", "RetainUntilDate": soon(8)}):
        words = {"Retention": other, "BypassGovernanceRetention": True}
        assert refused(A.put_object_retention, **at, **words) == ("AccessDenied", 403)
    assert refused(B.delete_object, **at, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    time.sleep(max(0, (end - datetime.datetime.now(UTC)).total_seconds()) + 1)
    B.delete_object(**at)
    assert refused(A.head_object, **at)[1] == 404


def holds():
    version = put("h", ObjectLockLegalHoldStatus="ON")
    at = {"Bucket": BUCKET, "Key": "h"}
    assert C.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    assert C.head_object(**at)["ObjectLockLegalHoldStatus"] == "ON"
    assert refused(B.delete_object, **at, VersionId=version, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    assert refused(A.put_object_legal_hold, **at, LegalHold={"Status": "abc"}) == ("MalformedXML", 400)
    A.put_object_legal_hold(**at, LegalHold={"Status": "OFF"}, VersionId=version)
    assert C.get_object_legal_hold(**at)["LegalHold"] == {"Status": "OFF"}
    # A copy is locked by what is said of it, not by its source's lock.
    A.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    copy = A.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/h")["VersionId"]
    delete("copy", copy)
    A.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    delete("h", version)
    assert refused(A.put_object, Bucket=BUCKET, Key="h", Body=b"", ObjectLockLegalHoldStatus="abc") == ("InvalidArgument", 400)
    assert refused(A.put_object, Bucket=BUCKET, Key="f/", Body=b"", ObjectLockLegalHoldStatus="ON") == ("InvalidRequest", 400)
    assert refused(A.put_object, Bucket=BUCKET, Key="h", Body=b"", ObjectLockMode="COMPLIANCE") == ("InvalidArgument", 400)


def defaults_and_parts():
    B.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=configuration(Days=2))
    about = datetime.datetime.now(UTC) + datetime.timedelta(days=2)
    begun = A.create_multipart_upload(Bucket=BUCKET, Key="p", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=FAR)
    part = A.upload_part(Bucket=BUCKET, Key="p", UploadId=begun["UploadId"], PartNumber=1, Body=b"kept")
    done = B.complete_multipart_upload(Bucket=BUCKET, Key="p", UploadId=begun["UploadId"], MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert C.head_object(Bucket=BUCKET, Key="p")["ObjectLockRetainUntilDate"] == FAR
    plain = put("q", node=C)
    head = C.head_object(Bucket=BUCKET, Key="q")
    assert abs((head["ObjectLockRetainUntilDate"] - about).total_seconds()) < 60
    for key, version in (("p", done["VersionId"]), ("q", plain)):
        assert refused(delete, key=key, version=version) == ("AccessDenied", 403)
    # Who may delete by the policy may not pass over a lock by that.
    name = os.environ["OTHER_NAME"]
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam:::user/{name}"},
        "Action": "s3:DeleteObject*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}]}
    A.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    words = {"key": "q", "version": plain, "node": OTHER, "BypassGovernanceRetention": True}
    assert refused(delete, **words) == ("AccessDenied", 403)
    policy["Statement"][0]["Action"] = ["s3:DeleteObject*", "s3:BypassGovernanceRetention"]
    A.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    delete(**words)
    assert refused(A.delete_bucket, Bucket=BUCKET) == ("BucketNotEmpty", 409)
    delete("p", done["VersionId"], BypassGovernanceRetention=True)
    put("for/people.txt")


buckets_without()
configurations()
retentions()
holds()
defaults_and_parts()
print("object lock keeps what it says")
