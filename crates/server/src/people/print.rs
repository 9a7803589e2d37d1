//! People as text and as JSON.

use crate::failure::Outcome;
use crate::output;
use client::remote::people::{AccessKey, AppPassword, AuditEntry, InvitationInfo, Leaving, SessionInfo, UserInfo};
use serde_json::{Value, json};
use types::WallMillis;

/// Text of others, harmless on a terminal.
fn plain(text: &str) -> String {
    output::printable(text.as_bytes())
}

pub(super) fn date(ms: u64) -> String {
    if ms == 0 { "never".into() } else { output::date(WallMillis(ms)) }
}

pub(super) fn quota(quota: Option<u64>) -> String {
    quota.map_or("as for everybody".into(), output::size)
}

pub(super) fn user_json(user: &UserInfo) -> Value {
    json!({
        "id": user.id, "name": user.name, "display_name": user.display_name, "role": user.role,
        "disabled": user.disabled, "created": user.created_ms, "quota": user.quota,
        "used": user.used,
    })
}

/// `usual`: the quota of those who have none of their own.
pub(super) fn users(users: &[UserInfo], usual: Option<u64>) -> Outcome {
    let mut text = output::table(["name", "shown as", "role", "used", "quota", "state", "since"]);
    for user in users {
        let state = if user.disabled { "disabled" } else { "active" };
        let (shown, since) = (plain(&user.display_name), date(user.created_ms));
        let used = user.used.map_or(String::new(), output::size);
        let bound = user.quota.or(usual).map_or("no bound".into(), output::size);
        text.add_row([&user.name, &shown, &user.role, &used, &bound, state, &since]);
    }
    output::print(output::table_text(&text))
}

pub(super) fn leaving_json(leaving: &Leaving) -> Value {
    json!({"sessions": leaving.sessions, "app_passwords": leaving.app_passwords, "estates": leaving.estates})
}

/// What would go, in words.
pub(super) fn leaving(leaving: &Leaving) -> String {
    let mut words = vec![
        output::count(leaving.sessions.into(), "session"),
        output::count(leaving.app_passwords.into(), "app password"),
    ];
    words.extend(leaving.estates.iter().map(|text| plain(text)));
    words.join(", ")
}

pub(super) fn sessions(sessions: &[SessionInfo], json: bool) -> Outcome {
    if json {
        let all: Vec<Value> = sessions
            .iter()
            .map(|session| {
                json!({
                    "id": session.id, "device": session.device, "address": session.address,
                    "created": session.created_ms, "used": session.used_ms, "expires": session.expires_ms,
                    "current": session.current,
                })
            })
            .collect();
        return output::json(&all);
    }
    let mut text = output::table(["id", "device", "from", "last used", ""]);
    for session in sessions {
        let (device, used) = (plain(&session.device), date(session.used_ms));
        let current = if session.current { "this one" } else { "" };
        text.add_row([&session.id, &device, &session.address, &used, current]);
    }
    output::print(output::table_text(&text))
}

pub(super) fn app_password_json(app: &AppPassword) -> Value {
    json!({
        "id": app.id, "label": app.label, "protocols": app.protocols, "write": app.write, "created": app.created_ms,
        "used": (app.used_ms > 0).then_some(app.used_ms), "used_from": app.used_from,
    })
}

pub(super) fn app_passwords(apps: &[AppPassword]) -> Outcome {
    let mut text = output::table(["id", "for", "opens", "may", "last used"]);
    for app in apps {
        let may = if app.write { "read and write" } else { "read" };
        let (label, used) = (plain(&app.label), date(app.used_ms));
        text.add_row([&app.id, &label, &app.protocols.join(", "), may, &used]);
    }
    output::print(output::table_text(&text))
}

pub(super) fn invitations(all: &[InvitationInfo], json: bool) -> Outcome {
    if json {
        let all: Vec<Value> = all
            .iter()
            .map(|it| {
                json!({
                    "id": it.id, "role": it.role, "note": it.note, "by": it.by, "created": it.created_ms,
                    "expires": it.expires_ms,
                })
            })
            .collect();
        return output::json(&all);
    }
    let mut text = output::table(["id", "for", "role", "made by", "until"]);
    for it in all {
        text.add_row([&it.id, &plain(&it.note), &it.role, &it.by, &date(it.expires_ms)]);
    }
    output::print(output::table_text(&text))
}

pub(super) fn audit_json(line: &AuditEntry) -> Value {
    json!({
        "at": line.at_ms, "action": line.action, "actor": line.actor, "subject": line.subject,
        "address": line.address, "device": line.device, "detail": line.detail,
    })
}

pub(super) fn audit(lines: &[AuditEntry]) -> Outcome {
    let mut text = output::table(["when", "who", "what", "whom", "from", "detail"]);
    for line in lines {
        let (at, detail) = (date(line.at_ms), plain(&line.detail));
        text.add_row([&at, &line.actor, &line.action, &line.subject, &line.address, &detail]);
    }
    output::print(output::table_text(&text))
}

pub(super) fn access_keys(keys: &[AccessKey]) -> Outcome {
    let mut text = output::table(["access key", "for", "may", "buckets", "last used"]);
    for key in keys {
        let may = match (key.read, key.write) {
            (true, true) => "read and write",
            (true, false) => "read",
            _ => "write",
        };
        let buckets = if key.buckets.is_empty() { "all".to_string() } else { key.buckets.join(", ") };
        let (label, used) = (plain(&key.label), date(key.used_ms));
        text.add_row([&key.id, &label, may, &buckets, &used]);
    }
    output::print(output::table_text(&text))
}
