"""What S3 promises, call by call, through three nodes in turn. Run by s3.rs."""

import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import zlib

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINTS = os.environ["ENDPOINTS"].split(",")
BUCKET = "first-bucket"


def client(node=0, key=None, secret=None):
    config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 5})
    return boto3.client(
        "s3", endpoint_url=ENDPOINTS[node], config=config, aws_access_key_id=key, aws_secret_access_key=secret
    )


A, B, C = client(0), client(1), client(2)


def refused(call, **words):
    """The code and status of the error that the call must end with."""
    try:
        call(**words)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"{words} was not refused")


def keys(page):
    return [it["Key"] for it in page.get("Contents", [])], [it["Prefix"] for it in page.get("CommonPrefixes", [])]


def buckets():
    assert [it["Name"] for it in A.list_buckets()["Buckets"]] == ["demo"]
    A.create_bucket(Bucket=BUCKET)
    assert BUCKET in [it["Name"] for it in B.list_buckets()["Buckets"]]
    B.head_bucket(Bucket=BUCKET)
    assert C.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] in (None, "")
    assert refused(B.create_bucket, Bucket=BUCKET) == ("BucketAlreadyOwnedByYou", 409)
    assert refused(A.list_objects_v2, Bucket="no-such-bucket") == ("NoSuchBucket", 404)
    assert refused(A.delete_bucket, Bucket="demo") == ("AccessDenied", 403)
    wrong = client(0, "AKIAIOSFODNN7EXAMPLE", "x")
    assert refused(wrong.list_buckets) == ("InvalidAccessKeyId", 403)
    wrong = client(0, os.environ["AWS_ACCESS_KEY_ID"], "x")
    assert refused(wrong.list_buckets) == ("SignatureDoesNotMatch", 403)
    try:
        wrong.list_buckets()
    except ClientError as error:
        assert "check the secret" in error.response["Error"]["Message"], error


