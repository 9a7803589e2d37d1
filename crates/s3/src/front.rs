//! What stands before the S3 library: what it lets through and we do not, and what it does not say.

use crate::errors::{named, refused};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::dto::Range;
use s3s::host::{S3Host, VirtualHost};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};

/// For how long a URL may be signed: a week, as S3 has it.
const SIGNED_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

/// A bucket's name before one of this service's own. Any other name is the service itself, so that it is found by all
/// names and addresses that its machine has.
pub(crate) struct Hosts(pub Vec<String>);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        for domain in &self.0 {
            let before = name.len().checked_sub(domain.len() + 1);
            let Some(before) = before.filter(|before| *before > 0) else { continue };
            // The dot belongs to it: `notours.example` is not below `ours.example`.
            let (Some(bucket), Some(rest)) = (name.get(..before), name.get(before..)) else { continue };
            if rest.strip_prefix('.').is_some_and(|rest| rest.eq_ignore_ascii_case(domain)) {
                return Ok(VirtualHost::new(domain.as_str()).with_bucket(bucket));
            }
        }
        Ok(VirtualHost::new(name))
    }
}

/// Headers of S3's own that need not be signed: what they say is checked, or says nothing of what is done.
const UNSIGNED: [&str; 2] = ["x-amz-content-sha256", "x-amz-user-agent"];

/// What is refused before anything is looked up.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), S3Error> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Names may be percent-encoded, too.
    let pairs: Vec<_> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
    let query = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref());
    let authorization = text(AUTHORIZATION);
    if authorization.starts_with("AWS ") || query("AWSAccessKeyId").is_some() || query("Signature").is_some() {
        let what = "signatures of version 2 are not taken: sign with AWS4-HMAC-SHA256";
        return Err(refused(S3ErrorCode::InvalidRequest, what));
    }
    if headers.contains_key(AUTHORIZATION) {
        let date = headers.get("x-amz-date").map(HeaderValue::as_bytes).unwrap_or_default();
        let is_date = date.len() == 16
            && date.iter().enumerate().all(|(at, byte)| match at {
                8 => *byte == b'T',
                15 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !authorization.starts_with("AWS4-HMAC-SHA256 ") || !is_date {
            let what = "requests are signed by AWS4-HMAC-SHA256, with x-amz-date as 20260102T030405Z";
            return Err(refused(S3ErrorCode::AccessDenied, what));
        }
    }
    if let Some((name, _)) = pairs.iter().enumerate().find_map(|(at, pair)| {
        let again = pairs.iter().take(at).any(|(key, _)| *key == pair.0);
        (again && pair.0.starts_with("X-Amz-")).then_some(pair)
    }) {
        let what = format!("{name} is there twice");
        return Err(refused(S3ErrorCode::AuthorizationQueryParametersError, what));
    }
    if let Some(expires) = query("X-Amz-Expires")
        && !expires.parse::<u64>().is_ok_and(|seconds| (1..=SIGNED_SECONDS_MAX).contains(&seconds))
    {
        let what = "X-Amz-Expires is 1 to 604800 seconds, a week";
        return Err(refused(S3ErrorCode::AuthorizationQueryParametersError, what));
    }
    if authorization.is_empty()
        && query("X-Amz-Signature").is_none()
        && let Some((name, _)) = pairs.iter().find(|(name, _)| name.starts_with("response-"))
    {
        return Err(refused(S3ErrorCode::InvalidRequest, format!("{name} is for requests that are signed")));
    }
    let content = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes).unwrap_or_default();
    if query("X-Amz-Signature").is_some() && content.starts_with(b"STREAMING-") {
        // The library would take the chunks' frames for the body.
        return Err(crate::errors::not_offered("a body in chunks for a signed URL"));
    }
    let signed = query("X-Amz-SignedHeaders").or_else(|| {
        let parts = authorization.split([',', ' ']);
        parts.map(str::trim).find_map(|part| part.strip_prefix("SignedHeaders="))
    });
    if let Some(signed) = signed {
        // Whoever was given a signed URL does with it what its signer meant, and nothing more.
        let is_signed = |name: &str| signed.split(';').any(|it| it.eq_ignore_ascii_case(name));
        let names = headers.keys().map(HeaderName::as_str);
        let mut own = names.filter(|name| name.starts_with("x-amz-") && !UNSIGNED.contains(name));
        if let Some(name) = own.find(|name| !is_signed(name)) {
            let what = format!("{name} is among the headers and was not signed");
            return Err(refused(S3ErrorCode::AccessDenied, what));
        }
        if !is_signed("host") {
            return Err(refused(S3ErrorCode::AccessDenied, "the host was not signed"));
        }
    }
    if headers.keys().any(|name| name.as_str().starts_with("x-amz-server-side-encryption")) {
        return Err(crate::errors::not_offered("encryption that clients ask for"));
    }
    Ok(())
}

