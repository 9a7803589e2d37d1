//! What a drive is, said as simply as possible: the tree that the tests compare
//! a drive with. Paths are lists of valid names.

use atoll_apps::DriveError;
use atoll_apps::drive::{Entry, EntryKind};
use std::collections::BTreeMap;

/// What identifies a node: a file's version, a folder's id.
pub type Identity = [u8; 16];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Identity),
    Folder(Identity, BTreeMap<String, Node>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub root: BTreeMap<String, Node>,
    /// What was thrown away or had to make room, in that order.
    pub trash: Vec<Node>,
}

/// The reasons for which an act is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NotFound,
    Exists,
    NotAFolder,
    IsAFolder,
    NotEmpty,
    Cycle,
    Changed,
    NotInTrash,
}

impl Why {
    /// None: an error that is not about the tree.
    pub fn of(error: &DriveError) -> Option<Why> {
        Some(match error {
            DriveError::NotFound { .. } => Why::NotFound,
            DriveError::Exists { .. } => Why::Exists,
            DriveError::NotAFolder { .. } => Why::NotAFolder,
            DriveError::IsAFolder { .. } => Why::IsAFolder,
            DriveError::NotEmpty { .. } => Why::NotEmpty,
            DriveError::Cycle { .. } => Why::Cycle,
            DriveError::Changed { .. } => Why::Changed,
            DriveError::NotInTrash => Why::NotInTrash,
            _ => return None,
        })
    }
}

pub fn identity(entry: &Entry) -> Identity {
    match &entry.kind {
        EntryKind::File(file) => file.version.0,
        EntryKind::Folder(folder) => folder.id.0,
    }
}

/// A path as the tests choose it.
pub type Path = Vec<String>;

