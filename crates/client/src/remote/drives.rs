//! Shared drives: which there are, who may use them, and how to work in one.

use super::call::Safety;
use super::{Remote, RemoteError};
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, drives_client::DrivesClient};
use std::fmt;
use tonic::transport::Channel;

/// Names a shared drive for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedDriveId(pub [u8; 16]);

impl fmt::Display for SharedDriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::str::FromStr for SharedDriveId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SharedDriveId, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a drive's id is 32 hexadecimal digits");
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| "a drive's id is 32 hexadecimal digits")?;
        Ok(SharedDriveId(number.to_be_bytes()))
    }
}

fn service(channel: Channel) -> DrivesClient<Channel> {
    DrivesClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

impl Remote {
    /// The same connection, for the files of that drive; none: of the caller's own.
    #[must_use]
    pub fn in_drive(&self, drive: Option<SharedDriveId>) -> Remote {
        Remote { drive, ..self.clone() }
    }

    /// The drive whose files calls are about; none: the caller's own.
    pub fn drive(&self) -> Option<SharedDriveId> {
        self.drive
    }

    /// The shared drives that the caller is in, by name.
    pub async fn drives(&self) -> Result<Vec<v1::DriveInfo>, RemoteError> {
        Ok(self.drives_page(false, String::new()).await?.drives)
    }

    /// All shared drives, for administrators.
    pub async fn all_drives(&self) -> Result<Vec<v1::DriveInfo>, RemoteError> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.drives_page(true, cursor).await?;
            all.extend(page.drives);
            if page.next.is_empty() {
                return Ok(all);
            }
            cursor = page.next;
        }
    }

    async fn drives_page(&self, all: bool, cursor: String) -> Result<v1::DriveList, RemoteError> {
        let message = v1::ListDrivesRequest { all, cursor };
        self.read(message, |channel, request| async move { service(channel).list_drives(request).await }).await
    }

    /// Makes a shared drive, which the caller manages.
    pub async fn create_drive(&self, name: &str) -> Result<v1::DriveInfo, RemoteError> {
        let message = v1::CreateDriveRequest { name: name.to_string() };
        let send = |channel, request| async move { service(channel).create_drive(request).await };
        Ok(self.call(Safety::Once, message, send).await?)
    }

    /// Changes a drive's name or quota.
    pub async fn change_drive(&self, change: v1::ChangeDriveRequest) -> Result<v1::DriveInfo, RemoteError> {
        let send = |channel, request| async move { service(channel).change_drive(request).await };
        Ok(self.call(Safety::Write, change, send).await?)
    }

    /// Deletes a drive with everything in it.
    pub async fn delete_drive(&self, drive: SharedDriveId) -> Result<(), RemoteError> {
        let message = v1::DriveRequest { id: drive.to_string() };
        let send = |channel, request| async move { service(channel).delete_drive(request).await };
        self.call(Safety::Once, message, send).await?;
        Ok(())
    }

    /// Everybody who is in a drive.
    pub async fn members(&self, drive: SharedDriveId) -> Result<Vec<v1::MemberInfo>, RemoteError> {
        let message = v1::DriveRequest { id: drive.to_string() };
        let send = |channel, request| async move { service(channel).list_members(request).await };
        Ok(self.read(message, send).await?.members)
    }

    /// Gives somebody a role in a drive.
    pub async fn put_member(
        &self,
        drive: SharedDriveId,
        name: &str,
        role: &str,
        membership: v1::Membership,
    ) -> Result<v1::MemberInfo, RemoteError> {
        let (id, membership_) = (drive.to_string(), membership.into());
        let message =
            v1::PutMemberRequest { id, name: name.to_string(), role: role.to_string(), membership: membership_ };
        // A second try finds them there.
        let safety = if membership == v1::Membership::New { Safety::Once } else { Safety::Write };
        let send = |channel, request| async move { service(channel).put_member(request).await };
        Ok(self.call(safety, message, send).await?)
    }

    /// Takes somebody out of a drive.
    pub async fn remove_member(&self, drive: SharedDriveId, name: &str) -> Result<(), RemoteError> {
        let message = v1::RemoveMemberRequest { id: drive.to_string(), name: name.to_string() };
        let send = |channel, request| async move { service(channel).remove_member(request).await };
        self.call(Safety::Once, message, send).await?;
        Ok(())
    }
}