/// A range that is none is as if it had not been said (RFC 9110, section 14.2). What was signed cannot be taken away.
pub(crate) fn forget_range(headers: &mut HeaderMap, uri: &Uri) {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = [text(AUTHORIZATION), uri.query().unwrap_or_default()];
    let signed = signed.iter().any(|text| text.to_ascii_lowercase().contains("range"));
    if !signed && headers.contains_key(RANGE) && Range::parse(text(RANGE)).is_err() {
        headers.remove(RANGE);
    }
}

/// A form, by its bytes: the library would read it whole before it asks who sends it.
pub(crate) fn is_form(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default().trim_ascii_start();
    let begins = |text: &[u8]| kind.get(..text.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(text));
    // Who begins an upload in parts tells the object's type, which may be another of these.
    let upload = || uri.query().unwrap_or_default().split('&').any(|it| it == "uploads" || it.starts_with("uploads="));
    *method == Method::POST && begins(b"multipart/") && (begins(b"multipart/form-data") || !upload())
}

/// From another machine, in the open.
pub(crate) fn in_the_open() -> S3Error {
    named(
        "InsecureTransport",
        StatusCode::FORBIDDEN,
        "come over https: this port takes plain http from its own machine only",
    )
}

/// The error's own document.
pub(crate) fn answer(error: S3Error, request_id: &str) -> HttpResponse {
    let mut error = error;
    error.set_request_id(request_id);
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = HttpResponse::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// What a code means where the library says it without a word.
fn words(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => {
            "the signature is not what this key's secret makes of the request: check the secret, and that nothing between changes the request"
        }
        "InvalidBucketName" => {
            "a bucket's name has 3 to 63 small letters, digits, hyphens and dots, a letter or digit first and last"
        }
        "InvalidRange" => "the range begins behind the end of the object",
        "InvalidURI" => "the path is not UTF-8 in percent-encoding",
        "IncompleteBody" => "the body is not as long as was said",
        "KeyTooLongError" => "a key has at most 1024 bytes",
        "MalformedXML" => "the body is not the XML that this call takes",
        "MethodNotAllowed" => "this method is not for that",
        "MissingRequestBodyError" => "this call takes a body, and none came",
        _ => "the request was refused",
    }
}

/// An error's document has words, and says which request it is to.
pub(crate) fn explain(response: &mut HttpResponse, request_id: &str) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let Some(bytes) = response.body().bytes() else { return };
    let Some(document) = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix("</Error>")) else {
        return;
    };
    let code = document.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let Some((code, rest)) = code else { return };
    let message = match rest.contains("<Message>") {
        true => String::new(),
        false => format!("<Message>{}</Message>", words(code)),
    };
    let id = match rest.contains("<RequestId>") {
        true => String::new(),
        false => format!("<RequestId>{request_id}</RequestId>"),
    };
    *response.body_mut() = Body::from(format!("{document}{message}{id}</Error>"));
    response.headers_mut().remove(CONTENT_LENGTH);
}

