//! Objects put by a form of a browser (`POST` of `multipart/form-data`): who may is said by a policy that somebody signed.
//!
//! Before the library, which holds the whole file in memory: here it streams. Signatures are those of version 4, and of version
//! 2, by which many programs still sign forms: what they sign is the policy, whole, and it says when it ends.

use crate::about::Kept;
use crate::access::Asked;
use crate::acl;
use crate::auth::{Need, device};
use crate::checksum::{FILE_TOO_LONG, Said};
use crate::errors::{named, of_account, of_drive, refused};
use crate::gateway::Gateway;
use crate::post_policy::PostPolicy;
use crate::put::{PUT_MAX, check_type, key, new_object, put_surely};
use apps::accounts::AccessCaller;
use apps::drive::objects::{Checksum, ObjectCondition};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::Stream;
use http_body_util::{BodyDataStream, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Request, StatusCode};
use multipart::{Multipart, boundary};
use ring::hmac;
use s3s::dto::{PostResponse, StreamingBlob, Tagging, Timestamp, TimestampFormat};
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};
use std::io;
use types::WallMillis;

/// Bytes of all fields before the file, and of each.
const FIELDS_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 100;
/// How far a signer's clock may be off.
const SKEW_SECONDS: u64 = 15 * 60;

fn malformed(what: impl Into<String>) -> S3Error {
    refused(S3ErrorCode::MalformedPOSTRequest, what)
}

fn missing(name: &str) -> S3Error {
    named("InvalidArgument", StatusCode::BAD_REQUEST, format!("the form has no field {name}"))
}

/// What comes before the file; names in small letters.
struct Fields {
    all: Vec<(String, String)>,
    file_name: String,
}

impl Fields {
    async fn read<S>(form: &mut Multipart<S>) -> S3Result<Fields>
    where
        S: Stream<Item = io::Result<Bytes>> + Unpin,
    {
        let broken = |error: io::Error| malformed(error.to_string());
        let (mut all, mut bytes): (Vec<(String, String)>, usize) = (Vec::new(), 0);
        while let Some(part) = form.next_part().await.map_err(broken)? {
            let name = part.name.to_ascii_lowercase();
            if name == "file" {
                return Ok(Fields { all, file_name: part.file_name.unwrap_or_default() });
            }
            let mut value = Vec::new();
            while let Some(piece) = form.chunk().await.map_err(broken)? {
                bytes += piece.len();
                if bytes > FIELDS_BYTES_MAX {
                    return Err(malformed("the fields before the file have more than 64 KiB"));
                }
                value.extend_from_slice(&piece);
            }
            bytes += name.len();
            if all.len() == FIELDS_MAX || bytes > FIELDS_BYTES_MAX {
                return Err(malformed("the form has more than 100 fields, or their names are too long"));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return Err(malformed(format!("the field {name} is there twice")));
            }
            let value = String::from_utf8(value).map_err(|_| malformed(format!("the field {name} is not UTF-8")))?;
            all.push((name, value));
        }
        Err(missing("file"))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn take(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_string).filter(|value| !value.is_empty())
    }

    /// Of which key the object is: the file's own name may be part of it.
    fn key(&self) -> S3Result<String> {
        let key = self.get("key").ok_or_else(|| missing("key"))?;
        let name = self.file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        Ok(key.replace("${filename}", name))
    }

