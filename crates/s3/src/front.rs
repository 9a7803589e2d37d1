//! What stands before the S3 library: what it lets through and we do not, and what it does not say.

use crate::errors::{named, refused};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::host::{S3Host, VirtualHost};
use s3s::{HttpResponse, S3Error, S3ErrorCode, S3Result};

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

/// What is refused before anything is looked up.
pub(crate) fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), S3Error> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query = |name: &str| {
        let mut pairs =
            uri.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if text(AUTHORIZATION).starts_with("AWS ") || query("AWSAccessKeyId").is_some() || query("Signature").is_some() {
        let what = "signatures of version 2 are not taken: sign with AWS4-HMAC-SHA256";
        return Err(refused(S3ErrorCode::InvalidRequest, what));
    }
    if let Some(expires) = query("X-Amz-Expires")
        && !expires.parse::<u64>().is_ok_and(|seconds| (1..=SIGNED_SECONDS_MAX).contains(&seconds))
    {
        let what = "X-Amz-Expires is 1 to 604800 seconds, a week";
        return Err(refused(S3ErrorCode::AuthorizationQueryParametersError, what));
    }
    if *method == Method::POST && text(CONTENT_TYPE).starts_with("multipart/form-data") {
        return Err(crate::errors::not_offered("upload by a form"));
    }
    Ok(())
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

/// Every answer says which request it is to.
pub(crate) fn sign(response: &mut HttpResponse, request_id: &str) {
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
            headers.insert(AUTHORIZATION, authorization.parse().unwrap());
            check(&Method::GET, &uri.parse().unwrap(), &headers)
        };
        assert!(check("/a?X-Amz-Expires=604800", "").is_ok());
        for uri in ["/a?X-Amz-Expires=604801", "/a?X-Amz-Expires=0", "/a?X-Amz-Expires=-1", "/a?AWSAccessKeyId=x"] {
            assert!(check(uri, "").is_err(), "{uri}");
        }
        assert!(check("/", "AWS x:y").is_err());
        assert!(check("/", "AWS4-HMAC-SHA256 x").is_ok());
    }
}
