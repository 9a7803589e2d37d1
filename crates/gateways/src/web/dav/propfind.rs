//! PROPFIND: a resource, or a folder and what is in it, told as it is read.

use super::answer::Refusal;
use super::ask::Ask;
use super::live::{Resource, Wanted, response_of_list};
use super::place::{self, Place, Root};
use super::tree::{Depth, depth};
use super::xml;
use apps::FolderId;
use apps::drive::locks::Lock;
use apps::drive::{DrivePath, Entry, Usage};
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Entries told at a time: each may take some hundred kilobytes.
const PAGE: u32 = 50;
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
const TAIL: &str = "</D:multistatus>\n";

/// What each resource of one answer is told with.
struct Telling {
    ask: Ask,
    wanted: Wanted,
    locks: Vec<Lock>,
    usage: Option<Usage>,
    now: types::WallMillis,
    /// There are only so many at a time.
    _room: OwnedSemaphorePermit,
}

/// A multi-status answer.
pub(super) fn multistatus(body: Body) -> Response {
    let mut response = (StatusCode::MULTI_STATUS, body).into_response();
    let value = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// The same, of responses that are known already.
pub(super) fn multistatus_of(responses: &str) -> Response {
    multistatus(Body::from(format!("{HEAD}{responses}{TAIL}")))
}

pub(super) async fn propfind(ask: Ask, place: &Place, document: &[u8]) -> Result<Response, Refusal> {
    let deep = match depth(&ask)? {
        Some(Depth::Zero) => false,
        Some(Depth::One) => true,
        // Of a whole tree, answers have no bound (RFC 4918, section 9.1).
        None | Some(Depth::Infinity) => {
            let message = "the properties of a whole tree are not told at once: ask with Depth: 0 or 1";
            return Err(Refusal::new(StatusCode::FORBIDDEN, message).condition("propfind-finite-depth", ""));
        }
    };
    let wanted = match document {
        [] => Wanted::All(Vec::new()),
        document => {
            let read = xml::parse(document).map_err(Refusal::bad)?;
            Wanted::parse(&read).ok_or_else(|| Refusal::bad("the request is no propfind as RFC 4918 has it"))?
        }
    };
    let path = match place {
        Place::Nowhere => return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such drive")),
        Place::Top | Place::Drives => return list(&ask, place, &wanted, deep).await,
        Place::In(_, path) => path.clone(),
    };
    let room = crate::web::room_to_keep(&ask.state.inner.listings).await?;
    let entry = ask.found(&path).await?;
    ask.if_holds(&path, Some(&entry)).await?;
    let folder = entry.folder().map(|folder| folder.id);
    let usage = match wanted.quota() {
        true => Some(ask.drives().within(ask.quota().await?).usage(ask.drive).await?),
        false => None,
    };
    let locks = ask.drives().locks(ask.drive).await?.held;
    let now = ask.state.inner.client.now();
    let telling = Arc::new(Telling { ask, wanted, locks, usage, now, _room: room });
    let own = telling.tell(&[(path.clone(), entry)]).await?;
    let first = HEAD.to_string() + &own;
    let Some(folder) = folder.filter(|_| deep) else {
        return Ok(multistatus(Body::from(first + TAIL)));
    };
    // The first page before anything is said: until then a failure can be told as one.
    let (page, next) = telling.page(&path, folder, None).await?;
    let rest = match next {
        Some(next) => pages(telling, path, folder, next).left_stream(),
        None => stream::empty().right_stream(),
    };
    let all = stream::iter([Ok(first + &page)]).chain(rest).chain(stream::iter([Ok(TAIL.to_string())]));
    // What cannot be ended breaks off: no tail follows a failure.
    let ended = all.scan(false, |failed, page: std::io::Result<String>| {
        let over = std::mem::replace(failed, page.is_err());
        std::future::ready((!over).then_some(page))
    });
    Ok(multistatus(Body::from_stream(ended)))
}

/// The list of what there is, or of the shared drives that they are in.
async fn list(ask: &Ask, place: &Place, wanted: &Wanted, deep: bool) -> Result<Response, Refusal> {
    let drives = || response_of_list(&place::drives(), place::DRIVES, wanted);
    let mut told = match place {
        Place::Drives => drives(),
        _ => response_of_list(&place::top(), "Atoll", wanted),
    };
    if deep && *place == Place::Drives {
        for (root, drive) in ask.shared_drives().await? {
            told += &response_of_list(&root.href(&DrivePath::root(), true), &drive.name, wanted);
        }
    } else if deep {
        told += &response_of_list(&Root::Home.href(&DrivePath::root(), true), Root::Home.name(), wanted);
        told += &drives();
    }
    Ok(multistatus_of(&told))
}

fn pages(
    telling: Arc<Telling>,
    path: DrivePath,
    folder: FolderId,
    next: String,
) -> impl Stream<Item = std::io::Result<String>> + Send {
    stream::try_unfold(Some(next), move |cursor| {
        let (telling, path) = (telling.clone(), path.clone());
        async move {
            let Some(cursor) = cursor else { return Ok(None) };
            match telling.page(&path, folder, Some(&cursor)).await {
                Ok((page, next)) => Ok(Some((page, next))),
                Err(refusal) => {
                    tracing::warn!(?refusal, "a listing broke off");
                    Err(std::io::Error::other("the listing cannot be ended"))
                }
            }
        }
    })
}

impl Telling {
    /// A page of a folder's entries; where the next one begins.
    async fn page(
        &self,
        path: &DrivePath,
        folder: FolderId,
        cursor: Option<&str>,
    ) -> Result<(String, Option<String>), Refusal> {
        let (drives, drive) = (self.ask.drives(), self.ask.drive);
        let page = drives.folder_page(drive, folder, cursor, PAGE).await?;
        if page.next.is_none() && !drives.folder_is_there(drive, folder).await? {
            return Err(Refusal::new(StatusCode::CONFLICT, "the folder was removed while it was told"));
        }
        let mut entries = Vec::with_capacity(page.items.len());
        for entry in page.items {
            entries.push((path.join(&entry.name)?, entry));
        }
        Ok((self.tell(&entries).await?, page.next))
    }

    async fn tell(&self, entries: &[(DrivePath, Entry)]) -> Result<String, Refusal> {
        let of: Vec<&Entry> = entries.iter().map(|(_, entry)| entry).collect();
        let properties = match self.wanted.kept() {
            true => self.ask.drives().properties(self.ask.drive, &of).await?,
            false => vec![Vec::new(); of.len()],
        };
        let told = entries.iter().zip(&properties).map(|((path, entry), properties)| {
            let usage = self.usage.as_ref();
            let root = &self.ask.root;
            Resource { root, path, entry, properties, locks: &self.locks, usage, now: self.now }.response(&self.wanted)
        });
        Ok(told.collect())
    }
}
