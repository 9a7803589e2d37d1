//! What a node says when it has started: where the data is, where to go, what to try next.

use super::UpArgs;
use crate::compose::Running;
use crate::failure::Outcome;
use crate::output;
use std::path::Path;

/// Prints it.
pub fn print(args: &UpArgs, data: &Path, running: &Running) -> Outcome {
    output::print(text(args, data, &About::of(running)))
}

/// What it says of the node.
struct About<'a> {
    id: u64,
    web_elsewhere: &'a str,
    tls: Option<(u16, &'a str)>,
    /// Fingerprint of the cluster's own.
    authority: &'a str,
    setup_secret: Option<&'a str>,
    nodes: usize,
}

impl<'a> About<'a> {
    fn of(running: &'a Running) -> About<'a> {
        About {
            id: running.id().0,
            web_elsewhere: &running.web_address,
            tls: running.tls.as_ref().map(|(port, fingerprint)| (*port, fingerprint.as_str())),
            authority: &running.authority,
            setup_secret: running.setup_secret.as_deref(),
            nodes: running.nodes,
        }
    }
}

fn text(args: &UpArgs, data: &Path, about: &About<'_>) -> String {
    let host = if args.listen.is_unspecified() { "localhost".to_string() } else { args.listen.to_string() };
    let web = crate::ports::join(&host, args.web_port);
    let grpc = crate::ports::join(&host, args.grpc_port);
    let s3 = crate::ports::join(&host, args.s3_port);
    let elsewhere = match about.tls {
        _ if about.web_elsewhere.starts_with("https://") => Some(about.web_elsewhere.to_string()),
        Some((port, _)) => {
            let host = about.web_elsewhere.rsplit_once(':').map_or(about.web_elsewhere, |(host, _)| host);
            Some(format!("https://{host}:{port}"))
        }
        None if about.web_elsewhere == web => None,
        None => Some(format!("http://{}", about.web_elsewhere)),
    };
    let trust = about.tls.map(|(_, fingerprint)| match &args.tls_cert {
        Some(file) => vec![("Certificate", format!("{} (SHA-256 {fingerprint})", file.display()))],
        None => vec![
            ("Certificate", format!("SHA-256 {fingerprint}")),
            ("", "compare it where a browser warns, once; or import the authority that signed it:".to_string()),
            ("", data.join("authority.pem").display().to_string()),
            ("Authority", format!("SHA-256 {}", about.authority)),
            ("", "compare it at the first `atoll login` from another machine".to_string()),
        ],
    });
    let mut rows = vec![
        ("Data", data.display().to_string()),
        match elsewhere {
            None => ("Open", format!("http://{web}")),
            Some(elsewhere) => ("Open", format!("http://{web}   (from elsewhere: {elsewhere})")),
        },
        match about.setup_secret {
            Some(secret) => ("Set up", format!("http://{web}/setup/{secret}   (once; makes the first account)")),
            None => ("Sign in", format!("atoll login {grpc}")),
        },
        ("S3", format!("http://{s3}   (keys: atoll key create NAME)")),
        ("Add one", "atoll cluster join-token     then, on the other machine:  atoll up --join TOKEN".to_string()),
        ("Try next", format!("atoll login {grpc} && atoll upload README.md && atoll ls")),
        ("Stop", "Ctrl-C; start again with the same command".to_string()),
    ];
    rows.splice(2..2, trust.into_iter().flatten());
    let out: String = rows.iter().map(|(name, value)| format!("  {name:<12}{value}\n")).collect();
    let standing = match about.nodes {
        0 | 1 => "No redundancy yet: add 2 machines, and any one of the three can be lost.".to_string(),
        2 => "Two machines: add 1 more, and any one of the three can be lost without a stop.".to_string(),
        n => format!("{n} machines. See how they are: atoll cluster status"),
    };
    format!("Atoll {} is running, as node {}.\n\n{out}\n{standing}\n", env!("CARGO_PKG_VERSION"), about.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn the_first_words_say_what_a_newcomer_needs() {
        let Command::Up(args) = Cli::parse_from(["atoll", "up", "--web-port", "81"]).command else { panic!() };
        let tls = Some((8443, "AB:CD"));
        let mut about = About {
            id: 1,
            web_elsewhere: "10.0.0.5:81",
            tls,
            authority: "EF:01",
            setup_secret: Some("s3cret"),
            nodes: 1,
        };
        let first = text(&args, Path::new("/d"), &about);
        for words in [
            "/d",
            "http://localhost:81",
            "https://10.0.0.5:8443",
            "SHA-256 AB:CD",
            "/d/authority.pem",
            "SHA-256 EF:01",
            "http://localhost:81/setup/s3cret",
            "join-token",
            "No redundancy yet: add 2 machines",
        ] {
            assert!(first.contains(words), "{words} is missing in:\n{first}");
        }
        (about.nodes, about.tls) = (3, None);
        assert!(text(&args, Path::new("/d"), &about).contains("from elsewhere: http://10.0.0.5:81"));
        assert!(!text(&args, Path::new("/d"), &about).contains("No redundancy"));
    }
}
