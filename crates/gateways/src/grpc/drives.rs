//! Shared drives: which there are, and who may use them. Each act of `apps::Accounts` judges by itself whether the caller may.

use super::GrpcState;
use super::accounts::by;
use super::drive_acts::cursor;
use super::guard::caller;
use super::problems::{invalid, status};
use apps::accounts::shared::{DriveRole, Member, NewMember, SharedDrive};
use apps::{AccountError, DriveId};
use rpc::grpc::v1::{self, drives_server::Drives};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// What is no id is the id of no drive.
fn drive(text: &str) -> Result<DriveId, Status> {
    text.parse().map_err(|_| status(AccountError::NotFound { what: "drive" }))
}

fn told(drive: SharedDrive) -> v1::DriveInfo {
    v1::DriveInfo {
        id: drive.id.to_string(),
        name: drive.name,
        role: drive.role.map_or("", DriveRole::as_str).to_string(),
        quota: drive.quota,
        made_ms: drive.made.0,
    }
}

fn member(member: Member) -> v1::MemberInfo {
    v1::MemberInfo {
        name: member.name,
        display_name: member.display,
        role: member.role.as_str().to_string(),
        disabled: member.disabled,
        since_ms: member.since.0,
    }
}

#[tonic::async_trait]
impl Drives for GrpcState {
    async fn list_drives(&self, request: Request<v1::ListDrivesRequest>) -> Answer<v1::DriveList> {
        let user = caller(&request)?.user.clone();
        let asked = request.into_inner();
        let accounts = &self.inner.accounts;
        let (drives, next) = match asked.all {
            false => (accounts.drives_of(&user).await.map_err(status)?, None),
            true => {
                let page = accounts.all_drives(&user, cursor(&asked.cursor)?, 0).await.map_err(status)?;
                (page.items, page.next)
            }
        };
        let drives = drives.into_iter().map(told).collect();
        Ok(Response::new(v1::DriveList { drives, next: next.unwrap_or_default() }))
    }

    async fn create_drive(&self, request: Request<v1::CreateDriveRequest>) -> Answer<v1::DriveInfo> {
        let by = by(&request)?;
        let made = self.inner.accounts.make_drive(by, &request.into_inner().name).await.map_err(status)?;
        Ok(Response::new(told(made)))
    }

    async fn change_drive(&self, request: Request<v1::ChangeDriveRequest>) -> Answer<v1::DriveInfo> {
        let (by, asked) = (by(&request)?, request.into_inner());
        let (drive, accounts) = (drive(&asked.id)?, &self.inner.accounts);
        if asked.quota_default && asked.quota.is_some() {
            return Err(invalid("a quota, or the one for all: not both"));
        }
        if let Some(name) = &asked.name {
            accounts.rename_drive(&by, drive, name).await.map_err(status)?;
        }
        if asked.quota_default || asked.quota.is_some() {
            accounts.set_drive_quota(&by, drive, asked.quota).await.map_err(status)?;
        }
        Ok(Response::new(told(accounts.shared_drive(&by.user, drive).await.map_err(status)?)))
    }

    async fn delete_drive(&self, request: Request<v1::DriveRequest>) -> Answer<v1::Empty> {
        let by = by(&request)?;
        self.inner.accounts.delete_drive(by, drive(&request.into_inner().id)?).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn list_members(&self, request: Request<v1::DriveRequest>) -> Answer<v1::MemberList> {
        let user = caller(&request)?.user.clone();
        let drive = drive(&request.into_inner().id)?;
        let members = self.inner.accounts.members(&user, drive).await.map_err(status)?;
        Ok(Response::new(v1::MemberList { members: members.into_iter().map(member).collect() }))
    }

    async fn put_member(&self, request: Request<v1::PutMemberRequest>) -> Answer<v1::MemberInfo> {
        let (by, asked) = (by(&request)?, request.into_inner());
        let role = asked.role.parse().map_err(|why: &str| invalid(why))?;
        let new = match asked.membership() {
            v1::Membership::Unspecified => NewMember::Either,
            v1::Membership::New => NewMember::Yes,
            v1::Membership::There => NewMember::No,
        };
        let put = self.inner.accounts.put_member(by, drive(&asked.id)?, &asked.name, role, new).await;
        Ok(Response::new(member(put.map_err(status)?)))
    }

    async fn remove_member(&self, request: Request<v1::RemoveMemberRequest>) -> Answer<v1::Empty> {
        let (by, asked) = (by(&request)?, request.into_inner());
        self.inner.accounts.remove_member(by, drive(&asked.id)?, &asked.name).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }
}
