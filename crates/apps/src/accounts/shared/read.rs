//! Who may do what in a drive, asked with every request; and the lists.

use super::rows::{DriveRow, MemberRow, index_key, member_key, second};
use super::{ADMINISTRATORS_DRIVES_MAX, ALL_DRIVES_MAX, DriveRole, MEMBERS_MAX, Member, SharedDrive};
use crate::accounts::rows::{UserRow, decode};
use crate::accounts::{AccountError, Accounts, EVERYONE, User};
use crate::page::{Page, cursor_after, place_of};
use crate::store::get_all;
use crate::{DriveId, UserId};
use bytes::Bytes;
use std::collections::BTreeSet;
use types::{Condition, Consistency, Item, ItemKey, Query, TableId, Test, Version, WallMillis};

/// Keys asked for at a time.
const AT_ONCE: usize = 500;

/// What was read of a drive for somebody who wants to change it.
pub(in crate::accounts) struct Authority {
    pub(super) drive: DriveRow,
    pub(super) version: Version,
    /// That they may, and that the drive is there, as conditions of what they do.
    pub conditions: Vec<Condition>,
}

pub(super) fn no_drive() -> AccountError {
    AccountError::NotFound { what: "drive" }
}

impl DriveRow {
    fn told(&self, id: DriveId, role: Option<DriveRole>) -> SharedDrive {
        SharedDrive { id, name: self.name.clone(), role, quota: self.quota, made: WallMillis(self.made) }
    }
}

impl Accounts {
    fn key(&self, table: TableId, sort_key: Bytes) -> ItemKey {
        ItemKey::new(table, EVERYONE, sort_key)
    }

    pub(super) fn condition(&self, table: TableId, sort_key: Bytes, test: Test) -> Condition {
        Condition { table, sort_key, test }
    }

    pub(super) async fn read_all<const N: usize>(&self, keys: [ItemKey; N]) -> Result<[Option<Item>; N], AccountError> {
        let items = self.inner.store.get_many(keys.into(), Consistency::Strong).await?;
        items.try_into().map_err(|_| AccountError::Damaged("other rows were read than were asked for".into()))
    }

    /// The drive, if this person may do that in it. To who is no member it looks like one that is not there. Read from the store each
    /// time: whoever is taken out of a drive is refused from then on, by every gateway.
    pub async fn drive_for(&self, user: &User, drive: DriveId, needs: DriveRole) -> Result<SharedDrive, AccountError> {
        let tables = &self.inner.tables;
        let keys = [self.key(tables.drives, drive.bytes()), self.key(tables.drive_members, member_key(drive, user.id))];
        let [Some(row), Some(member)] = self.read_all(keys).await? else { return Err(no_drive()) };
        let row: DriveRow = decode("a drive", &row.value)?;
        let role = DriveRole::from(decode::<MemberRow>("a member of a drive", &member.value)?.role());
        if role < needs {
            return Err(AccountError::DriveRole { needs });
        }
        Ok(row.told(drive, Some(role)))
    }

    /// The drive with its name and quota, for members and administrators.
    pub async fn shared_drive(&self, user: &User, drive: DriveId) -> Result<SharedDrive, AccountError> {
        match self.drive_for(user, drive, DriveRole::View).await {
            Err(AccountError::NotFound { .. }) => {}
            found => return found,
        }
        self.require_administrator(user, "look at drives of others").await.map_err(|error| match error {
            AccountError::Forbidden { .. } => no_drive(),
            error => error,
        })?;
        self.drive_for_nobody(drive).await
    }

    /// The drive as it is for whom a bucket's policy lets in.
    pub(in crate::accounts) async fn drive_for_nobody(&self, drive: DriveId) -> Result<SharedDrive, AccountError> {
        let key = self.key(self.inner.tables.drives, drive.bytes());
        let row = self.inner.store.get(&key, Consistency::Strong).await?.ok_or_else(no_drive)?;
        Ok(decode::<DriveRow>("a drive", &row.value)?.told(drive, None))
    }

