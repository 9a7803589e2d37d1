//! What went wrong, by S3's names. The messages are our own words, which say what to do.

use apps::{AccountError, DriveError};
use client::ClientError;
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode};
use types::{Action, Classify};

/// An error with words.
pub(crate) fn refused(code: S3ErrorCode, message: impl Into<String>) -> S3Error {
    S3Error::with_message(code, message.into())
}

/// A code that the library has no name for.
pub(crate) fn named(name: &'static str, status: StatusCode, message: impl Into<String>) -> S3Error {
    let mut error = refused(S3ErrorCode::Custom(name.into()), message);
    error.set_status_code(status);
    error
}

/// What is not offered is said so.
pub(crate) fn not_offered(what: &str) -> S3Error {
    refused(S3ErrorCode::NotImplemented, format!("{what} is not offered here"))
}

pub(crate) fn argument(message: impl Into<String>) -> S3Error {
    refused(S3ErrorCode::InvalidArgument, message)
}

pub(crate) fn no_such_key(key: &str) -> S3Error {
    refused(S3ErrorCode::NoSuchKey, format!("there is no object {key:?}"))
}

pub(crate) fn of_drive(error: DriveError) -> S3Error {
    let said = error.to_string();
    match error {
        DriveError::NotFound { .. } => refused(S3ErrorCode::NoSuchKey, said),
        DriveError::Exists { .. } | DriveError::Changed { .. } => {
            refused(S3ErrorCode::PreconditionFailed, "the object there is not the one that the condition names")
        }
        DriveError::Conflict { .. } => refused(S3ErrorCode::SlowDown, said),
        DriveError::NoSuchVersion { .. } => refused(S3ErrorCode::NoSuchVersion, said),
        DriveError::NoSuchUpload { .. } => refused(S3ErrorCode::NoSuchUpload, said),
        DriveError::Quota { .. } => named("QuotaExceeded", StatusCode::FORBIDDEN, said),
        DriveError::FolderFull { .. } => named("QuotaExceeded", StatusCode::FORBIDDEN, said),
        DriveError::Client(error) => of_client(error),
        DriveError::Locked { .. } => refused(S3ErrorCode::AccessDenied, said),
        DriveError::LockedDrive => named("InvalidBucketState", StatusCode::CONFLICT, said),
        DriveError::Damaged(_) => refused(S3ErrorCode::InternalError, said),
        _ => refused(S3ErrorCode::InvalidRequest, said),
    }
}

pub(crate) fn of_account(error: AccountError) -> S3Error {
    let said = error.to_string();
    match error {
        AccountError::NotFound { what: "access key" } => {
            refused(S3ErrorCode::InvalidAccessKeyId, "there is no such access key: it was removed, or never made")
        }
        AccountError::NotFound { .. } => refused(S3ErrorCode::NoSuchBucket, "there is no such bucket"),
        AccountError::Forbidden { .. } | AccountError::DriveRole { .. } => refused(S3ErrorCode::AccessDenied, said),
        AccountError::TooMany { .. } | AccountError::TooManyTries { .. } => refused(S3ErrorCode::TooManyBuckets, said),
        AccountError::NameTaken { .. } => refused(S3ErrorCode::BucketAlreadyExists, said),
        AccountError::BadName { .. } => refused(S3ErrorCode::InvalidBucketName, said),
        AccountError::Conflict | AccountError::Busy => refused(S3ErrorCode::OperationAborted, said),
        AccountError::Client(error) => of_client(error),
        AccountError::Damaged(_) => refused(S3ErrorCode::InternalError, said),
        _ => refused(S3ErrorCode::InvalidRequest, said),
    }
}

pub(crate) fn of_client(error: ClientError) -> S3Error {
    let said = error.to_string();
    match (&error, error.action()) {
        // The body broke off, or was not what was said of it.
        (ClientError::Source(_), _) => refused(S3ErrorCode::IncompleteBody, said),
        (_, Action::Unknown) => refused(
            S3ErrorCode::InternalError,
            format!("it may have been done or not, look before you repeat it: {said}"),
        ),
        (ClientError::NoSpace { .. }, _) => named("InsufficientStorage", StatusCode::INSUFFICIENT_STORAGE, said),
        (_, Action::Retry | Action::RefreshLayout | Action::Fatal) => refused(S3ErrorCode::ServiceUnavailable, said),
        (ClientError::Invalid(_), _) => refused(S3ErrorCode::InvalidRequest, said),
        _ => refused(S3ErrorCode::ServiceUnavailable, said),
    }
}
