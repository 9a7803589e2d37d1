//! Links for guests, for those who may change what is in the drive.

use super::GrpcState;
use super::accounts::by;
use super::drive::path;
use super::guard::place;
use super::problems::{invalid, status};
use crate::links::judged;
use apps::LinkId;
use apps::accounts::By;
use apps::drive::{Link, LinkMode, NewLink};
use bytes::Bytes;
use rpc::grpc::bytes16;
use rpc::grpc::v1;
use tonic::{Request, Status};
use types::WallMillis;

fn mode(asked: i32) -> Result<LinkMode, Status> {
    match v1::LinkMode::try_from(asked) {
        Ok(v1::LinkMode::View) => Ok(LinkMode::View),
        Ok(v1::LinkMode::DropBox) => Ok(LinkMode::DropBox),
        Ok(v1::LinkMode::Unspecified) | Err(_) => Err(invalid("say what the link is for: VIEW or DROP_BOX")),
    }
}

fn told(link: Link, now: WallMillis) -> v1::GuestLink {
    v1::GuestLink {
        id: Bytes::copy_from_slice(&link.id.0),
        address: crate::web::link_address(&link.token),
        mode: match link.mode {
            LinkMode::View => v1::LinkMode::View.into(),
            LinkMode::DropBox => v1::LinkMode::DropBox.into(),
        },
        works: link.works(now),
        name: link.name,
        folder: link.folder,
        path: link.path.unwrap_or_default(),
        created_ms: link.created.0,
        expires_ms: link.expires.map_or(0, |at| at.0),
        password: link.password,
        downloads: link.downloads,
        downloads_max: link.downloads_max,
        received: link.received,
        bytes_max: link.bytes_max,
    }
}

impl GrpcState {
    /// Where browsers find the pages.
    fn web(&self) -> Vec<String> {
        let layout = self.inner.backend.layout();
        let alive = layout.nodes.values().filter(|node| node.alive && !node.web.is_empty());
        alive.map(|node| node.web.clone()).collect()
    }

    pub(super) async fn all_links(&self, request: Request<v1::ListLinksRequest>) -> Result<v1::ListLinksReply, Status> {
        let place = place(&request)?;
        let asked = request.into_inner();
        let only = Some(asked.path.as_str()).filter(|path| !path.is_empty()).map(path).transpose()?;
        let links = self.inner.drives.links(place.drive, only).await.map_err(status)?;
        let links = judged(&self.inner.accounts, place.shared.as_ref(), links).await.map_err(status)?;
        let now = self.inner.backend.now();
        Ok(v1::ListLinksReply { links: links.into_iter().map(|link| told(link, now)).collect(), web: self.web() })
    }

    pub(super) async fn new_link(&self, request: Request<v1::MakeLinkRequest>) -> Result<v1::MakeLinkReply, Status> {
        let (place, by) = (place(&request)?, by(&request)?);
        let asked = request.into_inner();
        let password = match asked.password.as_str() {
            "" => None,
            password => Some(self.inner.accounts.hash_link_password(password).await.map_err(status)?),
        };
        let new = NewLink {
            mode: mode(asked.mode)?,
            password,
            expires: (asked.expires_ms > 0).then_some(WallMillis(asked.expires_ms)),
            downloads_max: asked.downloads_max,
            bytes_max: asked.bytes_max,
        };
        let to = path(&asked.path)?;
        self.note_link(&by, place.shared.as_ref().map(|it| it.name.as_str()), "link into the drive made", to).await?;
        let link = self.inner.drives.make_link(place.drive, to, new, place.user.id).await.map_err(status)?;
        Ok(v1::MakeLinkReply { link: Some(told(link, self.inner.backend.now())), web: self.web() })
    }

    pub(super) async fn take_link_back(&self, request: Request<v1::RevokeLinkRequest>) -> Result<v1::Empty, Status> {
        let (place, by) = (place(&request)?, by(&request)?);
        let id = LinkId(bytes16("a link's id", &request.into_inner().id).map_err(status)?);
        let link = self.inner.drives.link(place.drive, id).await.map_err(status)?;
        let shared = place.shared.as_ref().map(|it| it.name.as_str());
        self.note_link(&by, shared, "link into the drive taken back", &link.name).await?;
        self.inner.drives.revoke_link(place.drive, id).await.map_err(status)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn note_link(&self, by: &By, shared: Option<&str>, act: &str, what: &str) -> Result<(), Status> {
        let what = shared.map_or(what.to_string(), |drive| format!("{drive}: {what}"));
        self.inner.accounts.note_link(by, act, &what).await.map_err(status)
    }
}