/// Every answer says which request it is to. What people put is nothing that may act in a browser: it knows this host by its
/// other ports, too, and brings their cookies.
pub(crate) fn sign(response: &mut HttpResponse, request_id: &str) {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(HeaderName::from_static("x-amz-request-id"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stand_before_a_whole_name() {
        let hosts = Hosts(vec!["s3.example".into()]);
        let bucket = |host: &str| hosts.parse_host_header(host).unwrap().bucket().map(str::to_string);
        assert_eq!(bucket("pics.s3.example:9000").as_deref(), Some("pics"));
        assert_eq!(bucket("a.b.S3.Example").as_deref(), Some("a.b"));
        for own in ["s3.example", "s3.example:9000", "nots3.example", ".s3.example", "localhost:9000", "10.0.0.1"] {
            assert_eq!(bucket(own), None, "{own}");
        }
    }

    #[test]
    fn old_signatures_and_long_lived_urls_are_refused() {
        let check = |uri: &str, authorization: &str| {
            let mut headers = HeaderMap::new();
            if !authorization.is_empty() {
                headers.insert(AUTHORIZATION, authorization.parse().unwrap());
                headers.insert("x-amz-date", HeaderValue::from_static("20261122T000000Z"));
            }
            check(&uri.parse().unwrap(), &headers)
        };
        assert!(check("/a?X-Amz-Expires=604800", "").is_ok());
        for uri in ["/a?X-Amz-Expires=604801", "/a?X-Amz-Expires=0", "/a?X-Amz-Expires=-1", "/a?AWSAccessKeyId=x"] {
            assert!(check(uri, "").is_err(), "{uri}");
        }
        assert!(check("/a?response-content-type=text/html", "").is_err());
        for uri in ["/a?X-Amz-Expire%73=604801", "/a?%53ignature=x", "/a?X-Amz-Expires=1&X-Amz-Expires=9"] {
            assert!(check(uri, "").is_err(), "{uri}");
        }
        assert!(check("/", "AWS x:y").is_err());
        let mut chunks = HeaderMap::new();
        chunks.insert("x-amz-content-sha256", HeaderValue::from_static("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
        let put = |uri: &str| super::check(&uri.parse().unwrap(), &chunks).is_ok();
        assert!(put("/a") && !put("/a?X-Amz-Signature=0&X-Amz-SignedHeaders=host"));
        assert!(check("/", "Basic eDp5").is_err());
        assert!(check("/", "AWS4-HMAC-SHA256 SignedHeaders=host;x-amz-date").is_ok());
    }

    #[test]
    fn what_was_not_signed_is_not_obeyed() {
        let authorization = "AWS4-HMAC-SHA256 Credential=K/20261122/x/s3/aws4_request, \
                             SignedHeaders=host;x-amz-date;x-amz-meta-a, Signature=0";
        let asked = |uri: &str, authorization: &str, names: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.insert(*name, HeaderValue::from_static("x"));
            }
            if !authorization.is_empty() {
                headers.insert(AUTHORIZATION, authorization.parse().unwrap());
                headers.insert("x-amz-date", HeaderValue::from_static("20261122T000000Z"));
            }
            check(&uri.parse().unwrap(), &headers).is_ok()
        };
        assert!(asked("/", authorization, &["x-amz-date", "x-amz-meta-a", "x-amz-content-sha256", "range"]));
        assert!(!asked("/", authorization, &["x-amz-date", "x-amz-copy-source"]));
        assert!(asked("/a?X-Amz-SignedHeaders=host", "", &["content-type"]));
        for name in ["x-amz-copy-source", "x-amz-meta-a", "x-amz-tagging", "x-amz-date"] {
            assert!(!asked("/a?X-Amz-SignedHeaders=host", "", &[name]), "{name}");
        }
        assert!(asked("/a?X-Amz-SignedHeaders=host%3Bx-amz-meta-a", "", &["x-amz-meta-a"]));
        assert!(!asked("/a?X-Amz-SignedHeaders=x-amz-date", "", &[]), "for another host");
    }

    #[test]
    fn ranges_that_are_none_are_forgotten_unless_they_were_signed() {
        let left = |range: &'static str, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(range));
            forget_range(&mut headers, &uri.parse().unwrap());
            headers.contains_key(RANGE)
        };
        for range in ["bytes=0-4", "bytes=-5", "bytes=5-"] {
            assert!(left(range, "/a"), "{range}");
        }
        for range in ["bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=1-2,5-6"] {
            assert!(!left(range, "/a") && left(range, "/a?X-Amz-SignedHeaders=host%3Brange"), "{range}");
        }
    }

    #[test]
    fn errors_have_words() {
        let told = |error: S3Error| {
            let mut response = error.to_http_response().unwrap();
            explain(&mut response, "ID");
            String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
        };
        let wrong = told(S3ErrorCode::SignatureDoesNotMatch.into());
        assert!(
            wrong.contains("<Message>the signature is not what")
                && wrong.ends_with("<RequestId>ID</RequestId></Error>")
        );
        let said = told(refused(S3ErrorCode::AccessDenied, "</Error><Message>"));
        assert_eq!(said.matches("<Message>").count(), 1, "{said}");
        assert!(said.ends_with("&lt;Message&gt;</Message><RequestId>ID</RequestId></Error>"), "{said}");
        let mut found = HttpResponse::new(Body::from("<Error><Code>a</Code></Error>".to_string()));
        explain(&mut found, "ID");
        assert_eq!(found.body().bytes().unwrap(), "<Error><Code>a</Code></Error>");
    }

    #[test]
    fn forms_are_known_however_they_are_written() {
        for kind in
            [&b"multipart/form-data; boundary=x"[..], b" Multipart/Form-Data; boundary=x", b"MULTIPART/x; a=\xff"]
        {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(kind).unwrap());
            let at = Uri::from_static("/pics");
            assert!(is_form(&Method::POST, &at, &headers) && !is_form(&Method::PUT, &at, &headers), "{kind:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("multipart/mixed"));
        for (at, form) in [("/pics", true), ("/pics/a?uploads", false), ("/pics/a?uploads=&x-id=b", false)] {
            assert_eq!(is_form(&Method::POST, &Uri::from_static(at), &headers), form, "{at}");
        }
    }
}