pub fn text(path: &Path) -> String {
    format!("/{}", path.join("/"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Put {
        path: Path,
        version: Identity,
        only_new: bool,
    },
    MakeFolder {
        path: Path,
    },
    MakeFolders {
        path: Path,
    },
    Remove {
        path: Path,
        recursive: bool,
    },
    Trash {
        path: Path,
    },
    /// The n-th of what is in the trash, which may have gone by then.
    Restore {
        to: Path,
        nth: usize,
    },
    Rename {
        from: Path,
        to: Path,
        replace: bool,
    },
    Stat {
        path: Path,
    },
    List {
        path: Path,
    },
}

/// What an act says when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The entry concerned: is it a folder, which, and its name.
    Entry(bool, Identity, String),
    /// A folder's entries.
    Entries(Vec<(String, Identity)>),
}

impl Node {
    fn identity(&self) -> Identity {
        match self {
            Node::File(id) | Node::Folder(id, _) => *id,
        }
    }

    fn is_folder(&self) -> bool {
        matches!(self, Node::Folder(..))
    }

    fn said(&self, name: &str) -> Said {
        match self {
            Node::File(version) => Said::Entry(false, *version, name.to_string()),
            Node::Folder(id, _) => Said::Entry(true, *id, name.to_string()),
        }
    }
}

impl Tree {
    pub fn new() -> Tree {
        Tree { root: BTreeMap::new(), trash: Vec::new() }
    }

    fn folder(&mut self, path: &[String]) -> Result<&mut BTreeMap<String, Node>, Why> {
        let mut at = &mut self.root;
        for name in path {
            at = match at.get_mut(name) {
                None => return Err(Why::NotFound),
                Some(Node::File(_)) => return Err(Why::NotAFolder),
                Some(Node::Folder(_, inside)) => inside,
            };
        }
        Ok(at)
    }

    fn get(&mut self, path: &[String]) -> Result<&mut Node, Why> {
        let (name, parents) = path.split_last().ok_or(Why::NotFound)?;
        self.folder(parents)?.get_mut(name).ok_or(Why::NotFound)
    }

    /// Does the act. `fresh` is the identity of the folder that it makes; those of
    /// parents made on the way the drive does not tell: they are [`UNKNOWN`].
    pub fn act(&mut self, act: &Act, fresh: Identity) -> Result<Said, Why> {
        match act {
            Act::Put { path, version, only_new } => {
                let (name, parents) = path.split_last().ok_or(Why::IsAFolder)?;
                let folder = self.folder(parents)?;
                match folder.get(name) {
                    Some(_) if *only_new => return Err(Why::Exists),
                    Some(Node::Folder(..)) => return Err(Why::IsAFolder),
                    _ => {}
                }
                folder.insert(name.clone(), Node::File(*version));
                Ok(Node::File(*version).said(name))
            }
            Act::MakeFolder { path } => {
                let (name, parents) = path.split_last().ok_or(Why::Exists)?;
                let folder = self.folder(parents)?;
                if folder.contains_key(name) {
                    return Err(Why::Exists);
                }
                folder.insert(name.clone(), Node::Folder(fresh, BTreeMap::new()));
                Ok(Said::Entry(true, fresh, name.clone()))
            }
            Act::MakeFolders { path } => {
                let mut at = &mut self.root;
                let mut said = Said::Entry(true, [0; 16], String::new());
                // Nothing is made where something is in the way.
                for (depth, name) in path.iter().enumerate() {
                    let last = depth + 1 == path.len();
                    let id = if last { fresh } else { UNKNOWN };
                    let node = at.entry(name.clone()).or_insert_with(|| Node::Folder(id, BTreeMap::new()));
                    said = node.said(name);
                    at = match node {
                        Node::File(_) => return Err(Why::NotAFolder),
                        Node::Folder(_, inside) => inside,
                    };
                }
                Ok(said)
            }
            Act::Remove { path, recursive } => {
                let (name, parents) = path.split_last().ok_or(Why::NotFound)?;
                match self.get(path)? {
                    Node::Folder(_, inside) if !inside.is_empty() && !recursive => return Err(Why::NotEmpty),
                    _ => {}
                }
                let gone = self.folder(parents)?.remove(name).ok_or(Why::NotFound)?;
                Ok(gone.said(name))
            }
            Act::Trash { path } => {
                let (name, parents) = path.split_last().ok_or(Why::NotFound)?;
                self.get(path)?;
                let gone = self.folder(parents)?.remove(name).ok_or(Why::NotFound)?;
                let gone = match gone {
                    Node::Folder(UNKNOWN, inside) => Node::Folder(fresh, inside),
                    known => known,
                };
                let said = gone.said(name);
                self.trash.push(gone);
                Ok(said)
            }
            // Which one it was is told by what it says: the identity is `fresh`.
            Act::Restore { to, .. } => {
                let (name, parents) = to.split_last().ok_or(Why::Exists)?;
                let at = self.trash.iter().position(|node| node.identity() == fresh);
                if self.folder(parents)?.contains_key(name) {
                    return Err(Why::Exists);
                }
                // Refused for another reason: whether it is there is not for this model to say.
                let node = self.trash.remove(at.ok_or(Why::NotInTrash)?);
                let said = node.said(name);
                self.folder(parents)?.insert(name.clone(), node);
                Ok(said)
            }
            Act::Rename { from, to, replace } => self.rename(from, to, *replace),
            Act::Stat { path } => {
                let name = path.last().cloned().unwrap_or_default();
                if path.is_empty() { Ok(Said::Entry(true, [0; 16], name)) } else { Ok(self.get(path)?.said(&name)) }
            }
            Act::List { path } => {
                let entries = self.folder(path)?.iter().map(|(name, node)| match node {
                    Node::File(id) | Node::Folder(id, _) => (name.clone(), *id),
                });
                Ok(Said::Entries(entries.collect()))
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path, replace: bool) -> Result<Said, Why> {
        let (Some((old_name, old_parents)), Some((name, parents))) = (from.split_last(), to.split_last()) else {
            return Err(Why::Cycle);
        };
        let moved = self.get(from)?.clone();
        if from == to {
            return Ok(moved.said(name));
        }
        self.folder(parents)?;
        if moved.is_folder() && to.starts_with(from) {
            return Err(Why::Cycle);
        }
        if self.get(to).is_ok() {
            if !replace {
                return Err(Why::Exists);
            }
            if from.starts_with(to) {
                return Err(Why::Cycle);
            }
        }
        self.folder(old_parents)?.remove(old_name);
        let replaced = self.folder(parents)?.insert(name.clone(), moved.clone());
        self.trash.extend(replaced);
        Ok(moved.said(name))
    }
}

/// Stands for an identity not yet known.
pub const UNKNOWN: Identity = [0xff; 16];

impl Said {
    /// The same, as far as it is known.
    pub fn agrees(&self, other: &Said) -> bool {
        let same = |a: &Identity, b: &Identity| a == b || *a == UNKNOWN || *b == UNKNOWN;
        match (self, other) {
            (Said::Entry(folder, id, name), Said::Entry(folder2, id2, name2)) => {
                folder == folder2 && same(id, id2) && name == name2
            }
            (Said::Entries(ours), Said::Entries(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
            }
            _ => false,
        }
    }
}
