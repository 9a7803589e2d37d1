//! Who talks to which cluster: stored sessions, and the connection that a command uses.
//!
//! **Owns** `credentials.json` and the choice between it, flags and variables.
//! **Invariant**: a stored token is sent only to addresses that it was stored
//! with, so that no configuration file or variable can lead it elsewhere.
//! **Leaves to others**: retries and failover (`client::remote`).

mod credentials;
pub mod login;

pub use credentials::{Credentials, Session};

use crate::cli::ServerArgs;
use crate::demo::state;
use crate::failure::{Failure, Outcome};
use client::remote::Remote;

/// The address when nothing says otherwise.
const DEFAULT_SERVER: &str = "127.0.0.1:7070";

/// A connection for a command of a signed-in person.
pub async fn connect(args: &ServerArgs) -> Outcome<Remote> {
    let (addresses, token) = choose(args, &Credentials::load()?)?;
    Ok(Remote::connect(addresses, Some(token)).await?)
}

/// Addresses and token, from flags, variables and the stored sessions.
pub fn choose(args: &ServerArgs, stored: &Credentials) -> Outcome<(Vec<String>, String)> {
    let named: Vec<String> = args.server.iter().map(|address| normal(address)).collect::<Outcome<_>>()?;
    if let Some(token) = &args.token {
        let addresses = if named.is_empty() { vec![DEFAULT_SERVER.to_string()] } else { named };
        return Ok((addresses, token.clone()));
    }
    if named.is_empty() {
        let session = stored.current().ok_or_else(|| {
            let hint = if state::here().is_some() {
                "atoll login   (this is a demo's folder: no address or password needed)"
            } else {
                "atoll login HOST:7070"
            };
            Failure::failed("you are not logged in").next(hint)
        })?;
        return Ok((session.addresses.clone(), session.token.clone()));
    }
    let session = stored.of(&named).ok_or_else(|| {
        Failure::failed(format!("you are not logged in at {}", named.join(", ")))
            .safe("no stored session was sent there")
            .next(format!("atoll login {}", named[0]))
    })?;
    // The named ones first; the others of the same session stay in reserve.
    let mut addresses: Vec<String> = named.into_iter().filter(|address| session.addresses.contains(address)).collect();
    let others: Vec<String> = session.addresses.iter().filter(|other| !addresses.contains(other)).cloned().collect();
    addresses.extend(others);
    Ok((addresses, session.token.clone()))
}

/// One spelling per address: `host:port`, the default port added, any `http://` dropped.
pub fn normal(address: &str) -> Outcome<String> {
    let text = address.trim().trim_start_matches("http://").trim_end_matches('/');
    let bad = || {
        Failure::usage(format!("{address:?} is not an address"))
            .next("write it as HOST or HOST:PORT, such as localhost:7070")
    };
    if text.is_empty() || text.contains(['/', '@', ' ', '?', '#']) {
        return Err(bad());
    }
    let port_at = match text.rfind(']') {
        Some(bracket) => text[bracket..].find(':').map(|colon| bracket + colon),
        None => text.find(':'),
    };
    match port_at {
        None => Ok(format!("{text}:7070")),
        Some(colon) if text[colon + 1..].parse::<u16>().is_ok_and(|port| port > 0) && colon > 0 => Ok(text.to_string()),
        Some(_) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(address: &str, token: &str) -> Session {
        Session { addresses: vec![address.into(), "other:7070".into()], user: "u".into(), token: token.into() }
    }

    fn args(server: &[&str]) -> ServerArgs {
        ServerArgs { server: server.iter().map(|text| text.to_string()).collect(), token: None }
    }

    #[test]
    fn a_token_goes_only_where_it_came_from() {
        let mut stored = Credentials::default();
        stored.remember(session("a:7070", "A"));
        stored.remember(session("b:7070", "B"));
        assert_eq!(choose(&args(&[]), &stored).expect("current").1, "B");
        let (addresses, token) = choose(&args(&["http://a"]), &stored).expect("named");
        assert_eq!((addresses[0].as_str(), token.as_str()), ("a:7070", "A"));
        assert_eq!(choose(&args(&["evil:7070"]), &stored).expect_err("stranger").code(), 1);
        let (addresses, _) = choose(&args(&["evil:7070", "a:7070"]), &stored).expect("one is known");
        assert!(!addresses.contains(&"evil:7070".to_string()));
        let with_token = ServerArgs { server: vec!["evil:1".into()], token: Some("T".into()) };
        assert_eq!(choose(&with_token, &stored).expect("explicit").1, "T");
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (text, want) in [("a", "a:7070"), ("http://a:1/", "a:1"), ("[::1]", "[::1]:7070"), ("[::1]:9", "[::1]:9")] {
            assert_eq!(normal(text).expect("good"), want);
        }
        for bad in ["", "a:", "a:0", "a:99999", "a:1/x", "u@a:1", ":1"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }
}
