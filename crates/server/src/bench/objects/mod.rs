//! Whole files and objects under load.

mod content;
mod file;
mod http;
mod s3;

pub use file::FileLoad;
pub use http::HttpLoad;
pub use s3::S3Load;

use super::drive::Pace;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// Which requests.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Puts only, each of content that nobody has put before
    Put,
    /// Gets only
    Get,
}

/// A load of contents.
#[derive(Args, Debug, Clone)]
pub struct ObjectLoad {
    /// Which requests
    #[arg(value_enum)]
    pub mode: Mode,
    #[command(flatten)]
    pub pace: Pace,
    /// Size of each, as in 4KiB, 1MiB, 64MiB
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = content::size)]
    pub size: u64,
    /// Different names
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub names: u32,
}

impl ObjectLoad {
    /// Its settings, for programs.
    fn json(&self) -> Value {
        json!({
            "mode": format!("{:?}", self.mode).to_lowercase(),
            "clients": self.pace.clients,
            "rate": self.pace.rate,
            "bytes": self.size,
            "names": self.names,
        })
    }

    /// A name for the n-th; sizes stay apart.
    fn name(&self, n: u32) -> String {
        format!("{}-{n:06}", self.size)
    }
}

const KINDS: &[&str] = &["put", "get"];
const PUT: usize = 0;
const GET: usize = 1;
/// Puts under way while what is read is filled in.
const FILLING: usize = 4;
