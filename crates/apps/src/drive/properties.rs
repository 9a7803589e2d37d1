//! Properties that clients keep with files and folders and that mean nothing here (RFC 4918, section 4: *dead*
//! ones). One row has all of an entry, under its id, so that they follow where it moves; the entry says whether
//! there is one, so that listing costs nothing more.

use super::change::{Change, Commit};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry};
use crate::DriveId;
use bytes::Bytes;
use prost::Message;
use types::{Consistency, ItemKey, Test};

/// Properties of one entry.
pub const PROPERTIES_MAX: usize = 128;
/// Bytes of all properties of one entry.
pub const PROPERTIES_BYTES_MAX: usize = 16 * 1024;

/// A property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The XML namespace of its name; may be empty.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// The whole element, as XML that stands by itself.
    pub xml: String,
}

/// A change of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyChange {
    /// It is this now.
    Set(Property),
    /// It is there no more, if it was.
    Remove {
        /// Of the name.
        namespace: String,
        /// Which.
        name: String,
    },
}

#[derive(Clone, PartialEq, Message)]
struct PropertiesRow {
    #[prost(message, repeated, tag = "1")]
    properties: Vec<PropertyRow>,
}

#[derive(Clone, PartialEq, Message)]
struct PropertyRow {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    xml: String,
}

fn read(row: &[u8]) -> Result<Vec<Property>, DriveError> {
    let row: PropertiesRow = decode("properties", row)?;
    let property = |row: PropertyRow| Property { namespace: row.namespace, name: row.name, xml: row.xml };
    Ok(row.properties.into_iter().map(property).collect())
}

fn write(properties: &[Property]) -> Vec<u8> {
    let row =
        |it: &Property| PropertyRow { namespace: it.namespace.clone(), name: it.name.clone(), xml: it.xml.clone() };
    PropertiesRow { properties: properties.iter().map(row).collect() }.encode_to_vec()
}

fn apply(properties: &mut Vec<Property>, change: &PropertyChange) {
    let (namespace, name) = match change {
        PropertyChange::Set(property) => (&property.namespace, &property.name),
        PropertyChange::Remove { namespace, name } => (namespace, name),
    };
    let at = properties.iter().position(|it| (&it.namespace, &it.name) == (namespace, name));
    match (change, at) {
        (PropertyChange::Set(property), Some(at)) => properties[at] = property.clone(),
        (PropertyChange::Set(property), None) => properties.push(property.clone()),
        (PropertyChange::Remove { .. }, Some(at)) => drop(properties.remove(at)),
        (PropertyChange::Remove { .. }, None) => {}
    }
}

impl Drives {
    fn properties_key(&self, drive: DriveId, id: [u8; 16]) -> ItemKey {
        ItemKey::new(self.inner.tables.properties, drive.bytes(), Bytes::copy_from_slice(&id))
    }