    fn kept(&self) -> S3Result<Kept> {
        let expires = self.take("expires").map(|text| Timestamp::parse(TimestampFormat::HttpDate, &text)).transpose();
        let expires = expires.map_err(|_| refused(S3ErrorCode::InvalidArgument, "Expires is no HTTP date"))?;
        let user = self.all.iter().filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?, value)));
        let tagging = self.take("tagging").map(|xml| tags(&xml)).transpose()?;
        Ok(Kept {
            cache_control: self.take("cache-control"),
            content_disposition: self.take("content-disposition"),
            content_encoding: self.take("content-encoding"),
            content_language: self.take("content-language"),
            expires,
            website_redirect_location: self.take("x-amz-website-redirect-location"),
            metadata: Some(user.map(|(name, value)| (name.to_string(), value.clone())).collect()),
            tagging,
        })
    }

    /// What is said of the file, as headers say it of a body.
    fn said(&self) -> S3Result<Said> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.all {
            let about_it = name == "content-md5" || name.starts_with("x-amz-checksum-");
            let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            if let (true, (Ok(name), Ok(value))) = (about_it, pair) {
                headers.insert(name, value);
            }
        }
        Said::by(&headers, None, None)
    }

    /// Fields of S3's own that mean nothing here are not passed over.
    fn check(&self) -> S3Result<()> {
        const KNOWN: [&str; 10] = [
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-signature",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
            "x-amz-security-token",
            "x-amz-checksum-algorithm",
            "x-amz-sdk-checksum-algorithm",
            "x-amz-content-sha256",
        ];
        let other = self.all.iter().map(|(name, _)| name.as_str()).find(|name| {
            let begins = ["x-amz-meta-", "x-amz-checksum-"].iter().any(|begin| name.starts_with(begin));
            name.starts_with("x-amz-") && !begins && !KNOWN.contains(name)
        });
        if let Some(name) = other {
            return Err(crate::errors::not_offered(&format!("the field {name}")));
        }
        if self.get("x-amz-storage-class").is_some_and(|class| class != "STANDARD") {
            return Err(refused(S3ErrorCode::InvalidStorageClass, "the only storage class here is STANDARD"));
        }
        acl::check(self.get("acl"))
    }
}

/// Tags as a form has them, in XML, as they are in a header.
fn tags(xml: &str) -> S3Result<String> {
    let wrong = |_| refused(S3ErrorCode::MalformedXML, "the field tagging is no XML of tags");
    let mut reader = Deserializer::new(xml.as_bytes());
    let tagging = Tagging::deserialize(&mut reader).map_err(wrong)?;
    reader.expect_eof().map_err(wrong)?;
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for tag in tagging.tag_set {
        pairs.append_pair(&tag.key.unwrap_or_default(), &tag.value.unwrap_or_default());
    }
    Ok(pairs.finish())
}

fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, key), text.as_bytes())
}

fn verified(algorithm: hmac::Algorithm, key: &[u8], policy: &str, signature: &[u8]) -> S3Result<()> {
    let verified = hmac::verify(&hmac::Key::new(algorithm, key), policy.as_bytes(), signature);
    verified.map_err(|_| refused(S3ErrorCode::SignatureDoesNotMatch, "the policy was not signed so with this key"))
}

