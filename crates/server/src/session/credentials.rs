//! `credentials.json`: sessions, readable by their owner only.

use crate::failure::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
/// Sessions kept; the oldest goes first.
const SESSIONS_MAX: usize = 32;

/// All stored sessions, the current one first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    format: u32,
    sessions: Vec<Session>,
    /// Proof of having signed in from here before, newest first: it opens nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Known>,
}

/// That this machine has signed somebody in before.
#[derive(Clone, Serialize, Deserialize)]
struct Known {
    cluster: String,
    user: String,
    token: String,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("cluster", &self.cluster).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A session at a cluster.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// gRPC addresses of the cluster's nodes, the one that answered last first.
    pub addresses: Vec<String>,
    /// Those that a person named at the login, which may be a proxy's: kept although no member goes by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// Which cluster it is good for; the token is shown to no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Certificate of the authority that was trusted at the login (PEM); none: those that this machine trusts anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The cluster's own authority (PEM), where a way that was trusted without it told of it: believed besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<String>,
    /// Whose it is.
    pub user: String,
    /// What proves it. A secret.
    pub token: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("addresses", &self.addresses).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials { format: FORMAT, sessions: Vec::new(), devices: Vec::new() }
    }
}

impl Credentials {
    /// Reads the stored sessions; none is fine.
    pub fn load() -> Outcome<Credentials> {
        Credentials::load_from(&path()?)
    }

    /// Writes them.
    pub fn save(&self) -> Outcome {
        self.save_to(&path()?)
    }

    fn load_from(path: &Path) -> Outcome<Credentials> {
        let bad = |why: String| {
            Failure::failed(format!("{} cannot be used: {why}", path.display())).next("remove it, then: atoll login")
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let stored: Credentials = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
                if stored.format != FORMAT {
                    return Err(bad(format!("it has format {}, this release reads {FORMAT}", stored.format)));
                }
                Ok(stored)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Credentials::default()),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    fn save_to(&self, path: &Path) -> Outcome {
        let write = || -> std::io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("."));
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // A name of its own: two commands may write at the same time.
            let draft = path.with_extension(format!("{}.new", std::process::id()));
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        write().map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
    }

    /// The session last made.
    pub fn current(&self) -> Option<&Session> {
        self.sessions.first()
    }

    /// The session of any of these addresses.
    pub fn of(&self, addresses: &[String]) -> Option<&Session> {
        self.sessions.iter().find(|session| addresses.iter().any(|address| session.addresses.contains(address)))
    }

    /// Adds a session, in place of any at the same cluster or that begins with an address of it; it is then the
    /// current one.
    pub fn remember(&mut self, session: Session) {
        self.sessions.retain(|old| {
            let same_place = old.addresses.first().is_none_or(|first| session.addresses.contains(first));
            !(same_place || (old.cluster.is_some() && old.cluster == session.cluster))
        });
        self.sessions.insert(0, session);
        self.sessions.truncate(SESSIONS_MAX);
    }

    /// Where the session with this token is to be looked for from now on. True when that is news.
    pub fn moved(&mut self, token: &str, addresses: &[String]) -> bool {
        match self.sessions.iter_mut().find(|session| session.token == token) {
            Some(session) => {
                let kept = session.given.iter().filter(|given| !addresses.contains(given));
                let all: Vec<String> = addresses.iter().chain(kept).cloned().collect();
                let news = all != session.addresses;
                session.addresses = all;
                news
            }
            None => false,
        }
    }

    /// Whom the session's gateways are certified by, heard by a way that was trusted without it. True when that is news.
    pub fn learned(&mut self, token: &str, authority: &str) -> bool {
        let lacks =
            |session: &&mut Session| session.authority.is_none() && session.learned.as_deref() != Some(authority);
        let found = self.sessions.iter_mut().find(|session| session.token == token);
        found.filter(lacks).map(|session| session.learned = Some(authority.to_string())).is_some()
    }

    /// Puts a new token in place of one that has ended. False when that one is not stored here.
    pub fn replace(&mut self, old: &str, new: &str) -> bool {
        let found = self.sessions.iter_mut().find(|session| session.token == old);
        found.map(|session| session.token = new.to_string()).is_some()
    }

    /// The proof that this user has signed in from here before.
    pub fn known(&self, cluster: Option<&str>, user: &str) -> Option<&str> {
        let here = |known: &&Known| Some(known.cluster.as_str()) == cluster && known.user == user;
        self.devices.iter().find(here).map(|known| known.token.as_str())
    }

    /// Keeps that proof.
    pub fn know(&mut self, cluster: &str, user: &str, token: &str) {
        self.devices.retain(|known| known.cluster != cluster || known.user != user);
        let known = Known { cluster: cluster.into(), user: user.into(), token: token.into() };
        self.devices.insert(0, known);
        self.devices.truncate(SESSIONS_MAX);
    }

    /// Drops the session with this token.
    pub fn forget(&mut self, token: &str) {
        self.sessions.retain(|session| session.token != token);
    }
}

/// Where the file is: in `ATOLL_CONFIG_DIR`, else `~/.config/atoll`.
fn path() -> Outcome<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = var("ATOLL_CONFIG_DIR")
        .or_else(|| var("XDG_CONFIG_HOME").map(|folder| folder.join("atoll")))
        .or_else(|| var("HOME").map(|home| home.join(".config/atoll")));
    folder.map(|folder| folder.join("credentials.json")).ok_or_else(|| {
        Failure::failed("there is no place for the session: HOME is not set").next("set ATOLL_CONFIG_DIR to a folder")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn sessions_come_back_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("made/credentials.json");
        let mut stored = Credentials::load_from(&path).expect("nothing is fine");
        for (address, token) in [("a:1", "1"), ("b:1", "2"), ("a:1", "3")] {
            let addresses = vec![address.into()];
            stored.remember(Session {
                addresses,
                given: vec![],
                cluster: None,
                authority: None,
                learned: None,
                user: "u".into(),
                token: token.into(),
            });
        }
        stored.save_to(&path).expect("save");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(folder.path().join("made").as_path()), 0o700);
        let mut back = Credentials::load_from(&path).expect("load");
        assert_eq!(back.current().map(|s| s.token.as_str()), Some("3"));
        assert_eq!(back.sessions.len(), 2);
        back.forget("3");
        assert_eq!(back.current().map(|s| s.token.as_str()), Some("2"));
        assert!(!format!("{back:?}").contains("\"2\""), "tokens stay out of logs");
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("credentials.json");
        std::fs::write(&path, "{").expect("write");
        assert!(Credentials::load_from(&path).is_err());
    }
}