def objects():
    body = os.urandom(3_000_000)
    put = A.put_object(
        Bucket=BUCKET, Key="a/b/c.bin", Body=body, Metadata={"Colour": "blue"}, CacheControl="max-age=3",
        ContentDisposition="inline", ContentType="application/x-test", Tagging="k=v&x=y%20z",
    )
    assert put["ETag"].strip('"') == hashlib.md5(body).hexdigest() and put["ChecksumCRC32"]
    got = B.get_object(Bucket=BUCKET, Key="a/b/c.bin", ChecksumMode="ENABLED")
    assert got["Body"].read() == body and got["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert (got["Metadata"], got["CacheControl"]) == ({"colour": "blue"}, "max-age=3")
    assert (got["ContentType"], got["ContentDisposition"], got["TagCount"]) == ("application/x-test", "inline", 2)
    tags = C.get_object_tagging(Bucket=BUCKET, Key="a/b/c.bin")["TagSet"]
    assert tags == [{"Key": "k", "Value": "v"}, {"Key": "x", "Value": "y z"}]
    C.put_object_tagging(Bucket=BUCKET, Key="a/b/c.bin", Tagging={"TagSet": [{"Key": "n", "Value": "1"}]})
    assert A.get_object_tagging(Bucket=BUCKET, Key="a/b/c.bin")["TagSet"] == [{"Key": "n", "Value": "1"}]
    for given, want in [("bytes=10-99", body[10:100]), ("bytes=-5", body[-5:]), ("bytes=2999990-", body[-10:])]:
        assert B.get_object(Bucket=BUCKET, Key="a/b/c.bin", Range=given)["Body"].read() == want
    assert refused(A.get_object, Bucket=BUCKET, Key="a/b/c.bin", Range="bytes=5000000-") == ("InvalidRange", 416)
    assert refused(A.get_object, Bucket=BUCKET, Key="zz") == ("NoSuchKey", 404)
    assert refused(A.head_object, Bucket=BUCKET, Key="zz")[1] == 404
    for algorithm in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"]:
        put = C.put_object(Bucket=BUCKET, Key=f"sum-{algorithm}", Body=b"hello", ChecksumAlgorithm=algorithm)
        head = A.head_object(Bucket=BUCKET, Key=f"sum-{algorithm}", ChecksumMode="ENABLED")
        assert put[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
    wrong = {"Bucket": BUCKET, "Key": "wrong", "Body": b"x"}
    assert refused(A.put_object, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", **wrong) == ("BadDigest", 400)
    assert refused(A.put_object, ChecksumSHA1="2jmj7l5rSw0yVb/vlWAYkK/YBwk=", **wrong) == ("BadDigest", 400)
    assert refused(B.head_object, Bucket=BUCKET, Key="wrong")[1] == 404


def conditions():
    tag = A.head_object(Bucket=BUCKET, Key="a/b/c.bin")["ETag"]
    at = {"Bucket": BUCKET, "Key": "a/b/c.bin"}
    assert refused(B.get_object, IfNoneMatch=tag, **at) == ("304", 304)
    assert refused(B.get_object, IfMatch='"x"', **at) == ("PreconditionFailed", 412)
    assert refused(B.put_object, Body=b"x", IfNoneMatch="*", **at) == ("PreconditionFailed", 412)
    # Again and again: a refused body, which was not sent, is not looked for in the next request.
    for _ in range(50):
        assert refused(B.put_object, Body=b"x", IfMatch='"x"', **at) == ("PreconditionFailed", 412)
    assert refused(B.put_object, Bucket=BUCKET, Key="none", Body=b"x", IfMatch='"x"') == ("NoSuchKey", 404)

    def race(n):
        try:
            client(n % 3).put_object(Bucket=BUCKET, Key="race", Body=b"%d" % n, IfNoneMatch="*")
            return n
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "SlowDown"), error
            return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        won = [n for n in pool.map(race, range(32)) if n is not None]
    assert len(won) == 1 and C.get_object(Bucket=BUCKET, Key="race")["Body"].read() == b"%d" % won[0]


def copies():
    body = A.get_object(Bucket=BUCKET, Key="a/b/c.bin")["Body"].read()
    source = {"Bucket": BUCKET, "Key": "a/b/c.bin"}
    B.copy_object(Bucket=BUCKET, Key="copy of/ü", CopySource=source)
    copy = C.get_object(Bucket=BUCKET, Key="copy of/ü")
    assert copy["Body"].read() == body and copy["Metadata"] == {"colour": "blue"}
    assert refused(B.copy_object, Bucket=BUCKET, Key="a/b/c.bin", CopySource=source) == ("InvalidRequest", 400)
    B.copy_object(Bucket=BUCKET, Key="a/b/c.bin", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "1"})
    assert C.head_object(**source)["Metadata"] == {"n": "1"}
    on_target = {"Bucket": BUCKET, "Key": "copy of/ü", "CopySource": source}
    assert refused(A.copy_object, IfNoneMatch="*", **on_target) == ("PreconditionFailed", 412)
    assert refused(A.copy_object, IfMatch='"x"', **on_target) == ("PreconditionFailed", 412)
    A.copy_object(IfMatch=copy["ETag"], **on_target)
    # A checksum that the source has not is worked out; any is told.
    told = B.copy_object(Bucket=BUCKET, Key="summed", CopySource=source, ChecksumAlgorithm="SHA256")["CopyObjectResult"]
    assert told["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    head = C.head_object(Bucket=BUCKET, Key="summed", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["Metadata"]) == (told["ChecksumSHA256"], {"n": "1"})
    A.put_object_tagging(Bucket=BUCKET, Key="summed", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert C.head_object(Bucket=BUCKET, Key="summed")["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "1"
    A.delete_object(Bucket=BUCKET, Key="summed")
    wrong = {"Bucket": BUCKET, "Key": "x", "CopySource": source, "CopySourceIfMatch": '"x"'}
    assert refused(B.copy_object, **wrong) == ("PreconditionFailed", 412)


def listings():
    names = ["x//y", "../up", "e\u0301", "dir/", "a", "a/", "a b+&%", "sub/a-b", "sub/a/1", "sub/a.c", "sub/a0"]
    for node, key in enumerate(names):
        client(node % 3).put_object(Bucket=BUCKET, Key=key, Body=b"" if key.endswith("/") else key.encode())
    every = keys(A.list_objects_v2(Bucket=BUCKET))[0]
    assert every == sorted(every, key=str.encode) and set(names) < set(every)
    for limit in (1, 3, 7):
        pages = B.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": limit})
        assert [key for page in pages for key in keys(page)[0]] == every
        pages = C.get_paginator("list_objects").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": limit})
        assert [key for page in pages for key in keys(page)[0]] == every
    assert keys(A.list_objects_v2(Bucket=BUCKET, Prefix="sub/", Delimiter="/")) == (
        ["sub/a-b", "sub/a.c", "sub/a0"], ["sub/a/"])
    assert keys(A.list_objects_v2(Bucket=BUCKET, Prefix="sub/", StartAfter="sub/a.c"))[0] == ["sub/a/1", "sub/a0"]
    top = keys(B.list_objects_v2(Bucket=BUCKET, Delimiter="/"))[1]
    assert top == ["../", "a/", "copy of/", "dir/", "sub/", "x/"]
    assert keys(A.list_objects_v2(Bucket=BUCKET, MaxKeys=0)) == ([], [])
    for key in names:
        if not key.endswith("/"):
            assert C.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()


def urls():
    body = A.get_object(Bucket=BUCKET, Key="a/b/c.bin")["Body"].read()
    url = A.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a/b/c.bin"}, ExpiresIn=60)
    assert urllib.request.urlopen(url).read() == body
    for given, want in [("bytes=2-5", body[2:6]), ("bytes=5-2", body), ("lines=1", body)]:
        assert urllib.request.urlopen(urllib.request.Request(url, headers={"Range": given})).read() == want
    url = B.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "by url"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(url, data=b"sent", method="PUT"))
    assert C.get_object(Bucket=BUCKET, Key="by url")["Body"].read() == b"sent"
    for change in [lambda it: it.replace("Expires=60", "Expires=61"), lambda it: it.replace("by%20url", "other")]:
        try:
            urllib.request.urlopen(urllib.request.Request(change(url), data=b"sent", method="PUT"))
            raise AssertionError("a changed URL was taken")
        except urllib.error.HTTPError as error:
            assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()
    url = A.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a"}, ExpiresIn=604801)
    try:
        urllib.request.urlopen(url)
        raise AssertionError("a URL for longer than a week was taken")
    except urllib.error.HTTPError as error:
        assert error.code == 400 and b"AuthorizationQueryParametersError" in error.read()
    place = urllib.parse.urlsplit(ENDPOINTS[0])
    plain = http.client.HTTPConnection(place.hostname, place.port)
    for headers in [{}, {"Authorization": "AWS key:signature"}, {"Authorization": "Basic eDp5"}]:
        plain.request("GET", f"/{BUCKET}/a", headers=headers)
        answer = plain.getresponse()
        text = answer.read()
        assert answer.status in (400, 403) and b"<Code>" in text and answer.headers["x-amz-request-id"], text


def signed(method, path, payload, body, **headers):
    """The answer to a request with a body that is not what its payload's hash says, or is in chunks."""
    place = urllib.parse.urlsplit(ENDPOINTS[0])
    credentials = boto3.Session().get_credentials()
    request = AWSRequest(method, ENDPOINTS[0] + path, headers={"X-Amz-Content-SHA256": payload, **headers})
    SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    if callable(body):
        seed = request.headers["Authorization"].rpartition("=")[2]
        body = body(credentials.secret_key, request.headers["X-Amz-Date"], seed)
    plain = http.client.HTTPConnection(place.hostname, place.port)
    plain.request(method, path, body, dict(request.headers.items()))
    answer = plain.getresponse()
    return answer.status, answer.read().decode()


def signed_chunks(pieces, spoiled=False):
    def body(secret, date, last):
        def mac(key, text):
            return hmac.digest(key, text.encode(), "sha256")

        key = mac(mac(mac(mac(b"AWS4" + secret.encode(), date[:8]), "us-east-1"), "s3"), "aws4_request")
        framed = b""
        for piece in [*pieces, b""]:
            words = ["AWS4-HMAC-SHA256-PAYLOAD", date, f"{date[:8]}/us-east-1/s3/aws4_request", last,
                     hashlib.sha256(b"").hexdigest(), hashlib.sha256(piece).hexdigest()]
            last = mac(key, "\n".join(words)).hex()
            sent = last[::-1] if spoiled else last
            framed += f"{len(piece):x};chunk-signature={sent}\r\n".encode() + piece + b"\r\n"
        return framed

    return body


def chunks():
    """Chunks of any size, with and without signatures; what fails by them is called by its name."""
    body, path = os.urandom(20_000_000), f"/{BUCKET}/in-chunks"
    length = {"X-Amz-Decoded-Content-Length": str(len(body)), "Content-Encoding": "aws-chunked"}
    trailer = {"X-Amz-Trailer": "x-amz-checksum-crc32"}
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))
    framed = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nx-amz-checksum-crc32:" + crc + b"\r\n\r\n"
    plain, streaming = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    assert signed("PUT", path, plain, framed, **length, **trailer)[0] == 200
    assert B.get_object(Bucket=BUCKET, Key="in-chunks")["Body"].read() == body
    pieces = [body[:5_000_000], body[5_000_000:12_000_000], body[12_000_000:]]
    assert signed("PUT", path, streaming, signed_chunks(pieces), **length)[0] == 200
    assert C.get_object(Bucket=BUCKET, Key="in-chunks")["Body"].read() == body
    assert "ContentEncoding" not in A.head_object(Bucket=BUCKET, Key="in-chunks")
    # Small ones, which are sent before the answer comes.
    small, length = body[:3000], {**length, "X-Amz-Decoded-Content-Length": "3000"}
    long = f"{9 << 20:x};chunk-signature={'0' * 64}\r\n".encode()
    wrong = [
        (403, "SignatureDoesNotMatch", streaming, signed_chunks([small], spoiled=True)),
        (403, "InvalidChunkSizeError", streaming, long + small),
        (400, "InvalidRequest", streaming, b"x" + small),
        (400, "IncompleteBody", streaming, signed_chunks([small[:1000]])),
        (400, "XAmzContentSHA256Mismatch", hashlib.sha256(b"other").hexdigest(), small),
    ]
    for status, code, kind, sent in wrong:
        answer = signed("PUT", path, kind, sent, **(length if kind == streaming else {}))
        assert answer[0] == status and f"<Code>{code}</Code>" in answer[1], answer
    assert C.get_object(Bucket=BUCKET, Key="in-chunks")["Body"].read() == body


def plain(method, path, node=0, **headers):
    """What a browser gets that does not sign."""
    place = urllib.parse.urlsplit(ENDPOINTS[node])
    connection = http.client.HTTPConnection(place.hostname, place.port)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def policies():
    """Everybody reads below a prefix; somebody named writes; what is denied is denied to all."""
    other = client(0, os.environ["OTHER_ID"], os.environ["OTHER_SECRET"])
    A.put_object(Bucket=BUCKET, Key="open/a", Body=b"for all", ContentType="text/html")
    A.put_object(Bucket=BUCKET, Key="closed/a", Body=b"not for all")
    assert refused(A.get_bucket_policy, Bucket=BUCKET) == ("NoSuchBucketPolicy", 404)
    assert plain("GET", f"/{BUCKET}/open/a")[0] == 403
    assert refused(other.get_object, Bucket=BUCKET, Key="open/a") == ("AccessDenied", 403)
    arn = f"arn:aws:s3:::{BUCKET}"
    person = {"AWS": f"arn:aws:iam:::user/{os.environ['OTHER_NAME']}"}
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [arn, arn + "/open/*"]},
        {"Effect": "Allow", "Principal": person, "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": arn + "/in/*"},
        {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": arn + "/open/*"},
    ]}
    B.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    assert json.loads(C.get_bucket_policy(Bucket=BUCKET)["Policy"]) == policy
    assert A.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"]
    for node in range(3):
        status, text, headers = plain("GET", f"/{BUCKET}/open/a", node)
        assert (status, text, headers["content-security-policy"]) == (200, "for all", "sandbox")
    assert plain("GET", f"/{BUCKET}/closed/a")[0] == 403
    assert "<Key>closed/a</Key>" in plain("GET", f"/{BUCKET}?list-type=2")[1]
    assert plain("PUT", f"/{BUCKET}/open/b")[0] == 403 and plain("DELETE", f"/{BUCKET}/open/a")[0] == 403
    assert plain("GET", f"/{BUCKET}?policy")[0] == 403 and plain("GET", "/")[0] == 403
    assert plain("GET", f"/{BUCKET}/open/a?response-content-type=x")[0] == 400
    assert other.get_object(Bucket=BUCKET, Key="open/a")["Body"].read() == b"for all"
    assert refused(other.get_object, Bucket=BUCKET, Key="in/a") == ("AccessDenied", 403)
    other.put_object(Bucket=BUCKET, Key="in/a", Body=b"from outside")
    assert C.get_object(Bucket=BUCKET, Key="in/a")["Body"].read() == b"from outside"
    assert refused(other.put_object, Bucket=BUCKET, Key="open/b", Body=b"x") == ("AccessDenied", 403)
    assert refused(other.put_bucket_policy, Bucket=BUCKET, Policy=json.dumps(policy)) == ("AccessDenied", 403)
    gone = other.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "in/a"}, {"Key": "closed/a"}]})
    assert [it["Key"] for it in gone["Deleted"]] == ["in/a"], gone
    assert [(it["Key"], it["Code"]) for it in gone["Errors"]] == [("closed/a", "AccessDenied")]
    assert refused(A.delete_object, Bucket=BUCKET, Key="open/a") == ("AccessDenied", 403)
    copy = {"Bucket": BUCKET, "Key": "closed/a"}
    assert refused(other.copy_object, Bucket=BUCKET, Key="in/b", CopySource=copy) == ("AccessDenied", 403)
    other.copy_object(Bucket=BUCKET, Key="in/b", CopySource={"Bucket": BUCKET, "Key": "open/a"})
    block = {"RestrictPublicBuckets": True, "BlockPublicPolicy": True}
    A.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
    assert plain("GET", f"/{BUCKET}/open/a")[0] == 403
    assert refused(A.put_bucket_policy, Bucket=BUCKET, Policy=json.dumps(policy)) == ("AccessDenied", 403)
    A.delete_public_access_block(Bucket=BUCKET)
    for wrong in [
        lambda it: it["Statement"][0].update(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        lambda it: it["Statement"][0].update(Principal={"AWS": "arn:aws:iam:::user/nobody-here"}),
        lambda it: it["Statement"][0].update(Resource="arn:aws:s3:::other/*"),
        lambda it: it["Statement"][0].update(Action="s3:Everything"),
    ]:
        changed = json.loads(json.dumps(policy))
        wrong(changed)
        assert refused(A.put_bucket_policy, Bucket=BUCKET, Policy=json.dumps(changed)) == ("MalformedPolicy", 400)
    assert json.loads(A.get_bucket_policy(Bucket=BUCKET)["Policy"]) == policy
    # Nobody shuts themselves out.
    shut = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, arn + "/*"]}}
    A.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(shut))
    assert refused(A.get_object, Bucket=BUCKET, Key="open/a") == ("AccessDenied", 403)
    A.delete_bucket_policy(Bucket=BUCKET)
    assert A.get_object(Bucket=BUCKET, Key="open/a")["Body"].read() == b"for all"
    assert plain("GET", f"/{BUCKET}/open/a")[0] == 403


def pages_of_other_sites():
    """CORS: what a browser asks before, and what it is told with the answer."""
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    assert plain("OPTIONS", f"/{BUCKET}/open/a", **asked)[0] == 403
    assert refused(A.get_bucket_cors, Bucket=BUCKET) == ("NoSuchCORSConfiguration", 404)
    rules = [
        {"ID": "app", "AllowedOrigins": ["https://*.example"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*"],
         "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60},
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
    ]
    A.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": rules})
    assert B.get_bucket_cors(Bucket=BUCKET)["CORSRules"] == rules
    status, _, headers = plain("OPTIONS", f"/{BUCKET}/open/a", 1, Access_Control_Request_Headers="x-amz-date", **asked)
    told = {name: headers[f"access-control-{name}"] for name in ["allow-origin", "allow-headers", "max-age", "expose-headers"]}
    assert status == 200 and told == {"allow-origin": "https://a.example", "allow-headers": "x-amz-date", "max-age": "60",
                                      "expose-headers": "ETag"}
    assert plain("OPTIONS", f"/{BUCKET}/open/a", Access_Control_Request_Headers="cookie", **asked)[0] == 403
    assert plain("OPTIONS", f"/{BUCKET}/open/a", Origin="http://b")[0] == 400
    url = C.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "open/a"})
    for origin, want in [("https://a.example", "https://a.example"), ("http://else", "*"), (None, None)]:
        headers = {"Origin": origin} if origin else {}
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers))
        assert answer.headers["access-control-allow-origin"] == want
    for wrong in [{"AllowedMethods": ["PATCH"]}, {"AllowedOrigins": ["*.*"]}, {"ExposeHeaders": ["x-*"]}]:
        config = {"CORSRules": [{**rules[0], **wrong}]}
        assert refused(A.put_bucket_cors, Bucket=BUCKET, CORSConfiguration=config) == ("InvalidRequest", 400)
    A.delete_bucket_cors(Bucket=BUCKET)
    assert plain("OPTIONS", f"/{BUCKET}/open/a", **asked)[0] == 403


def form(fields, body, name="a name.txt", node=0):
    """What a browser sends, and gets."""
    edge, sent = "edge-of-parts", b""
    for field, value in fields.items():
        sent += f'--{edge}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    sent += f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + body
    sent += f"\r\n--{edge}--\r\n".encode()
    place = urllib.parse.urlsplit(ENDPOINTS[node])
    connection = http.client.HTTPConnection(place.hostname, place.port)
    connection.request("POST", f"/{BUCKET}", sent, {"Content-Type": f"multipart/form-data; boundary={edge}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def forms():
    """Uploads by forms: what the signed policy says is what may come, and nothing else."""
    def policy(key="in/${filename}", fields=None, conditions=(), **words):
        every = [*[{name: value} for name, value in (fields or {}).items()], *conditions]
        return A.generate_presigned_post(BUCKET, key, fields, every, **words)["fields"]

    body = os.urandom(300_000)
    meta = {"x-amz-meta-colour": "blue", "Content-Type": "image/x-test", "success_action_status": "201"}
    status, text, _ = form(policy(fields=meta), body)
    assert status == 201 and "<Key>in/a name.txt</Key>" in text, (status, text)
    got = B.get_object(Bucket=BUCKET, Key="in/a name.txt")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"colour": "blue"}, "image/x-test")
    assert got["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    status, text, _ = form(policy("plain"), b"x", node=1)
    assert (status, text) == (204, "")
    to = {"success_action_redirect": "https://page.example/done?a=b"}
    status, _, headers = form(policy("redirected", to), b"x")
    assert status == 303 and headers["location"].startswith(to["success_action_redirect"] + "&bucket=" + BUCKET)
    tags = {"tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>v w</Value></Tag></TagSet></Tagging>"}
    assert form(policy("tagged", tags), b"x")[0] == 204
    assert A.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"] == [{"Key": "k", "Value": "v w"}]
    # The old signature, as many programs still make it.
    document = {"expiration": "2040-01-01T00:00:00Z", "conditions": [{"bucket": BUCKET}, ["starts-with", "$key", "old"]]}
    document = base64.b64encode(json.dumps(document).encode())
    credentials = boto3.Session().get_credentials()
    signature = base64.b64encode(hmac.digest(credentials.secret_key.encode(), document, "sha1")).decode()
    old = {"key": "old", "AWSAccessKeyId": credentials.access_key, "signature": signature, "policy": document.decode()}
    assert form(old, b"x")[0] == 204

    range_ = [["content-length-range", 10, 1000]]
    sized, exact = policy("sized", conditions=range_), policy("exact")
    wrong = [
        (403, "AccessDenied", {**exact, "key": "other"}, b"x"),
        (403, "AccessDenied", {**exact, "x-amz-meta-more": "1"}, b"x"),
        (403, "SignatureDoesNotMatch", {**exact, "policy": sized["policy"]}, b"x"),
        (403, "SignatureDoesNotMatch", {**old, "signature": "AAAA"}, b"x"),
        (403, "InvalidAccessKeyId", {**old, "AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE"}, b"x"),
        (403, "AccessDenied", policy("late", ExpiresIn=-10), b"x"),
        (403, "AccessDenied", {"key": "unsigned"}, b"x"),
        (400, "InvalidArgument", {name: value for name, value in exact.items() if name != "key"}, b"x"),
        (400, "EntityTooSmall", sized, b"x" * 9),
        (400, "EntityTooLarge", sized, b"x" * 1001),
        (400, "AccessControlListNotSupported", policy("listed", {"acl": "public-read"}), b"x"),
        (400, "MalformedPOSTRequest", {f"x-ignore-{n}": "" for n in range(101)}, b"x"),
    ]
    for status, code, fields, sent in wrong:
        answer = form(fields, sent)
        assert answer[0] == status and f"<Code>{code}</Code>" in answer[1], (status, code, answer)
    for key in ["sized", "exact", "other", "late", "unsigned", "listed"]:
        assert refused(C.head_object, Bucket=BUCKET, Key=key)[1] == 404, key


def lists_of_rights():
    """Access lists: none, as in buckets that S3 calls owner enforced."""
    assert A.get_bucket_acl(Bucket=BUCKET)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert B.get_object_acl(Bucket=BUCKET, Key="plain")["Grants"][0]["Permission"] == "FULL_CONTROL"
    rules = C.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    A.put_object_acl(Bucket=BUCKET, Key="plain", ACL="private")
    B.put_object(Bucket=BUCKET, Key="plain", Body=b"x", ACL="bucket-owner-full-control")
    # What was read somewhere is put back by programs that copy.
    A.create_bucket(Bucket="another-of-mine")
    for source in [BUCKET, "another-of-mine"]:
        told = B.get_bucket_acl(Bucket=source)
        same = {"Owner": told["Owner"], "Grants": told["Grants"]}
        C.put_object_acl(Bucket=BUCKET, Key="plain", AccessControlPolicy=same)
    C.put_bucket_acl(Bucket=BUCKET, AccessControlPolicy=same)
    A.delete_bucket(Bucket="another-of-mine")
    everybody = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    somebody = {"ID": "0" * 32}
    more = [
        {**same, "Grants": same["Grants"] + [everybody]},
        {**same, "Grants": [{**same["Grants"][0], "Permission": "READ"}]},
        {"Owner": somebody, "Grants": [{"Grantee": {"Type": "CanonicalUser", **somebody}, "Permission": "FULL_CONTROL"}]},
    ]
    calls = [(A.put_object_acl, {"Key": "plain", "AccessControlPolicy": it}) for it in more]
    calls += [
        (A.put_bucket_acl, {"ACL": "public-read"}),
        (A.put_object_acl, {"Key": "plain", "ACL": "public-read"}),
        (A.put_object, {"Key": "plain", "ACL": "public-read"}),
        (A.put_object, {"Key": "plain", "GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}),
        (A.create_multipart_upload, {"Key": "plain", "ACL": "public-read"}),
        (A.copy_object, {"Key": "copied", "ACL": "public-read", "CopySource": f"{BUCKET}/plain"}),
    ]
    for call, words in calls:
        assert refused(call, Bucket=BUCKET, **words) == ("AccessControlListNotSupported", 400), words
    assert refused(A.put_object, Bucket=BUCKET, Key="plain", ServerSideEncryption="AES256") == ("NotImplemented", 501)
    assert refused(A.head_bucket, Bucket=BUCKET, ExpectedBucketOwner="123456789012")[1] == 403
    theirs = {"CopySource": f"{BUCKET}/plain", "ExpectedSourceBucketOwner": "123456789012"}
    assert refused(A.copy_object, Bucket=BUCKET, Key="never", **theirs) == ("AccessDenied", 403)


def parts():
    sets = [(None, None), ("CRC32", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"),
            ("SHA256", "COMPOSITE")]
    for algorithm, kind in sets:
        at = {"Bucket": BUCKET, "Key": f"multi/{algorithm}"}
        said = {} if algorithm is None else {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
        upload = {**at, "UploadId": A.create_multipart_upload(Metadata={"m": "p"}, **at, **said)["UploadId"]}
        pieces = [os.urandom(5 << 20), os.urandom((6 << 20) + 17), b"tail"]
        done = []
        for node, piece in enumerate(pieces):
            said = {} if algorithm is None else {"ChecksumAlgorithm": algorithm}
            part = client(node).upload_part(PartNumber=node + 1, Body=piece, **upload, **said)
            assert part["ETag"].strip('"') == hashlib.md5(piece).hexdigest()
            done.append({"PartNumber": node + 1, "ETag": part["ETag"]})
            if algorithm:
                done[-1][f"Checksum{algorithm}"] = part[f"Checksum{algorithm}"]
        assert [it["Size"] for it in B.list_parts(**upload)["Parts"]] == [len(piece) for piece in pieces]
        assert [it["Key"] for it in C.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [at["Key"]]
        bad = {**upload, "MultipartUpload": {"Parts": done[::-1]}}
        assert refused(A.complete_multipart_upload, **bad) == ("InvalidPartOrder", 400)
        bad = {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}}
        assert refused(A.complete_multipart_upload, **bad) == ("InvalidPart", 400)
        end = {**upload, "MultipartUpload": {"Parts": done}}
        tag = B.complete_multipart_upload(**end)["ETag"]
        assert C.complete_multipart_upload(**end)["ETag"] == tag, "a call repeated"
        sums = b"".join(hashlib.md5(piece).digest() for piece in pieces)
        assert tag.strip('"') == f"{hashlib.md5(sums).hexdigest()}-3"
        got = A.get_object(ChecksumMode="ENABLED", **at)
        assert got["Body"].read() == b"".join(pieces) and got["Metadata"] == {"m": "p"}
        assert B.get_object(PartNumber=2, **at)["Body"].read() == pieces[1]
        wants = ["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"]
        told = C.get_object_attributes(ObjectAttributes=wants, **at)
        assert told["ObjectParts"]["TotalPartsCount"] == 3 and told["ObjectSize"] == sum(map(len, pieces))
    at = {"Bucket": BUCKET, "Key": "given up"}
    upload = {**at, "UploadId": A.create_multipart_upload(**at)["UploadId"]}
    for number in (1, 2):
        B.upload_part(PartNumber=number, Body=b"x", **upload)
    chosen = [{"PartNumber": it["PartNumber"], "ETag": it["ETag"]} for it in C.list_parts(**upload)["Parts"]]
    end = {**upload, "MultipartUpload": {"Parts": chosen}}
    assert refused(A.complete_multipart_upload, **end) == ("EntityTooSmall", 400)
    A.abort_multipart_upload(**upload)
    assert refused(B.list_parts, **upload) == ("NoSuchUpload", 404)
    assert refused(B.upload_part, PartNumber=1, Body=b"x", **upload) == ("NoSuchUpload", 404)
    begun = []
    for n in range(7):
        at = {"Bucket": BUCKET, "Key": ["under way/a", "under way/a", "under way/b/c"][n % 3]}
        begun.append({**at, "UploadId": A.create_multipart_upload(**at)["UploadId"]})
    pages = B.get_paginator("list_multipart_uploads").paginate(
        Bucket=BUCKET, Prefix="under way/", PaginationConfig={"PageSize": 2})
    found = []
    for page in pages:
        assert len(page["Uploads"]) <= 2
        found += [(it["Key"], it["UploadId"]) for it in page["Uploads"]]
        if page["IsTruncated"]:
            # What a page ended with may have gone when the next is asked for.
            gone = [it for it in begun if it["UploadId"] == found[-1][1]]
            A.abort_multipart_upload(**gone[0])
    assert sorted(found) == sorted((it["Key"], it["UploadId"]) for it in begun), found
    told = C.list_multipart_uploads(Bucket=BUCKET, Prefix="under way/", Delimiter="/", MaxUploads=1)
    assert told["IsTruncated"] and told["Uploads"][0]["Key"] == "under way/a"
    for it in begun:
        try:
            C.abort_multipart_upload(**it)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchUpload"
    at = {"Bucket": BUCKET, "Key": "part of"}
    upload = {**at, "UploadId": A.create_multipart_upload(**at)["UploadId"]}
    source = {"CopySource": {"Bucket": BUCKET, "Key": "multi/None"}, "CopySourceRange": "bytes=10-6000000"}
    tag = B.upload_part_copy(PartNumber=1, **source, **upload)["CopyPartResult"]["ETag"]
    C.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}, **upload)
    want = A.get_object(Bucket=BUCKET, Key="multi/None", Range="bytes=10-6000000")["Body"].read()
    assert A.get_object(**at)["Body"].read() == want


def refusals():
    calls = [
        (A.put_bucket_request_payment, {"RequestPaymentConfiguration": {"Payer": "Requester"}}),
    ]
    for call, words in calls:
        assert refused(call, Bucket=BUCKET, **words) == ("NotImplemented", 501)
    none = [
        (A.get_bucket_website, "NoSuchWebsiteConfiguration"),
        (B.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
        (C.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
        (A.get_bucket_tagging, "NoSuchTagSet"),
    ]
    for call, code in none:
        assert refused(call, Bucket=BUCKET) == (code, 404)
    assert A.get_bucket_request_payment(Bucket=BUCKET)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in B.get_bucket_logging(Bucket=BUCKET)
    C.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "for", "Value": "tea"}]})
    assert A.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [{"Key": "for", "Value": "tea"}]
    A.delete_bucket_tagging(Bucket=BUCKET)
    # Calls that nobody here knows are not taken for plain ones: nothing is replaced, deleted, made or shown by them.
    A.put_object(Bucket=BUCKET, Key="whole", Body=b"as it was")
    A.create_bucket(Bucket="nothing-in-it")
    empty = hashlib.sha256(b"").hexdigest()
    others = [
        ("PUT", f"/{BUCKET}/whole", ["annotation=", "encryption=", "renameObject=", "partNumber=1", "uploadId=1", "newer="]),
        ("DELETE", f"/{BUCKET}/whole", ["annotation=", "acl=", "retention=", "legal-hold="]),
        ("GET", f"/{BUCKET}/whole", ["annotation=", "torrent="]),
        ("DELETE", "/nothing-in-it", ["acl=", "versioning=", "object-lock=", "metadataConfiguration=", "newer="]),
        ("PUT", "/never-made", ["abac=", "metadataJournalTable=", "newer="]),
        ("GET", f"/{BUCKET}", ["abac=", "metadataConfiguration=", "session="]),
    ]
    for method, path, queries in others:
        for query in queries:
            status, told = signed(method, f"{path}?{query}", empty, b"")
            assert status == 501 and "<Code>NotImplemented</Code><Message>" in told, (method, path, query, told)
    assert B.get_object(Bucket=BUCKET, Key="whole")["Body"].read() == b"as it was"
    C.delete_bucket(Bucket="nothing-in-it")
    assert "never-made" not in [it["Name"] for it in A.list_buckets()["Buckets"]]
    # Those of its own that the library says without a word have some.
    status, told = signed("PUT", f"/{BUCKET}?cors=", empty, b"")
    assert status == 400 and "<Code>MissingRequestBodyError</Code><Message>" in told, told
    wrong = {"Bucket": BUCKET, "Key": "x", "Body": b""}
    assert refused(A.put_object, StorageClass="GLACIER", **wrong) == ("InvalidStorageClass", 400)
    assert refused(A.put_object, Metadata={"long": "x" * 3000}, **wrong)[0] == "MetadataTooLarge"
    assert refused(A.put_object, Bucket=BUCKET, Key="x" * 1025, Body=b"")[0] == "KeyTooLongError"
    assert refused(A.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": "x"}] * 1001})[0] == "MalformedXML"


def the_end():
    assert refused(A.delete_bucket, Bucket=BUCKET) == ("BucketNotEmpty", 409)
    while found := keys(B.list_objects_v2(Bucket=BUCKET))[0]:
        gone = C.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in found]})
        assert len(gone["Deleted"]) == len(found) and "Errors" not in gone
    A.delete_bucket(Bucket=BUCKET)
    assert refused(B.head_bucket, Bucket=BUCKET)[1] == 404


for step in [buckets, objects, conditions, copies, listings, urls, chunks, policies, pages_of_other_sites, forms, lists_of_rights, parts, refusals, the_end]:
    step()
    print(f"{step.__name__}: as it should be")
