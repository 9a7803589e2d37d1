//! Pages of other sites: which of them browsers may let ask, by the rules of the bucket (the Fetch standard's CORS).

use crate::errors::{argument, named, refused};
use crate::front::Hosts;
use crate::gateway::Gateway;
use apps::accounts::CorsRule;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use s3s::dto::CORSRule;
use s3s::host::S3Host;
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};

/// Rules of one bucket: as S3 has it.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// On what of a request an answer depends.
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// A rule as it is kept.
pub(crate) fn rule(told: CORSRule) -> S3Result<CorsRule> {
    let wrong = |what: &str| Err(refused(S3ErrorCode::MalformedXML, format!("a CORS rule {what}")));
    if told.allowed_origins.is_empty() || told.allowed_methods.is_empty() {
        return wrong("has an AllowedOrigin and an AllowedMethod at least");
    }
    for method in &told.allowed_methods {
        if !METHODS.contains(&method.as_str()) {
            let what = format!("{method:?} is no method of a CORS rule: those are {}", METHODS.join(", "));
            return Err(refused(S3ErrorCode::InvalidRequest, what));
        }
    }
    let headers = told.allowed_headers.unwrap_or_default();
    let exposed = told.expose_headers.unwrap_or_default();
    for pattern in told.allowed_origins.iter().chain(&headers) {
        if pattern.matches('*').count() > 1 {
            return Err(refused(S3ErrorCode::InvalidRequest, format!("{pattern:?} has more than one *")));
        }
    }
    let name = |text: &String| !text.contains('*') && HeaderName::from_bytes(text.as_bytes()).is_ok();
    if !exposed.iter().all(name) {
        return Err(refused(S3ErrorCode::InvalidRequest, "an ExposeHeader is a header's name, without *"));
    }
    if told.max_age_seconds.is_some_and(|seconds| seconds < 0) {
        return Err(argument("MaxAgeSeconds is 0 or more"));
    }
    Ok(CorsRule {
        id: told.id.unwrap_or_default(),
        origins: told.allowed_origins,
        methods: told.allowed_methods,
        headers,
        exposed,
        seconds: told.max_age_seconds,
    })
}

pub(crate) fn rules(told: Vec<CORSRule>) -> S3Result<Vec<CorsRule>> {
    if told.is_empty() || told.len() > RULES_MAX {
        return Err(refused(S3ErrorCode::MalformedXML, "a bucket has 1 to 100 CORS rules"));
    }
    told.into_iter().map(rule).collect()
}

/// A rule as S3 tells it.
pub(crate) fn told(rule: CorsRule) -> CORSRule {
    let some = |all: Vec<String>| Some(all).filter(|all| !all.is_empty());
    CORSRule {
        allowed_headers: some(rule.headers),
        allowed_methods: rule.methods,
        allowed_origins: rule.origins,
        expose_headers: some(rule.exposed),
        id: Some(rule.id).filter(|id| !id.is_empty()),
        max_age_seconds: rule.seconds,
    }
}

/// Does the text fit a pattern with at most one `*`?
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end),
    }
}

/// The first rule that lets a page of that origin use the method with those headers; names in small letters.
fn allowing<'a>(rules: &'a [CorsRule], origin: &str, method: &str, headers: &[String]) -> Option<&'a CorsRule> {
    rules.iter().find(|rule| {
        rule.methods.iter().any(|it| it == method)
            && rule.origins.iter().any(|it| fits(it, origin))
            && headers.iter().all(|name| rule.headers.iter().any(|it| fits(&it.to_ascii_lowercase(), name)))
    })
}