impl Gateway {
    /// Who signed the policy.
    async fn signer(&self, fields: &Fields, policy: &str) -> S3Result<AccessCaller> {
        let caller = async |id: &str| self.accounts().access_key(id, &device()).await.map_err(of_account);
        let Some(signature) = fields.get("x-amz-signature") else {
            let id = fields.get("awsaccesskeyid").ok_or_else(|| missing("x-amz-signature"))?;
            let signature = fields.get("signature").ok_or_else(|| missing("signature"))?;
            let caller = caller(id).await?;
            let bytes = STANDARD.decode(signature).unwrap_or_default();
            verified(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, caller.secret.as_str().as_bytes(), policy, &bytes)?;
            return Ok(caller);
        };
        if fields.get("x-amz-algorithm").ok_or_else(|| missing("x-amz-algorithm"))? != "AWS4-HMAC-SHA256" {
            return Err(refused(S3ErrorCode::InvalidRequest, "x-amz-algorithm is AWS4-HMAC-SHA256"));
        }
        let credential = fields.get("x-amz-credential").ok_or_else(|| missing("x-amz-credential"))?;
        let date = fields.get("x-amz-date").ok_or_else(|| missing("x-amz-date"))?;
        let words: Vec<&str> = credential.split('/').collect();
        let [id, day, region, "s3", "aws4_request"] = words[..] else {
            return Err(refused(S3ErrorCode::InvalidArgument, "x-amz-credential is KEY/DATE/REGION/s3/aws4_request"));
        };
        if day.len() != 8 || !date.starts_with(day) || is_ahead(day) {
            return Err(refused(
                S3ErrorCode::AccessDenied,
                "x-amz-date and x-amz-credential are of different days, or of later",
            ));
        }
        let caller = caller(id).await?;
        let mut key = format!("AWS4{}", caller.secret.as_str()).into_bytes();
        for word in [day, region, "s3", "aws4_request"] {
            key = mac(hmac::HMAC_SHA256, &key, word).as_ref().to_vec();
        }
        let hex = |at: usize| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..signature.len()).step_by(2).map(hex).collect();
        verified(hmac::HMAC_SHA256, &key, policy, &bytes.unwrap_or_default())?;
        Ok(caller)
    }

    /// Puts what a form brings.
    pub(crate) async fn form(&self, request: Request<Incoming>) -> S3Result<HttpResponse> {
        let (head, body) = request.into_parts();
        let bucket = self.bucket_named(&head.uri, &head.headers).filter(|name| !name.is_empty());
        let bucket = bucket.ok_or_else(|| refused(S3ErrorCode::MethodNotAllowed, "a form is posted to a bucket"))?;
        let path = head.uri.path().trim_matches('/');
        if !path.is_empty() && path != bucket {
            return Err(refused(S3ErrorCode::MethodNotAllowed, "a form is posted to a bucket, its key being a field"));
        }
        let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let length: Option<u64> = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let Some(length) = length else {
            return Err(refused(S3ErrorCode::MissingContentLength, "say how long the form is: Content-Length"));
        };
        if length > PUT_MAX + 2 * FIELDS_BYTES_MAX as u64 {
            return Err(refused(S3ErrorCode::EntityTooLarge, "a form puts at most 5 GiB"));
        }
        let bound = text(CONTENT_TYPE).and_then(boundary);
        let bound = bound.ok_or_else(|| malformed("the content type is no multipart/form-data with a boundary"))?;
        let source = futures::TryStreamExt::map_err(BodyDataStream::new(body), io::Error::other);
        let mut form = Multipart::new(source, bound);
        let fields = Fields::read(&mut form).await?;

        let Some(document) = fields.get("policy") else {
            let what = "a form brings a policy that somebody signed: nobody puts anything here without";
            return Err(refused(S3ErrorCode::AccessDenied, what));
        };
        // Who signed comes first: nobody learns what else is wrong with what they did not sign.
        let caller = self.signer(&fields, document).await?;
        let policy = PostPolicy::parse(document)?;
        let now = WallMillis(std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(u64::MAX, |it| it.as_millis() as u64));
        let text_key = fields.key()?;
        policy.check(&fields.all, &bucket, now)?;
        fields.check()?;
        let object_key = key(&text_key)?;
        let also = fields.get("tagging").map(|_| "s3:PutObjectTagging").into_iter().collect();
        let asked = Asked { action: "s3:PutObject", also, key: text_key.clone(), each: false };
        let caller_id = caller.user.id;
        let at = self.bucket_for(Some(caller), &bucket, Need::Write, &asked).await?;
        let mut about = fields.kept()?.about()?;
        let media_type = fields.take("content-type");
        check_type(media_type.as_ref())?;

        let (least, most) = policy.length().unwrap_or((0, PUT_MAX));
        let most = most.min(PUT_MAX);
        if length < least {
            return Err(refused(S3ErrorCode::EntityTooSmall, format!("the file has less than {least} bytes")));
        }
        // Of what is sent, this much at least is the file.
        self.room_for(&at, length.saturating_sub(2 * FIELDS_BYTES_MAX as u64)).await?;
        let (content, sums) = self.store_body(&at, Some(file(form, most)), fields.said()?).await?;
        if content.size < least {
            return Err(refused(S3ErrorCode::EntityTooSmall, format!("the file has less than {least} bytes")));
        }
        // Hours may have gone by.
        let caller = self.signer(&fields, document).await?;
        debug_assert_eq!(caller.user.id, caller_id);
        let at = self.bucket_for(Some(caller), &bucket, Need::Write, &asked).await?;
        about.checksum = sums.checksum.as_ref().map(|(algorithm, value)| Checksum {
            algorithm: algorithm.name().into(),
            value: value.clone(),
            composite: false,
        });
        let new = new_object(&at.caller()?.user, Some(sums.md5), media_type, about);
        let put = put_surely(&at, &object_key, content, new, ObjectCondition::Any).await.map_err(of_drive)?;
        let mut response = answer(&fields, &bucket, &text_key, &format!("\"{}\"", put.etag()))?;
        let version = self.version_of(&at.drives, at.bucket.drive, &put).await;
        if let Some(value) = version.and_then(|version| HeaderValue::from_str(&version).ok()) {
            response.headers_mut().insert("x-amz-version-id", value);
        }
        Ok(response)
    }
}