    /// The shared drives that somebody is in, by name.
    pub async fn drives_of(&self, user: &User) -> Result<Vec<SharedDrive>, AccountError> {
        let tables = &self.inner.tables;
        let ids = self.drive_ids_of(user.id).await?;
        let keys = |id: &DriveId| {
            [self.key(tables.drives, id.bytes()), self.key(tables.drive_members, member_key(*id, user.id))]
        };
        let rows = get_all(&*self.inner.store, ids.iter().flat_map(keys).collect()).await?;
        let mut drives = Vec::new();
        for (id, found) in ids.into_iter().zip(rows.chunks(2)) {
            // One that goes away just now is not there any more.
            if let [Some(row), Some(member)] = found {
                let role = decode::<MemberRow>("a member of a drive", &member.value)?.role().into();
                drives.push(decode::<DriveRow>("a drive", &row.value)?.told(id, Some(role)));
            }
        }
        drives.sort_by_cached_key(|drive| (drive.name.to_lowercase(), drive.id));
        Ok(drives)
    }

    /// Those of these people who may do that in the drive, disabled accounts not among them.
    pub async fn who_may(
        &self,
        drive: DriveId,
        people: BTreeSet<UserId>,
        needs: DriveRole,
    ) -> Result<BTreeSet<UserId>, AccountError> {
        let keys = |id: &UserId| [self.member_item(drive, *id), self.user_key(*id)];
        let rows = get_all(&*self.inner.store, people.iter().flat_map(keys).collect()).await?;
        let mut may = BTreeSet::new();
        for (id, found) in people.into_iter().zip(rows.chunks(2)) {
            if let [Some(member), Some(user)] = found {
                let role = DriveRole::from(decode::<MemberRow>("a member of a drive", &member.value)?.role());
                if role >= needs && !decode::<UserRow>("a user", &user.value)?.disabled {
                    may.insert(id);
                }
            }
        }
        Ok(may)
    }

    pub(super) async fn drive_ids_of(&self, user: UserId) -> Result<Vec<DriveId>, AccountError> {
        let mut query = Query::prefix(self.inner.tables.drives_of_users, EVERYONE, &user.0);
        query.limit = 2 * ADMINISTRATORS_DRIVES_MAX;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let damaged = || AccountError::Damaged("the list of somebody's drives".into());
        page.items.iter().map(|at| second(&at.sort_key).map(DriveId).ok_or_else(damaged)).collect()
    }

