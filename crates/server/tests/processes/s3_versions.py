"""Versions of objects and buckets' lifecycles, call by call, through three nodes in turn. Run by s3.rs."""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINTS = os.environ["ENDPOINTS"].split(",")
BUCKET = "versions"


def client(node):
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 5})
    return boto3.client("s3", endpoint_url=ENDPOINTS[node], config=config)


A, B, C = client(0), client(1), client(2)


def error(call, **words):
    """What the call must be refused with: code, status and headers."""
    try:
        call(**words)
    except ClientError as error:
        answer = error.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["ResponseMetadata"]["HTTPHeaders"]
    raise AssertionError(f"{words} was not refused")


def refused(call, **words):
    return error(call, **words)[:2]


def listed(node=B, **words):
    page = node.list_object_versions(Bucket=BUCKET, **words)
    versions = [(it["Key"], it["VersionId"], it["IsLatest"]) for it in page.get("Versions", [])]
    markers = [(it["Key"], it["VersionId"], it["IsLatest"]) for it in page.get("DeleteMarkers", [])]
    return versions, markers


def put(key, text, node=A):
    return node.put_object(Bucket=BUCKET, Key=key, Body=text).get("VersionId")


def get(key, version=None, node=C):
    words = {"VersionId": version} if version else {}
    return node.get_object(Bucket=BUCKET, Key=key, **words)["Body"].read().decode()


def status(value):
    A.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": value})
    assert C.get_bucket_versioning(Bucket=BUCKET)["Status"] == value


def turning_on():
    A.create_bucket(Bucket=BUCKET)
    assert "Status" not in B.get_bucket_versioning(Bucket=BUCKET)
    assert put("plain", "before") is None
    assert "VersionId" not in A.head_object(Bucket=BUCKET, Key="plain")
    assert listed() == ([("plain", "null", True)], [])
    assert refused(A.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={}) == (
        "IllegalVersioningConfigurationException", 400)
    assert refused(A.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "enabled"}) == (
        "MalformedXML", 400)
    assert refused(A.put_bucket_versioning, Bucket=BUCKET, MFA="a 1",
                   VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}) == ("NotImplemented", 501)
    status("Enabled")
    # Another node knew that it was off.
    assert put("other", "x", node=B) not in (None, "null")
    assert A.head_object(Bucket=BUCKET, Key="plain")["VersionId"] == "null"
    A.delete_object(Bucket=BUCKET, Key="other")


def puts_and_reads():
    first, second, third = (put("deep/er/key", text, node) for text, node in (("1", A), ("22", B), ("333", C)))
    assert len({first, second, third}) == 3
    assert [get("deep/er/key", it) for it in (first, second, third, None)] == ["1", "22", "333", "333"]
    head = B.head_object(Bucket=BUCKET, Key="deep/er/key", VersionId=second)
    assert (head["ContentLength"], head["VersionId"]) == (2, second)
    part = A.get_object(Bucket=BUCKET, Key="deep/er/key", VersionId=third, Range="bytes=1-1")
    assert part["Body"].read() == b"3" and part["VersionId"] == third
    told = A.get_object_attributes(Bucket=BUCKET, Key="deep/er/key", VersionId=second, ObjectAttributes=["ObjectSize"])
    assert (told["ObjectSize"], told["VersionId"]) == (2, second)
    versions, markers = listed(Prefix="deep/")
    assert versions == [("deep/er/key", third, True), ("deep/er/key", second, False), ("deep/er/key", first, False)]
    assert markers == []
    # Tags are each version's own.
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert A.put_object_tagging(Bucket=BUCKET, Key="deep/er/key", VersionId=first, Tagging=tags)["VersionId"] == first
    assert B.get_object_tagging(Bucket=BUCKET, Key="deep/er/key", VersionId=first)["TagSet"] == tags["TagSet"]
    assert B.get_object_tagging(Bucket=BUCKET, Key="deep/er/key")["TagSet"] == []
    assert A.delete_object_tagging(Bucket=BUCKET, Key="deep/er/key", VersionId=first)["VersionId"] == first
    assert B.get_object_tagging(Bucket=BUCKET, Key="deep/er/key", VersionId=first)["TagSet"] == []
    # What was there before has no name.
    named = put("plain", "after")
    assert get("plain", "null") == "before" and get("plain", named) == "after"
    assert refused(A.get_object, Bucket=BUCKET, Key="plain", VersionId=first) == ("NoSuchVersion", 404)
    assert refused(A.get_object, Bucket=BUCKET, Key="plain", VersionId="nonsense") == ("InvalidArgument", 400)
    assert refused(A.head_object, Bucket=BUCKET, Key="none", VersionId=first)[1] == 404
    # The same bytes again are another version.
    same = put("plain", "after")
    assert same != named and len(listed(Prefix="plain")[0]) == 3