    /// The properties of these entries.
    pub async fn properties(&self, drive: DriveId, entries: &[&Entry]) -> Result<Vec<Vec<Property>>, DriveError> {
        let with: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].properties).collect();
        let mut all = vec![Vec::new(); entries.len()];
        if with.is_empty() {
            return Ok(all);
        }
        let keys = with.iter().map(|at| self.properties_key(drive, entries[*at].id())).collect();
        for (at, item) in with.into_iter().zip(self.inner.store.get_many(keys, Consistency::Strong).await?) {
            if let Some(item) = item {
                all[at] = read(&item.value)?;
            }
        }
        Ok(all)
    }

    /// The row of an entry's properties as it is, for a copy of the entry.
    pub(super) async fn properties_row(&self, drive: DriveId, entry: &Entry) -> Result<Option<Bytes>, DriveError> {
        if !entry.properties {
            return Ok(None);
        }
        let item = self.inner.store.get(&self.properties_key(drive, entry.id()), Consistency::Strong).await?;
        Ok(item.map(|item| item.value.to_vec().into()))
    }

    /// The same, as a condition.
    pub(super) async fn require_properties(
        &self,
        drive: DriveId,
        entry: &Entry,
        change: &mut Change,
    ) -> Result<Option<Bytes>, DriveError> {
        let key = self.properties_key(drive, entry.id());
        let item = match entry.properties {
            true => self.inner.store.get(&key, Consistency::Strong).await?,
            false => None,
        };
        change.require(
            key.table,
            key.sort_key,
            item.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version)),
        );
        Ok(item.map(|item| item.value.to_vec().into()))
    }

    /// Changes properties of what is at a path, all or none; `only`: of that alone, by its id or the version of its content.
    /// The drive itself has none.
    pub async fn change_properties(
        &self,
        drive: DriveId,
        path: &DrivePath,
        changes: &[PropertyChange],
        only: Option<[u8; 16]>,
    ) -> Result<(), DriveError> {
        if path.is_root() {
            return Err(DriveError::Invalid("the drive itself has no properties of this kind".into()));
        }
        let mut tries = Tries::at(path);
        loop {
            let walk = self.walk(drive, path).await?;
            let step = walk.required()?;
            let mut entry = step.entry.clone();
            entry.must_be(only, path)?;
            let (parent, ancestors) = walk.parent()?;
            let key = self.properties_key(drive, entry.id());
            let item = self.inner.store.get(&key, Consistency::Strong).await?;
            let mut properties = item.as_ref().map(|item| read(&item.value)).transpose()?.unwrap_or_default();
            changes.iter().for_each(|change| apply(&mut properties, change));
            let row = write(&properties);
            if properties.len() > PROPERTIES_MAX || row.len() > PROPERTIES_BYTES_MAX {
                let why = format!("a file or folder has at most {PROPERTIES_MAX} properties, of 16 KiB together");
                return Err(DriveError::Invalid(why));
            }
            let mut change = Change::new(self, drive);
            change.require_locks(self);
            change.require_steps(ancestors);
            change.require_steps(std::slice::from_ref(step));
            let as_read = item.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version));
            change.require(key.table, key.sort_key.clone(), as_read);
            if properties.is_empty() == entry.properties {
                change.delete_entry(parent, &entry);
                entry.properties = !properties.is_empty();
                change.put_entry(parent, &entry);
            }
            match properties.is_empty() {
                true => change.delete(key.table, key.sort_key),
                false => change.put(key.table, key.sort_key, row),
            }
            match change.commit(self.store(), path).await? {
                Commit::Done(_) => return Ok(()),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }
}

impl Change {
    /// A copy that takes the place of `there` has the properties of what it is a copy of, and no others.
    pub(super) fn replace_properties(&mut self, drives: &Drives, there: &mut Entry, row: Option<Bytes>) {
        let had = std::mem::replace(&mut there.properties, row.is_some());
        match row {
            Some(row) => self.put_properties(drives, there, row),
            None if had => self.delete(drives.inner.tables.properties, there.id().to_vec().into()),
            None => {}
        }
    }

    /// A copy of an entry has the properties that the entry had.
    pub(super) fn put_properties(&mut self, drives: &Drives, copy: &Entry, row: Bytes) {
        self.put(drives.inner.tables.properties, copy.id().to_vec().into(), row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a map: sets and removals in their order, and what is written reads back.
        #[test]
        fn changes_are_those_of_a_map(changes in prop::collection::vec((0u8..4, prop::option::of("[a-z]{0,5}")), 0..30)) {
            let (mut real, mut model) = (Vec::new(), BTreeMap::new());
            for (name, value) in changes {
                let (namespace, name) = ("n".to_string(), name.to_string());
                match value {
                    Some(xml) => {
                        model.insert(name.clone(), xml.clone());
                        apply(&mut real, &PropertyChange::Set(Property { namespace, name, xml }));
                    }
                    None => {
                        model.remove(&name);
                        apply(&mut real, &PropertyChange::Remove { namespace, name });
                    }
                }
            }
            let read_back: BTreeMap<String, String> = read(&write(&real)).unwrap().into_iter().map(|it| (it.name, it.xml)).collect();
            prop_assert_eq!(real.len(), model.len());
            prop_assert_eq!(read_back, model);
        }
    }
}
