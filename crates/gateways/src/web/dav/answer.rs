//! What a WebDAV client is told when something is refused: a status, the condition that did not hold as the standard
//! names it (RFC 4918, section 16), and words for people.

use super::xml;
use crate::web::problem::Problem;
use apps::drive::DrivePath;
use apps::drive::locks::Lock;
use apps::{AccountError, DriveError};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use client::ClientError;
use rand::Rng;
use std::time::Duration;

/// How often something is looked at that others change each time before it is acted on.
const LOOKS_MAX: u32 = 12;
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Looking again at what was overtaken.
pub(super) struct Looks<'a> {
    path: &'a DrivePath,
    overtaken: u32,
}

impl Looks<'_> {
    pub fn at(path: &DrivePath) -> Looks<'_> {
        Looks { path, overtaken: 0 }
    }

    /// Was it refused because it was overtaken? Then it is looked at again, after a while, though not for ever.
    pub async fn again(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        self.overtaken += 1;
        if !refusal.overtaken {
            return Err(refusal);
        }
        if self.overtaken >= LOOKS_MAX {
            return Err(DriveError::Conflict { path: self.path.to_string() }.into());
        }
        let most = PAUSE_MAX.min(Duration::from_millis(1 << self.overtaken));
        let pause = rand::rng().random_range(Duration::ZERO..=most);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// Elements of WebDAV's own.
    condition: String,
    message: String,
    retry_after: Option<u64>,
    /// What was looked at was not so any more when it was to be changed, and nothing was.
    overtaken: bool,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, condition: String::new(), message: message.into(), retry_after: None, overtaken: false }
    }

    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    /// The element that names the condition, with its content as XML.
    pub fn condition(self, name: &str, content: &str) -> Refusal {
        Refusal { condition: format!("<D:{name}>{content}</D:{name}>"), ..self }
    }

    /// It may be done, or be done later.
    pub fn unknown(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// What was looked at may have changed before it was written: then it is to be looked at again.
    pub fn overtaken(error: DriveError) -> Refusal {
        let overtaken = matches!(error, DriveError::Exists { .. } | DriveError::Changed { .. });
        Refusal { overtaken, ..Refusal::from(error) }
    }

    /// There is a bound (RFC 4918, section 11.5).
    pub fn too_many(error: DriveError) -> Refusal {
        match error {
            DriveError::Invalid(_) => Refusal { status: StatusCode::INSUFFICIENT_STORAGE, ..Refusal::from(error) },
            error => Refusal::overtaken(error),
        }
    }

    /// The resource has a lock that was not shown.
    pub fn locked(lock: &Lock, href: &str) -> Refusal {
        Refusal::new(StatusCode::LOCKED, said_of(lock)).condition("lock-token-submitted", &element("href", href))
    }

    /// Another lock is in the way of a new one.
    pub fn lock_conflicts(lock: &Lock, href: &str) -> Refusal {
        Refusal::new(StatusCode::LOCKED, said_of(lock)).condition("no-conflicting-lock", &element("href", href))
    }
}

fn said_of(lock: &Lock) -> String {
    let minutes = lock.asked.lasts.as_secs().div_ceil(60);
    let (path, name) = (&lock.asked.path, &lock.asked.name);
    format!("{path} is locked by {name}. A lock ends by itself after at most {minutes} min without being renewed.")
}

/// One of WebDAV's elements with a text in it.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<D:{name}>{}</D:{name}>", xml::text(text))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <D:error xmlns:D=\"DAV:\">{}<message xmlns=\"urn:atoll\">{}</message></D:error>\n",
            self.condition,
            xml::text(&self.message)
        );
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let value = HeaderValue::from_static("Basic realm=\"Atoll\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        let message = format!("{} {} ({})", problem.message, problem.action, problem.id);
        let refusal = Refusal { retry_after: problem.retry_after, ..Refusal::new(problem.status, message) };
        match problem.kind {
            "quota" => refusal.condition("quota-not-exceeded", ""),
            "no_space" => refusal.condition("sufficient-disk-space", ""),
            _ => refusal,
        }
    }
}

impl From<DriveError> for Refusal {
    fn from(error: DriveError) -> Refusal {
        let status = match &error {
            DriveError::NotAFolder { .. } => Some(StatusCode::CONFLICT),
            DriveError::IsAFolder { .. } => Some(StatusCode::METHOD_NOT_ALLOWED),
            DriveError::Cycle { .. } => Some(StatusCode::FORBIDDEN),
            DriveError::FolderFull { .. } => Some(StatusCode::INSUFFICIENT_STORAGE),
            _ => None,
        };
        let refusal = Refusal::from(Problem::from(error));
        Refusal { status: status.unwrap_or(refusal.status), ..refusal }
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Refusal {
        Problem::from(error).into()
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Refusal {
        Problem::from(error).into()
    }
}