def deletes():
    ids = [put("gone/file.txt", text) for text in "12"]
    answer = B.delete_object(Bucket=BUCKET, Key="gone/file.txt")
    marker = answer["VersionId"]
    assert answer["DeleteMarker"] is True
    code, http, headers = error(C.get_object, Bucket=BUCKET, Key="gone/file.txt")
    assert (code, http) == ("NoSuchKey", 404)
    assert headers["x-amz-delete-marker"] == "true" and headers["x-amz-version-id"] == marker
    code, http, headers = error(A.get_object, Bucket=BUCKET, Key="gone/file.txt", VersionId=marker)
    assert (code, http) == ("MethodNotAllowed", 405)
    assert headers["x-amz-delete-marker"] == "true" and headers["allow"] == "DELETE" and "last-modified" in headers
    assert error(A.head_object, Bucket=BUCKET, Key="gone/file.txt", VersionId=marker)[1] == 405
    assert get("gone/file.txt", ids[0]) == "1"
    assert "gone/file.txt" not in [it["Key"] for it in A.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert listed(Prefix="gone/") == (
        [("gone/file.txt", ids[1], False), ("gone/file.txt", ids[0], False)], [("gone/file.txt", marker, True)])
    # Another delete, another marker; of what never was, too.
    again = A.delete_object(Bucket=BUCKET, Key="gone/file.txt")["VersionId"]
    assert [it[1] for it in listed(Prefix="gone/")[1]] == [again, marker]
    never = A.delete_object(Bucket=BUCKET, Key="never/was")["VersionId"]
    assert listed(Prefix="never")[1] == [("never/was", never, True)]
    # Without the markers it is there again.
    answer = C.delete_object(Bucket=BUCKET, Key="gone/file.txt", VersionId=again)
    assert answer["DeleteMarker"] is True and answer["VersionId"] == again
    assert refused(A.get_object, Bucket=BUCKET, Key="gone/file.txt") == ("NoSuchKey", 404)
    C.delete_object(Bucket=BUCKET, Key="gone/file.txt", VersionId=marker)
    assert get("gone/file.txt") == "2"
    # The latest goes: the one before it is the latest.
    answer = A.delete_object(Bucket=BUCKET, Key="gone/file.txt", VersionId=ids[1])
    assert "DeleteMarker" not in answer and answer["VersionId"] == ids[1]
    assert get("gone/file.txt") == "1"
    A.delete_object(Bucket=BUCKET, Key="gone/file.txt", VersionId=ids[0])
    assert listed(Prefix="gone/") == ([], [])
    # What is not there is deleted.
    assert A.delete_object(Bucket=BUCKET, Key="gone/file.txt", VersionId=ids[0])["VersionId"] == ids[0]


def deletes_of_many():
    ids = [put("many", text) for text in "123"]
    answer = A.delete_objects(Bucket=BUCKET, Delete={"Objects": [
        {"Key": "many"}, {"Key": "many", "VersionId": ids[0]}, {"Key": "nothing here"}]})
    assert "Errors" not in answer
    marker = answer["Deleted"][0]
    assert marker["DeleteMarker"] is True and "VersionId" not in marker
    assert answer["Deleted"][1] == {"Key": "many", "VersionId": ids[0]}
    answer = B.delete_objects(Bucket=BUCKET, Delete={"Objects": [
        {"Key": "many", "VersionId": marker["DeleteMarkerVersionId"]}, {"Key": "many", "VersionId": "nonsense"}]})
    assert answer["Deleted"][0]["DeleteMarker"] is True
    assert answer["Deleted"][0]["DeleteMarkerVersionId"] == marker["DeleteMarkerVersionId"]
    assert [it["Code"] for it in answer["Errors"]] == ["InvalidArgument"]
    assert get("many") == "3"


def copies_and_parts():
    first, second = put("source", "one"), put("source", "three")
    copied = A.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "source", "VersionId": first})
    assert copied["CopySourceVersionId"] == first and copied["VersionId"] not in (first, second)
    assert get("copy") == "one"
    # An earlier version becomes the latest by a copy on itself.
    A.copy_object(Bucket=BUCKET, Key="source", CopySource={"Bucket": BUCKET, "Key": "source", "VersionId": first})
    assert get("source") == "one" and len(listed(Prefix="source")[0]) == 3
    marker = A.delete_object(Bucket=BUCKET, Key="source")["VersionId"]
    source = {"Bucket": BUCKET, "Key": "source"}
    assert refused(A.copy_object, Bucket=BUCKET, Key="x", CopySource=source) == ("NoSuchKey", 404)
    source["VersionId"] = marker
    assert refused(A.copy_object, Bucket=BUCKET, Key="x", CopySource=source) == ("InvalidRequest", 400)
    upload = A.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    part = B.upload_part_copy(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1,
                              CopySource={"Bucket": BUCKET, "Key": "source", "VersionId": second})
    assert part["CopySourceVersionId"] == second
    done = C.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]})
    assert get("parts", done["VersionId"]) == "three"


