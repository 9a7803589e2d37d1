//! Accounts as messages.

use apps::User;
use apps::accounts::{
    AccessKey, AppPassword, AuditLine, FactorState, Invitation, Leaving, Policy, RecoveryState, Relay, RelayStatus,
    SessionInfo,
};
use rpc::grpc::v1;

pub(super) fn user(user: &User) -> v1::UserInfo {
    v1::UserInfo {
        id: user.id.to_string(),
        name: user.name.clone(),
        display_name: user.display.clone(),
        role: user.role.as_str().to_string(),
        disabled: user.disabled,
        created_ms: user.created.0,
        quota: user.quota,
        used: None,
    }
}

/// With the bytes that they keep.
pub(super) fn user_with(user: &User, used: u64) -> v1::UserInfo {
    v1::UserInfo { used: Some(used), ..self::user(user) }
}

pub(super) fn sessions(found: Vec<SessionInfo>) -> v1::SessionList {
    let session = |session: SessionInfo| v1::SessionInfo {
        id: session.id,
        device: session.device,
        address: session.address,
        created_ms: session.created.0,
        used_ms: session.used.0,
        expires_ms: session.expires.0,
        current: session.current,
    };
    v1::SessionList { sessions: found.into_iter().map(session).collect() }
}

pub(super) fn app_password(app: AppPassword) -> v1::AppPassword {
    v1::AppPassword {
        id: app.id,
        label: app.label,
        protocols: app.scope.protocols.iter().map(ToString::to_string).collect(),
        write: app.scope.write,
        created_ms: app.created.0,
        used_ms: app.used.map_or(0, |used| used.0),
        used_from: app.used_from,
    }
}

pub(super) fn access_key(key: AccessKey) -> v1::AccessKey {
    v1::AccessKey {
        id: key.id,
        label: key.label,
        read: key.scope.read,
        write: key.scope.write,
        buckets: key.scope.buckets,
        created_ms: key.created.0,
        used_ms: key.used.map_or(0, |used| used.0),
        used_from: key.used_from,
    }
}

pub(super) fn factor(state: FactorState) -> v1::SecondFactor {
    v1::SecondFactor {
        on: state.since.is_some(),
        since_ms: state.since.map_or(0, |since| since.0),
        recovery_codes: state.recovery_codes as u32,
    }
}

pub(super) fn leaving(leaving: Leaving) -> v1::Leaving {
    v1::Leaving {
        sessions: leaving.sessions as u32,
        app_passwords: leaving.app_passwords as u32,
        estates: leaving.estates.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn invitation(invitation: Invitation) -> v1::InvitationInfo {
    v1::InvitationInfo {
        id: invitation.id,
        role: invitation.role.as_str().to_string(),
        note: invitation.note,
        by: invitation.by,
        created_ms: invitation.created.0,
        expires_ms: invitation.expires.0,
    }
}

pub(super) fn policy(policy: Policy) -> v1::AccountPolicy {
    v1::AccountPolicy {
        sign_up: policy.sign_up.as_str().to_string(),
        quota: policy.quota,
        audit_days: policy.audit_days,
        users_max: policy.users_max,
        drive_quota: policy.drive_quota,
        drives_max: Some(policy.drives_max),
    }
}

pub(super) fn audit(line: AuditLine) -> v1::AuditEntry {
    v1::AuditEntry {
        at_ms: line.at.0,
        action: line.action,
        actor: line.actor_name,
        subject: line.subject_name,
        address: line.address,
        device: line.device,
        detail: line.detail,
    }
}

pub(super) fn recovery(state: RecoveryState) -> v1::Recovery {
    let (address, since) = state.address.unzip();
    v1::Recovery {
        address: address.unwrap_or_default(),
        since_ms: since.map_or(0, |since| since.0),
        pending: state.pending.unwrap_or_default(),
    }
}

/// Without the relay's password.
pub(super) fn mail((relay, status): (Relay, RelayStatus)) -> v1::MailState {
    let (from, tls) = (relay.sender(), relay.tls.as_str().to_string());
    let Relay { host, port, user, site, .. } = relay;
    let (failed, why) = status.failed.unzip();
    v1::MailState {
        relay: Some(v1::MailRelay { host, port: port.into(), tls, user, password: None, from, site }),
        sent_ms: status.sent.map_or(0, |at| at.0),
        failed_ms: failed.map_or(0, |at| at.0),
        failure: why.unwrap_or_default(),
        waiting: status.waiting,
    }
}
