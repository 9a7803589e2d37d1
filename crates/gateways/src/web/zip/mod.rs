//! Folders as one ZIP archive, made while it is sent: neither memory nor disk holds it.
//!
//! What a folder holds is listed by ids when its turn comes; each file is in the archive under the name that it had then, as
//! it is when its own turn comes, whatever it is called by then. One that is not in its folder any more is left out; where
//! anything else fails, or a folder is removed for good, the answer breaks off: what arrives then is no archive.

mod format;
mod names;

use crate::turns::Place;
use apps::drive::{Entry, FolderInfo, Inside};
use apps::{DriveError, DriveId, Drives};
use bytes::Bytes;
use client::ClientError;
use format::{Zip, ZipError};
use futures::StreamExt;
use futures::future::BoxFuture;
use names::Names;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Folders within each other: as many as a path has.
const DEPTH_MAX: usize = apps::drive::path::DEPTH_MAX;
/// Files and folders that are listed and not in the archive yet, in all folders around the one at hand: more do not fit
/// into an archive.
const LISTED_MAX: usize = 300_000;
/// Pieces that wait for a slow receiver.
const WAITING: usize = 2;

/// How often it is asked whether the archive may still be read: it may take hours.
const STILL_EVERY: Duration = Duration::from_secs(5);

/// What goes in at the top: where it is, and its name there.
#[derive(Clone, Debug)]
pub(super) enum Top {
    /// An entry of a folder.
    Of(apps::FolderId, Box<Entry>),
    /// Everything in a folder, without a folder around it.
    All(FolderInfo),
}

/// Why an archive broke off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Drive(#[from] DriveError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error("the folder {0:?} was removed meanwhile")]
    FolderGone(String),
    #[error("folders lie deeper, or their names are longer, than an archive holds")]
    TooDeep,
    #[error("there are more files and folders than an archive holds")]
    TooMany,
    #[error("too many names in one folder look alike")]
    NoName,
    #[error("nobody takes it any more")]
    Unwanted,
    #[error("whoever asked for it may not read it any more")]
    Forbidden,
}

/// A piece of an archive on its way.
enum Piece {
    More(Bytes),
    /// Nothing follows. Without it the archive is not whole, whyever nothing comes any more.
    Last(Bytes),
    Broken(Broken),
}

/// Whether whoever asked may still read it, as far as that can be told.
pub(super) type Still = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// The archive, as it comes into being. `room` is held until it has ended; `still` is asked now and then.
pub(super) fn archive(
    drives: Drives,
    drive: DriveId,
    tops: Vec<Top>,
    still: Still,
    room: Place,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _room = room;
        let mut writer = Writer { drives, drive, zip: Zip::default(), sender, still, asked: Instant::now(), listed: 0 };
        let last = match writer.all(tops).await {
            Ok(()) => Piece::Last(writer.zip.finish()),
            Err(broken) => Piece::Broken(broken),
        };
        if let Piece::Broken(broken) = &last {
            tracing::warn!(%drive, error = %broken, "an archive broke off");
        }
        // Who has gone needs to hear nothing.
        let _ = writer.sender.send(last).await;
    });
    futures::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::More(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::Last(bytes)) => Some((Ok(bytes), None)),
            Some(Piece::Broken(broken)) => Some((Err(std::io::Error::other(broken)), None)),
            None => Some((Err(std::io::ErrorKind::UnexpectedEof.into()), None)),
        }
    })
}

struct Writer {
    drives: Drives,
    drive: DriveId,
    zip: Zip,
    sender: mpsc::Sender<Piece>,
    still: Still,
    /// When that was asked last.
    asked: Instant,
    /// Of all folders around the one at hand.
    listed: usize,
}

impl Writer {
    async fn all(&mut self, tops: Vec<Top>) -> Result<(), Broken> {
        let mut names = Names::default();
        for top in tops {
            match top {
                Top::All(folder) => self.inside(folder.id, String::new(), 1).await?,
                Top::Of(parent, entry) => {
                    let place = names.unique(&entry.name);
                    let (id, folder) = (entry.id(), entry.folder().map(|folder| folder.id));
                    let inside = Inside { name: entry.name, id, folder, modified: entry.modified };
                    self.entry(parent, inside, place, 1).await?;
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: apps::FolderId,
        entry: Inside,
        place: String,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + '_>> {
        Box::pin(async move {
            if depth > DEPTH_MAX || place.len() > names::PATH_BYTES_MAX {
                return Err(Broken::TooDeep);
            }
            match entry.folder {
                Some(folder) => {
                    let head = self.zip.folder(&place, entry.modified)?;
                    self.send(head).await?;
                    self.inside(folder, place + "/", depth + 1).await
                }
                None => self.file(parent, &entry, &place).await,
            }
        })
    }

    /// What a folder holds.
    async fn inside(&mut self, folder: apps::FolderId, before: String, depth: usize) -> Result<(), Broken> {
        let (drives, drive) = (self.drives.clone(), self.drive);
        let most = LISTED_MAX.saturating_sub(self.listed);
        let listed = match drives.folder_listing(drive, folder, most).await {
            Err(DriveError::Invalid(_)) => return Err(Broken::TooMany),
            listed => listed?,
        };
        let count = listed.len();
        self.listed += count;
        let (mut names, mut last) = (Names::default(), None);
        for entry in listed {
            // Of two that were called the same, one after the other, the second gets another name.
            let mut name = names.plain(&entry.name).filter(|name| last.as_ref() != Some(name));
            if name.is_none() {
                for other in names.others(&entry.name) {
                    if drives.look_inside(drive, folder, &other).await?.is_none() {
                        names.give(&other);
                        name = Some(other);
                        break;
                    }
                }
            }
            let name = name.ok_or(Broken::NoName)?;
            last = Some(entry.name.clone());
            self.entry(folder, entry, format!("{before}{name}"), depth).await?;
        }
        self.listed -= count;
        // Once it is gone for good, what it held goes one by one: it may have lacked some already.
        match drives.folder_is_there(drive, folder).await? {
            true => Ok(()),
            false => Err(Broken::FolderGone(before)),
        }
    }

    async fn file(&mut self, folder: apps::FolderId, file: &Inside, place: &str) -> Result<(), Broken> {
        let found = self.drives.file_inside(self.drive, folder, file.id, &file.name).await?;
        let Some(open) = found else { return Ok(()) };
        let head = self.zip.begin(place, open.file.size, open.file.mtime)?;
        self.send(head).await?;
        let mut content = self.drives.read(open.content, 0..open.file.size);
        while let Some(chunk) = content.next().await {
            let piece = self.zip.data(&chunk?);
            self.send(piece).await?;
        }
        let tail = self.zip.end()?;
        self.send(tail).await
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), Broken> {
        if self.asked.elapsed() >= STILL_EVERY {
            if !(self.still)().await {
                return Err(Broken::Forbidden);
            }
            self.asked = Instant::now();
        }
        // Of one that takes nothing for long, the connection ends, and with it the receiver.
        self.sender.send(Piece::More(piece)).await.map_err(|_| Broken::Unwanted)
    }
}