/// What the browser is told of the rule that lets a page of that origin in.
fn say(rule: &CorsRule, origin: &HeaderValue, headers: &mut HeaderMap) {
    let anybody = rule.origins.iter().any(|it| it == "*");
    let value = |text: String| HeaderValue::from_str(&text).ok();
    let said = if anybody { HeaderValue::from_static("*") } else { origin.clone() };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, said);
    if !anybody {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(methods) = value(rule.methods.join(", ")) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if !rule.exposed.is_empty()
        && let Some(exposed) = value(rule.exposed.join(", "))
    {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    if let Some(seconds) = rule.seconds {
        headers.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
    headers.insert(VARY, HeaderValue::from_static(VARIES));
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn refusal(what: &str) -> S3Error {
    named("AccessForbidden", StatusCode::FORBIDDEN, format!("CORSResponse: {what}"))
}

/// What of a request says whether a page may see the answer.
pub(crate) struct Page {
    bucket: String,
    origin: HeaderValue,
    method: Method,
}

impl Gateway {
    /// The bucket that a request is about, by its host or its path.
    pub(crate) fn bucket_named(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let hosts = Hosts(self.settings().domains.clone());
        let host = text(headers, HOST).and_then(|host| hosts.parse_host_header(host).ok());
        if let Some(bucket) = host.as_ref().and_then(|host| host.bucket()) {
            return Some(bucket.to_string());
        }
        let first = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
        // Of a bucket's name nothing is ever encoded.
        Some(first.to_string()).filter(|name| !name.is_empty() && !name.contains('%'))
    }

    async fn cors_of(&self, bucket: &str) -> Vec<CorsRule> {
        let place = self.accounts().bucket_place(bucket).await;
        place.ok().flatten().map(|place| place.rules.cors).unwrap_or_default()
    }

    /// Whether a browser may send what a page wants it to. Nobody signs that question.
    pub(crate) async fn preflight(&self, uri: &Uri, headers: &HeaderMap) -> Result<HttpResponse, S3Error> {
        let Some(origin) = headers.get(ORIGIN) else {
            let what = "OPTIONS asks for pages of other sites: say Origin and Access-Control-Request-Method";
            return Err(named("BadRequest", StatusCode::BAD_REQUEST, what));
        };
        let Some(method) = text(headers, ACCESS_CONTROL_REQUEST_METHOD) else {
            return Err(named("BadRequest", StatusCode::BAD_REQUEST, "say Access-Control-Request-Method"));
        };
        let bucket = self.bucket_named(uri, headers).unwrap_or_default();
        let rules = self.cors_of(&bucket).await;
        if rules.is_empty() {
            return Err(refusal("CORS is not enabled for this bucket"));
        }
        let asked = text(headers, ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let names: Vec<String> =
            asked.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
        let rule = allowing(&rules, origin.to_str().unwrap_or_default(), method, &names);
        let rule = rule.ok_or_else(|| refusal("no CORS rule of this bucket allows that"))?;
        let mut response = HttpResponse::new(Body::empty());
        say(rule, origin, response.headers_mut());
        if !names.is_empty()
            && let Ok(names) = HeaderValue::from_str(&names.join(", "))
        {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        Ok(response)
    }

    /// What is to be known of a request whose answer a page may want to see.
    pub(crate) fn asking_page(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Page> {
        let origin = headers.get(ORIGIN)?.clone();
        Some(Page { bucket: self.bucket_named(uri, headers)?, origin, method: method.clone() })
    }

    /// Lets the page see the answer, if a rule does.
    pub(crate) async fn show(&self, page: Page, headers: &mut HeaderMap) {
        let rules = self.cors_of(&page.bucket).await;
        if !rules.is_empty() {
            // Also where none fits: to another origin the answer may be another.
            headers.insert(VARY, HeaderValue::from_static(VARIES));
        }
        if let Some(rule) = allowing(&rules, page.origin.to_str().unwrap_or_default(), page.method.as_str(), &[]) {
            say(rule, &page.origin, headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        let all = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        CorsRule { origins: all(origins), methods: all(methods), headers: all(headers), ..CorsRule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules =
            [rule(&["https://*.example"], &["PUT"], &["x-amz-*", "Content-Type"]), rule(&["*"], &["GET", "HEAD"], &[])];
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| name.to_string()).collect() };
        let at = |origin, method, headers: &[&str]| {
            let found = allowing(&rules, origin, method, &names(headers))?;
            rules.iter().position(|rule| rule == found)
        };
        assert_eq!(at("https://a.example", "PUT", &["x-amz-date", "content-type"]), Some(0));
        assert_eq!(at("https://a.example", "PUT", &["authorization"]), None);
        assert_eq!(at("https://example", "PUT", &[]), None);
        assert_eq!(at("http://a.example", "PUT", &[]), None);
        assert_eq!(at("http://anything", "GET", &[]), Some(1));
        assert_eq!(at("http://anything", "DELETE", &[]), None);
        assert!(fits("a*a", "aa") && !fits("a*a", "a"));
    }

    #[test]
    fn credentials_are_not_for_everybody() {
        let origin = HeaderValue::from_static("https://a.example");
        let mut open = HeaderMap::new();
        say(&rule(&["*"], &["GET"], &[]), &origin, &mut open);
        assert_eq!(open[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!open.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let mut one = HeaderMap::new();
        say(&rule(&["https://a.example"], &["GET"], &[]), &origin, &mut one);
        assert_eq!(one[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(one.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