    /// All shared drives, in no order. Only an administrator may; what is in them stays hidden.
    pub async fn all_drives(
        &self,
        by: &User,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SharedDrive>, AccountError> {
        // Who came by an app password administers nothing, whoever they are.
        if !by.is_administrator() {
            return Err(AccountError::Forbidden { what: "list all drives" });
        }
        self.require_administrator(by, "list all drives").await?;
        let tables = &self.inner.tables;
        let mut query = Query::all(tables.drives, EVERYONE);
        query.limit = if limit == 0 { ALL_DRIVES_MAX } else { limit.min(ALL_DRIVES_MAX) };
        if let Some(cursor) = cursor {
            query = query.after(place_of(cursor, 16).ok_or(AccountError::BadCursor)?.into());
        }
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let mut drives = Vec::new();
        for at in &page.items {
            let id = DriveId::from_slice(&at.sort_key).ok_or_else(|| AccountError::Damaged("a drive's id".into()))?;
            drives.push(decode::<DriveRow>("a drive", &at.item.value)?.told(id, None));
        }
        if !drives.is_empty() {
            let keys = drives.iter().map(|drive| self.key(tables.drive_members, member_key(drive.id, by.id)));
            let own = self.inner.store.get_many(keys.collect(), Consistency::Strong).await?;
            for (drive, own) in drives.iter_mut().zip(own) {
                if let Some(own) = own {
                    drive.role = Some(decode::<MemberRow>("a member of a drive", &own.value)?.role().into());
                }
            }
        }
        Ok(Page { items: drives, next: page.next.map(|key| cursor_after(&key)) })
    }

    /// Everybody who is in a drive, by name. For its members, and administrators.
    pub async fn members(&self, by: &User, drive: DriveId) -> Result<Vec<Member>, AccountError> {
        self.shared_drive(by, drive).await?;
        let mut query = Query::prefix(self.inner.tables.drive_members, EVERYONE, &drive.0);
        query.limit = MEMBERS_MAX + 100;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let mut members = Vec::new();
        for part in page.items.chunks(AT_ONCE) {
            let damaged = || AccountError::Damaged("a member of a drive".into());
            let ids = part.iter().map(|at| second(&at.sort_key).map(UserId).ok_or_else(damaged));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            let keys = ids.iter().map(|id| self.user_key(*id)).collect();
            let users = self.inner.store.get_many(keys, Consistency::Strong).await?;
            for ((at, id), user) in part.iter().zip(ids).zip(users) {
                // Whose account went just now is no member any more.
                let Some(user) = user else { continue };
                let user: UserRow = decode("a user", &user.value)?;
                let row: MemberRow = decode("a member of a drive", &at.item.value)?;
                members.push(Member {
                    user: id,
                    name: user.name,
                    display: user.display,
                    disabled: user.disabled,
                    role: row.role().into(),
                    since: WallMillis(row.since),
                });
            }
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(members)
    }

    /// That somebody may manage the drive now: one of its managers, or an administrator.
    pub(in crate::accounts) async fn authority(&self, by: &User, drive: DriveId) -> Result<Authority, AccountError> {
        let tables = &self.inner.tables;
        let own = member_key(drive, by.id);
        let keys =
            [self.key(tables.drives, drive.bytes()), self.key(tables.drive_members, own.clone()), self.user_key(by.id)];
        let [row, member, user] = self.read_all(keys).await?;
        let user = user.map(|item| Ok::<_, AccountError>((item.version, decode::<UserRow>("a user", &item.value)?)));
        let administrator = user.transpose()?.filter(|(_, row)| row.administers());
        let Some(row) = row else { return Err(no_drive()) };
        let role = member.map(|item| Ok((item.version, decode::<MemberRow>("a member of a drive", &item.value)?)));
        let role: Option<(Version, MemberRow)> = role.transpose().map_err(|error: AccountError| error)?;
        let may = match (&role, &administrator) {
            (Some((version, row)), _) if row.manages() => {
                self.condition(tables.drive_members, own, Test::VersionIs(*version))
            }
            (_, Some((version, _))) => self.user_is(by.id, *version),
            (Some(_), None) => return Err(AccountError::DriveRole { needs: DriveRole::Manage }),
            (None, None) => return Err(no_drive()),
        };
        let there = self.condition(tables.drives, drive.bytes(), Test::Present);
        Ok(Authority { drive: decode("a drive", &row.value)?, version: row.version, conditions: vec![may, there] })
    }

    /// A member's row, with its version.
    pub(super) async fn read_member(
        &self,
        drive: DriveId,
        user: UserId,
    ) -> Result<Option<(Version, MemberRow)>, AccountError> {
        let key = self.key(self.inner.tables.drive_members, member_key(drive, user));
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| Ok((item.version, decode("a member of a drive", &item.value)?))).transpose()
    }

    pub(super) fn drive_row_key(&self, drive: DriveId) -> ItemKey {
        self.key(self.inner.tables.drives, drive.bytes())
    }

    pub(super) fn member_item(&self, drive: DriveId, user: UserId) -> ItemKey {
        self.key(self.inner.tables.drive_members, member_key(drive, user))
    }

    pub(super) fn count_item(&self, sort_key: Bytes) -> ItemKey {
        self.key(self.inner.tables.counts, sort_key)
    }

    pub(super) fn index_update(&self, user: UserId, drive: DriveId) -> types::Update {
        types::Update::Put {
            table: self.inner.tables.drives_of_users,
            sort_key: index_key(user, drive).into(),
            value: Bytes::new().into(),
            expires: None,
        }
    }
}
