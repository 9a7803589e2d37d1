//! `login`, `logout`, `whoami`.

use super::{Credentials, DEFAULT_SERVER, Session, authority, choose, connect, discovery, normal};
use crate::cli::ServerArgs;
use crate::demo::state;
use crate::failure::{Failure, Outcome};
use crate::{output, people};
use clap::Args;
use client::remote::{GatewayAddress, Options, Remote, RemoteError, Shown, Trust, shown_by};
use serde_json::json;
use std::io::{IsTerminal, Read};
use types::ClusterId;

/// Bytes of a password read from standard input.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// Sign in to a cluster; later commands need no address or password
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll login files.example:7070 --user ada
  atoll login                      in a demo's folder: as the demo's user, nothing to type
  atoll login h:7070 --user ada --password-stdin < secret.txt
  atoll login h:7070 --ca authority.pem          with a copy of a node's authority.pem

A cluster's own authority is shown by its fingerprint the first time, to be compared with what
`atoll up` printed there; http://HOST:7070 goes without TLS.

The session is kept in ~/.config/atoll/credentials.json, for your eyes only;
ATOLL_CONFIG_DIR names another folder for it.")]
pub struct LoginArgs {
    /// Addresses of one or more nodes, gRPC or web [default: the demo here, else the last cluster, else 127.0.0.1:7070]
    #[arg(value_name = "ADDRESS", value_delimiter = ',')]
    pub address: Vec<String>,
    /// Your name there
    #[arg(long, short, env = "ATOLL_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// A code of your second factor, or a recovery code; asked for when it is needed
    #[arg(long, env = "ATOLL_CODE", hide_env_values = true)]
    pub code: Option<String>,
    /// Trust the cluster's own authority if it has this fingerprint (SHA-256), without asking
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// End the session on this machine
#[derive(Args, Debug)]
pub struct LogoutArgs {
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Show who you are, and where
#[derive(Args, Debug)]
pub struct WhoamiArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What is known before anything is asked.
struct Target {
    addresses: Vec<String>,
    /// Those that a person named.
    given: Vec<String>,
    /// A demo's password is for its own cluster alone.
    cluster: Option<ClusterId>,
    /// The authority that was trusted here before.
    authority: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

fn target(args: &LoginArgs, stored: &Credentials) -> Outcome<Target> {
    let named = if args.address.is_empty() { &args.server.server } else { &args.address };
    let named: Vec<String> = named.iter().map(|address| normal(address)).collect::<Outcome<_>>()?;
    if let Some(demo) = state::here() {
        let addresses = demo.state.grpc_addresses();
        // The demo's password is offered to the demo only.
        if named.is_empty() || named.iter().all(|address| demo.state.is_at(address)) {
            let own = args.user.as_ref().is_none_or(|user| *user == demo.state.user);
            return Ok(Target {
                addresses,
                given: Vec::new(),
                cluster: demo.cluster(),
                authority: None,
                user: args.user.clone().or(Some(demo.state.user)),
                password: own.then_some(demo.state.password),
            });
        }
    }
    let session = if named.is_empty() { stored.current() } else { stored.of(&named) };
    let given = named.clone();
    let addresses = match session {
        _ if !named.is_empty() => named,
        Some(session) => session.addresses.clone(),
        None => vec![DEFAULT_SERVER.to_string()],
    };
    let user = args.user.clone().or_else(|| session.map(|session| session.user.clone()));
    let authority = session.and_then(|session| session.authority.clone());
    Ok(Target { addresses, given, cluster: None, authority, user, password: None })
}

/// Signs in and remembers the session.
pub async fn run(args: LoginArgs) -> Outcome {
    let mut stored = Credentials::load()?;
    let target = target(&args, &stored)?;
    let typed = target.given;
    let authority = authority(&args.server)?.or(target.authority);
    let (remote, authority) = reach(&args, target.addresses, target.cluster, authority).await?;
    let given = args.code.clone();
    let (user, password) = tokio::task::spawn_blocking(move || secrets(&args, target.user, target.password))
        .await
        .map_err(|error| Failure::failed(error.to_string()))??;
    let cluster = remote.cluster().map(|cluster| format!("{:032x}", cluster.0));
    let known = stored.known(cluster.as_deref(), &user).map(str::to_string);
    let signed_in = match remote.sign_in_known(&user, &password, &device(), known.as_deref()).await {
        Err(RemoteError::CodeNeeded { challenge }) => {
            let code = tokio::task::spawn_blocking(move || people::code(given)).await;
            let code = code.map_err(|error| Failure::failed(error.to_string()))??;
            remote.sign_in_with_code(&challenge.0, &code, &device(), known.as_deref()).await?
        }
        signed_in => signed_in?,
    };
    if let (Some(cluster), Some(token)) = (&cluster, &signed_in.device_token) {
        stored.know(cluster, &user, token);
    }
    // All nodes that the cluster told of: any of them will do next time.
    let addresses: Vec<String> = remote.addresses().iter().filter_map(|address| normal(address).ok()).collect();
    let at = addresses.join(", ");
    let user = signed_in.account.name.clone();
    let (learned, token) = (None, signed_in.token);
    stored.remember(Session { addresses, given: typed, cluster, authority, learned, user, token });
    stored.save()?;
    output::line(format!("Logged in as {} at {at}.", signed_in.account.name))
}

/// A connection to a gateway at these addresses, or at those to which they lead when they are web addresses; and the
/// authority that is trusted from now on.
async fn reach(
    args: &LoginArgs,
    addresses: Vec<String>,
    cluster: Option<ClusterId>,
    authority: Option<String>,
) -> Outcome<(Remote, Option<String>)> {
    if let (Some(_), Some(address)) = (&args.fingerprint, addresses.first()) {
        // Who names a certificate wants that one, whoever else is trusted here.
        let at: GatewayAddress = address.parse()?;
        let refuse = |why: &str| Failure::failed(format!("{address} {why}")).safe("nothing was sent there");
        if !at.tls() {
            return Err(refuse("is to be reached without TLS, where nothing shows who answers")
                .next("leave out --fingerprint, or http:// before the address"));
        }
        let shown = shown_by(&at).await;
        let shown = shown.ok_or_else(|| refuse("shows no authority whose fingerprint could be compared"))?;
        let trusted = authority.as_deref().filter(|trusted| is_another(&shown, Some(trusted)));
        let authority = decide(args, address, shown, trusted).await?;
        return Ok((connect_to(&addresses, cluster, Some(&authority)).await?, Some(authority)));
    }
    let error = match connect_to(&addresses, cluster, authority.as_deref()).await {
        Err(error @ RemoteError::Unreachable { .. }) => error,
        other => return Ok((other?, authority)),
    };
    for address in &addresses {
        if let Some(shown) = unknown(address, authority.as_deref()).await? {
            let authority = decide(args, address, shown, authority.as_deref()).await?;
            return Ok((connect_to(&addresses, cluster, Some(&authority)).await?, Some(authority)));
        }
    }
    match discovery::grpc_addresses(&addresses).await {
        found if found.is_empty() => Err(error.into()),
        found => Ok((connect_to(&found, cluster, authority.as_deref()).await?, authority)),
    }
}

async fn connect_to(
    addresses: &[String],
    cluster: Option<ClusterId>,
    authority: Option<&str>,
) -> Result<Remote, RemoteError> {
    let trust = authority.map_or_else(Trust::system, Trust::authority)?;
    Remote::trusting(trust, addresses.to_vec(), cluster, None, Options::default()).await
}

/// The authority that is shown there and that nobody here trusts.
async fn unknown(address: &str, trusted: Option<&str>) -> Outcome<Option<Shown>> {
    let address: GatewayAddress = address.parse()?;
    if !address.tls() {
        return Ok(None);
    }
    Ok(shown_by(&address).await.filter(|shown| is_another(shown, trusted)))
}

/// What is shown is not the authority that is trusted.
fn is_another(shown: &Shown, trusted: Option<&str>) -> bool {
    trusted.and_then(Shown::of).is_none_or(|known| known.pem != shown.pem)
}

/// Whether to trust it: for a person, or a fingerprint that they gave, to say.
async fn decide(args: &LoginArgs, address: &str, shown: Shown, trusted: Option<&str>) -> Outcome<String> {
    let Shown { pem, fingerprint } = shown;
    let refuse = |why: String| Failure::failed(why).safe("nothing was sent there");
    if trusted.is_some() {
        return Err(refuse(format!(
            "{address} shows another authority than the one that is trusted (now SHA-256 {fingerprint}): somebody may \
             be in between"
        ))
        .next("ask who runs it; if the cluster was made anew: atoll logout, then log in again"));
    }
    if let Some(expected) = &args.fingerprint {
        let digits = |text: &str| text.replace(':', "").to_ascii_uppercase();
        return match digits(expected) == digits(&fingerprint) {
            true => Ok(pem),
            false => Err(refuse(format!("{address} shows an authority with another fingerprint: {fingerprint}"))),
        };
    }
    let question = format!(
        "{address} has a certificate by an authority that is not known here, SHA-256\n  {fingerprint}\n\
         `atoll up` prints it there. Is it the same, and is it to be trusted?"
    );
    if !(std::io::stdin().is_terminal() && output::watched()) {
        return Err(refuse(format!("{address} has a certificate by an authority that is not known here"))
            .next(format!("if `atoll up` printed the same there, add: --fingerprint {fingerprint}  (or --ca FILE)")));
    }
    let answer = tokio::task::spawn_blocking(move || inquire::Confirm::new(&question).with_default(false).prompt());
    match answer.await.map_err(|error| Failure::failed(error.to_string()))? {
        Ok(true) => Ok(pem),
        _ => Err(refuse("not logged in: the authority is not trusted".into())),
    }
}

/// Name and password: from flags and variables, from standard input, or asked for when a person is there.
fn secrets(args: &LoginArgs, user: Option<String>, known: Option<String>) -> Outcome<(String, String)> {
    let person = std::io::stdin().is_terminal() && output::watched();
    let user = match user {
        Some(user) => user,
        None if person => inquire::Text::new("Name:").prompt().map_err(not_asked)?,
        None => return Err(Failure::usage("whose session? No name was given").next("add --user NAME")),
    };
    if args.password_stdin {
        let mut text = String::new();
        let mut limited = std::io::stdin().lock().take(PASSWORD_BYTES_MAX);
        limited.read_to_string(&mut text).map_err(|error| Failure::io("cannot read the password", &error))?;
        return Ok((user, text.trim_end_matches(['\r', '\n']).to_string()));
    }
    let from_environment = std::env::var("ATOLL_PASSWORD").ok().filter(|text| !text.is_empty());
    let password = match from_environment.or(known) {
        Some(password) => password,
        None if person => inquire::Password::new(&format!("Password of {user}:"))
            .without_confirmation()
            .prompt()
            .map_err(not_asked)?,
        None => {
            return Err(Failure::usage("no password was given, and nobody is there to type one")
                .next("use --password-stdin, or set ATOLL_PASSWORD"));
        }
    };
    Ok((user, password))
}

fn not_asked(error: inquire::InquireError) -> Failure {
    Failure::failed(format!("not logged in: {error}")).safe("nothing was changed")
}

/// How the session is called in the list of one's devices.
pub fn device() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    format!("atoll command line on {host}").trim_end_matches(" on ").to_string()
}

/// Ends the session, here and there.
pub async fn logout(args: LogoutArgs) -> Outcome {
    let mut stored = Credentials::load()?;
    let chosen = choose(&args.server, &stored)?;
    let token = chosen.token.clone();
    let ended = async { chosen.connect().await?.sign_out().await };
    let ended = ended.await;
    stored.forget(&token);
    stored.save()?;
    match ended {
        Ok(()) | Err(RemoteError::SignedOut) => output::line("Logged out."),
        Err(error) => Err(Failure::failed(format!("the session is forgotten here, but was not ended there: {error}"))
            .next("it ends by itself in time; to end it now, change your password")),
    }
}

/// Says who one is.
pub async fn whoami(args: WhoamiArgs) -> Outcome {
    let remote = connect(&args.server).await?;
    let account = remote.who_am_i().await?;
    if args.json {
        return output::json(&json!({
            "id": account.id, "name": account.name, "display_name": account.display_name,
            "administrator": account.administrator, "server": remote.address(),
        }));
    }
    let role = if account.administrator { ", administrator" } else { "" };
    output::line(format!("{}{role}, at {}", account.name, remote.address()))
}
