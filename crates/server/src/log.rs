//! What is logged, and where: standard error, filtered by `ATOLL_LOG`.

use crate::cli::Command;
use tracing_subscriber::EnvFilter;

/// Starts logging. Servers tell what they do; clients only what goes wrong.
pub fn start(command: &Command) {
    let default = match command {
        // Raft repeats for every dead member, many times a second, what the node says once; and so does
        // ZooKeeper's client. The S3 library calls each refusal an error.
        Command::Up(_) | Command::Demo(_) => "warn,openraft=off,zookeeper_client=off,s3s=off,atoll=info",
        _ => "error",
    };
    let filter = std::env::var("ATOLL_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let subscriber = subscriber.with_ansi(crate::output::watched());
    // Only the first call in a process counts; tests make several.
    let _already_started = subscriber.with_target(false).try_init();
}
