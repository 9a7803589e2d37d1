//! Links for guests.

use super::call::Safety;
use super::drive::service;
use super::{Remote, RemoteError};
use bytes::Bytes;
use rpc::grpc::v1;
pub use rpc::grpc::v1::{GuestLink, LinkMode, MakeLinkRequest};

/// Links, and where browsers find the pages that their addresses are under.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    /// The links.
    pub links: Vec<GuestLink>,
    /// Host and port of each node's pages.
    pub web: Vec<String>,
}

impl Remote {
    /// Links into the drive, or to what is at that path, the latest first.
    pub async fn links(&self, path: Option<&str>) -> Result<Links, RemoteError> {
        let message = v1::ListLinksRequest { path: path.unwrap_or_default().to_string() };
        let send = |channel, request| async move { service(channel).list_links(request).await };
        let reply = self.read(message, send).await?;
        Ok(Links { links: reply.links, web: reply.web })
    }

    /// Makes a link. Where the outcome is not known, [`Self::links`] tells.
    pub async fn make_link(&self, asked: MakeLinkRequest) -> Result<Links, RemoteError> {
        let send = |channel, request| async move { service(channel).make_link(request).await };
        let reply = self.call(Safety::Write, asked, send).await?;
        Ok(Links { links: reply.link.into_iter().collect(), web: reply.web })
    }

    /// Takes a link back.
    pub async fn revoke_link(&self, id: [u8; 16]) -> Result<(), RemoteError> {
        let message = v1::RevokeLinkRequest { id: Bytes::copy_from_slice(&id) };
        let send = |channel, request| async move { service(channel).revoke_link(request).await };
        self.call(Safety::Write, message, send).await?;
        Ok(())
    }
}