def conditions():
    put("conditional", "1")
    assert refused(A.put_object, Bucket=BUCKET, Key="conditional", Body="2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    A.delete_object(Bucket=BUCKET, Key="conditional")
    # A deleted object is none.
    assert A.put_object(Bucket=BUCKET, Key="conditional", Body="2", IfNoneMatch="*")["VersionId"]
    assert len(listed(Prefix="conditional")[0]) == 2 and len(listed(Prefix="conditional")[1]) == 1


def suspended():
    kept = put("s", "kept")
    status("Suspended")
    assert put("s", "null 1", node=B) == "null"
    assert put("s", "null 2", node=C) == "null"
    assert listed(Prefix="s") [0][:2] == [("s", "null", True), ("s", kept, False)]
    answer = A.delete_object(Bucket=BUCKET, Key="s")
    assert answer["DeleteMarker"] is True and answer["VersionId"] == "null"
    assert refused(A.get_object, Bucket=BUCKET, Key="s", VersionId="null") == ("MethodNotAllowed", 405)
    assert get("s", kept) == "kept"
    assert A.delete_object(Bucket=BUCKET, Key="s", VersionId="null")["DeleteMarker"] is True
    assert get("s") == "kept"
    status("Enabled")


def listings():
    ids = {key: [put(key, str(n)) for n in range(3)][::-1] for key in ("l/a", "l/b/c", "l/b/d", "l/é x")}
    marker = A.delete_object(Bucket=BUCKET, Key="l/b/c")["VersionId"]
    ids["l/b/c"].insert(0, marker)
    wanted = [(key, version) for key in ids for version in ids[key]]
    for size in (1, 2, 3, 5, 13, 1000):
        found, words = [], {}
        while True:
            page = B.list_object_versions(Bucket=BUCKET, Prefix="l/", MaxKeys=size, **words)
            both = [(it["Key"], it["VersionId"]) for it in page.get("Versions", []) + page.get("DeleteMarkers", [])]
            assert len(both) <= size
            found += sorted(both, key=wanted.index)
            if not page["IsTruncated"]:
                break
            words = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
        assert found == wanted, (size, found)
    page = C.list_object_versions(Bucket=BUCKET, Prefix="l/", Delimiter="/")
    assert [it["Prefix"] for it in page["CommonPrefixes"]] == ["l/b/"]
    assert {it["Key"] for it in page["Versions"]} == {"l/a", "l/é x"}
    page = C.list_object_versions(Bucket=BUCKET, Prefix="l/", KeyMarker="l/b/c", VersionIdMarker=ids["l/b/c"][1])
    assert [it["VersionId"] for it in page["Versions"]] == ids["l/b/c"][2:] + ids["l/b/d"] + ids["l/é x"]
    page = C.list_object_versions(Bucket=BUCKET, Prefix="l/", KeyMarker="l/b/c")
    assert [it["VersionId"] for it in page["Versions"]] == ids["l/b/d"] + ids["l/é x"]
    assert refused(A.list_object_versions, Bucket=BUCKET, VersionIdMarker=marker) == ("InvalidArgument", 400)


def many_at_once():
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        ids = list(pool.map(lambda n: put("race", str(n), (A, B, C)[n % 3]), range(60)))
    assert len(set(ids)) == 60
    assert {it[1] for it in listed(Prefix="race")[0]} == set(ids)
    assert {get("race", it) for it in ids} == {str(n) for n in range(60)}


def lifecycle():
    assert refused(A.get_bucket_lifecycle_configuration, Bucket=BUCKET) == ("NoSuchLifecycleConfiguration", 404)
    tag = {"Key": "a", "Value": "b"}
    rules = [
        {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "log/"}, "Expiration": {"Days": 3}},
        {"ID": "by date", "Status": "Disabled", "Filter": {"Tag": tag}, "Expiration": {"Date": "2030-01-01T00:00:00Z"}},
        {"ID": "several", "Status": "Enabled", "Expiration": {"Days": 400},
         "Filter": {"And": {"Prefix": "x", "Tags": [tag], "ObjectSizeGreaterThan": 10, "ObjectSizeLessThan": 20}}},
        {"ID": "earlier", "Status": "Enabled", "Filter": {"Prefix": "none/"},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 2},
         "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        {"ID": "old form", "Status": "Enabled", "Prefix": "old/", "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
    A.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    told = B.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert told[1]["Expiration"].pop("Date").isoformat() == "2030-01-01T00:00:00+00:00"
    rules[1]["Expiration"].pop("Date")
    assert told == rules, told
    put = A.put_object(Bucket=BUCKET, Key="log/x", Body=b"x")
    copy = A.copy_object(Bucket=BUCKET, Key="log/y", CopySource=f"{BUCKET}/log/x")
    assert all('rule-id="logs"' in answer["Expiration"] for answer in (put, copy))
    assert "Expiration" not in A.put_object(Bucket=BUCKET, Key="many", Body=b"x")
    head = C.head_object(Bucket=BUCKET, Key="log/x")
    assert 'rule-id="logs"' in head["Expiration"] and " 00:00:00 GMT" in head["Expiration"]
    assert "Expiration" not in C.head_object(Bucket=BUCKET, Key="many")
    one = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}

    def put(*rules):
        return refused(A.put_bucket_lifecycle_configuration, Bucket=BUCKET, LifecycleConfiguration={"Rules": list(rules)})

    assert put(one, one) == ("InvalidArgument", 400)
    assert put({**one, "ID": "x" * 256}) == ("InvalidArgument", 400)
    assert put({**one, "Status": "enabled"}) == ("MalformedXML", 400)
    assert put({**one, "Expiration": {"Days": 0}}) == ("InvalidArgument", 400)
    assert put({**one, "Expiration": {"Date": "2030-01-01T01:00:00Z"}}) == ("InvalidArgument", 400)
    assert put({**one, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}) == ("NotImplemented", 501)
    assert put() == ("MalformedXML", 400)
    # What was refused changed nothing.
    assert len(B.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]) == 5
    C.delete_bucket_lifecycle(Bucket=BUCKET)
    assert refused(B.get_bucket_lifecycle_configuration, Bucket=BUCKET) == ("NoSuchLifecycleConfiguration", 404)


def emptying():
    assert refused(A.delete_bucket, Bucket=BUCKET) == ("BucketNotEmpty", 409)
    for it in boto3.resource("s3", endpoint_url=ENDPOINTS[1]).Bucket(BUCKET).object_versions.all():
        it.delete()
    assert listed() == ([], [])
    A.delete_bucket(Bucket=BUCKET)


if __name__ == "__main__":
    for step in (turning_on, puts_and_reads, deletes, deletes_of_many, copies_and_parts, conditions, suspended,
                 listings, many_at_once, lifecycle, emptying):
        step()
        print(step.__name__, "holds")