/// Is the day, in eight digits, later than now allows?
fn is_ahead(day: &str) -> bool {
    let Some((year, rest)) = day.split_at_checked(4) else { return true };
    let Some((month, day)) = rest.split_at_checked(2) else { return true };
    let begins = Timestamp::parse(TimestampFormat::DateTime, &format!("{year}-{month}-{day}T00:00:00Z"));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |it| it.as_secs());
    begins.map_or(true, |begins| crate::conditions::of(&begins) > (now + SKEW_SECONDS) as i64)
}

/// The file in a form, as far as it may be long.
fn file<S>(form: Multipart<S>, most: u64) -> StreamingBlob
where
    S: Stream<Item = io::Result<Bytes>> + Unpin + Send + 'static,
{
    let pieces = futures::stream::try_unfold((form, 0u64), move |(mut form, mut bytes)| async move {
        let Some(piece) = form.chunk().await? else { return io::Result::Ok(None) };
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(io::Error::other(FILE_TOO_LONG));
        }
        Ok(Some((Frame::data(piece), (form, bytes))))
    });
    StreamingBlob::from(Body::http_body_unsync(StreamBody::new(pieces)))
}

fn answer(fields: &Fields, bucket: &str, key: &str, etag: &str) -> S3Result<HttpResponse> {
    let location = format!("/{bucket}/{}", crate::text::percent(key));
    let mut response = HttpResponse::new(Body::empty());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    let wanted = fields.take("success_action_redirect").or_else(|| fields.take("redirect"));
    // Only to pages of the web; what is none is passed over, as S3 does.
    if let Some(to) = wanted.filter(|to| to.starts_with("https://") || to.starts_with("http://")) {
        let pairs = [("bucket", bucket), ("key", key), ("etag", etag)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let sign = if to.contains('?') { '&' } else { '?' };
        if let Ok(value) = HeaderValue::from_str(&format!("{to}{sign}{query}")) {
            headers.insert(LOCATION, value);
            *response.status_mut() = StatusCode::SEE_OTHER;
            return Ok(response);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&location) {
        headers.insert(LOCATION, value);
    }
    match fields.get("success_action_status") {
        Some("200") => {}
        Some("201") => {
            *response.status_mut() = StatusCode::CREATED;
            let mut xml = Vec::new();
            let mut writer = Serializer::new(&mut xml);
            let told = PostResponse { location: &location, bucket, key, etag };
            let written = writer.decl().and_then(|()| told.serialize(&mut writer));
            written.map_err(|error| refused(S3ErrorCode::InternalError, error.to_string()))?;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            *response.body_mut() = Body::from(xml);
        }
        _ => *response.status_mut() = StatusCode::NO_CONTENT,
    }
    Ok(response)
}
