//! Files of a drive, by gRPC as the command line moves them.

use super::super::work::{Miss, Request, Work};
use super::{FILLING, GET, KINDS, Mode, ObjectLoad, PUT, content};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::session::{Chosen, Credentials, choose};
use client::remote::{DownloadOptions, DownloadProgress, Options, Remote, RemoteError, UploadTarget};
use futures::{StreamExt, stream};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::io::StreamReader;
use types::{Action, Classify};

/// Puts and gets of files.
#[derive(clap::Args, Debug, Clone)]
pub struct FileLoad {
    #[command(flatten)]
    pub load: ObjectLoad,
    /// Folder of your drive that they are in; made if it is not there
    #[arg(long, value_name = "PATH", default_value = "/bench")]
    pub folder: String,
}

impl FileLoad {
    /// Its settings, for programs.
    pub fn json(&self) -> Value {
        self.load.json()
    }

    /// Connects: each client by itself, the nodes in turn.
    pub async fn work(&self, server: &ServerArgs) -> Outcome<Arc<dyn Work>> {
        let Chosen { addresses, cluster, trust, token } = choose(server, &Credentials::load()?)?;
        let mut remotes = Vec::new();
        for n in 0..usize::from(self.load.pace.clients) {
            let mut turned = addresses.clone();
            turned.rotate_left(n % addresses.len().max(1));
            remotes
                .push(Remote::trusting(trust.clone(), turned, cluster, Some(token.clone()), Options::default()).await?);
        }
        Ok(Arc::new(FileWork { remotes, load: self.clone() }))
    }
}

struct FileWork {
    remotes: Vec<Remote>,
    load: FileLoad,
}

fn miss(error: RemoteError) -> Miss {
    match error.action() {
        Action::Unknown => Miss::Unknown(error.to_string()),
        _ => Miss::Failed(error.to_string()),
    }
}

impl FileWork {
    fn path(&self, n: u32) -> String {
        format!("{}/{}", self.load.folder.trim_end_matches('/'), self.load.load.name(n))
    }

    async fn put(&self, remote: &Remote, n: u32, random: &mut SmallRng) -> Result<u64, Miss> {
        let source = StreamReader::new(content::stream(self.load.load.size, random));
        let target = UploadTarget { size_hint: Some(self.load.load.size), ..UploadTarget::new(self.path(n)) };
        remote.upload(source, &target, |_| {}).await.map_err(miss)?;
        Ok(self.load.load.size)
    }
}

#[async_trait::async_trait]
impl Work for FileWork {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn prepare(&self) -> Result<(), Miss> {
        match self.remotes[0].make_folder(&self.load.folder, true).await {
            Ok(_) | Err(RemoteError::Exists(_)) => {}
            Err(error) => return Err(miss(error)),
        }
        if self.load.load.mode == Mode::Put {
            return Ok(());
        }
        let puts = stream::iter(0..self.load.load.names).map(|n| async move {
            let remote = &self.remotes[n as usize % self.remotes.len()];
            self.put(remote, n, &mut SmallRng::from_os_rng()).await
        });
        let mut puts = puts.buffer_unordered(FILLING);
        while let Some(result) = puts.next().await {
            result?;
        }
        Ok(())
    }

    async fn request(&self, client: usize, random: &mut SmallRng) -> Request {
        let remote = &self.remotes[client % self.remotes.len()];
        let n = random.random_range(0..self.load.load.names);
        match self.load.load.mode {
            Mode::Put => Request { kind: PUT, result: self.put(remote, n, random).await },
            Mode::Get => {
                let (mut came, options) = (0, DownloadOptions::default());
                let note = |progress: DownloadProgress| came = progress.done;
                let got = remote.download(&self.path(n), &mut tokio::io::sink(), &options, note).await;
                let whole = match got {
                    Ok(_) if came != self.load.load.size => {
                        Err(Miss::Failed(format!("{came} bytes came of {}", self.load.load.size)))
                    }
                    Ok(_) => Ok(came),
                    Err(error) => Err(miss(error)),
                };
                Request { kind: GET, result: whole }
            }
        }
    }
}
