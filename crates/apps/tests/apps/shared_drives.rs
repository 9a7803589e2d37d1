//! Shared drives: who may use them, against a simple model and with a crash at every step.

use crate::model::{Fault, Handle, Model};
use crate::people::{PASSWORD, new_user, node, on, set_up};
use atoll_apps::accounts::shared::{DRIVES_MAX, DriveRole, MEMBERS_MAX, NewMember};
use atoll_apps::accounts::{Policy, SETTLED_AFTER};
use atoll_apps::drive::{self, NewFile, PutCondition};
use atoll_apps::{AccountError, Accounts, DriveId, Drives, Role, User};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::transaction::from_sortable;

use DriveRole::{Edit, Manage, View};

/// Rows and counts that must agree, as they are stored: what is wrong with them.
fn wrong(model: &Model) -> Vec<String> {
    let table = |name: &str| model.table("accounts", name).unwrap();
    let rows = |name: &str| {
        let table = table(name);
        let all = model.values().into_iter().filter(move |(key, _)| key.table == table);
        all.map(|(key, value)| (key.sort_key.to_vec(), value)).collect::<BTreeMap<_, _>>()
    };
    let (drives, members, index) = (rows("drives"), rows("drive_members"), rows("drives_of_users"));
    let (users, going) = (rows("users"), rows("drives_going"));
    let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut managed = BTreeSet::new();
    for (key, value) in &members {
        let (drive, user) = key.split_at(16);
        let manages = value.as_ref().starts_with(&[8, 3]);
        if !index.contains_key(&[user, drive].concat()) {
            wrong.push("a member who does not know of it".to_string());
        }
        if !users.contains_key(user) {
            wrong.push("a member whose account has gone".into());
        }
        if !drives.contains_key(drive) && !going.contains_key(drive) {
            wrong.push("a member of a drive that is not there".into());
        }
        *expected.entry([b"user-drives/", user].concat()).or_default() += 1;
        *expected.entry([b"user-manages/", user].concat()).or_default() += i64::from(manages);
        *expected.entry([b"drive-members/", drive].concat()).or_default() += 1;
        *expected.entry([b"drive-managers/", drive].concat()).or_default() += i64::from(manages);
        if manages {
            managed.insert(drive.to_vec());
        }
    }
    if index.len() != members.len() {
        wrong.push(format!("{} rows in people's lists for {} members", index.len(), members.len()));
    }
    for drive in drives.keys().filter(|drive| !managed.contains(*drive)) {
        wrong.push(format!("nobody manages {drive:?}"));
    }
    for (key, value) in rows("counts") {
        let ours = [&b"user-drives/"[..], b"user-manages/", b"drive-members/", b"drive-managers/"];
        if !ours.iter().any(|prefix| key.starts_with(prefix)) {
            continue;
        }
        let id = &key[key.len() - 16..];
        // Of a drive that is going its counts do not matter any more.
        let counted = from_sortable(value[..].try_into().unwrap());
        let expected = expected.get(&key).copied().unwrap_or(0);
        if counted != expected && !going.contains_key(id) {
            wrong.push(format!("{} is {counted} and not {expected}", String::from_utf8_lossy(&key[..key.len() - 16])));
        }
        if !users.contains_key(id) && !drives.contains_key(id) && !going.contains_key(id) {
            wrong.push("a count of what has gone".into());
        }
    }
    wrong
}

async fn person(accounts: &Accounts, by: &User, name: &str) -> User {
    accounts.create_user(by, new_user(name, Role::User)).await.unwrap()
}

async fn may(accounts: &Accounts, user: &User, drive: DriveId) -> Option<DriveRole> {
    match accounts.drive_for(user, drive, View).await {
        Ok(found) => found.role,
        Err(AccountError::NotFound { what: "drive" }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn roles_are_what_they_say() {
    let (model, accounts, root) = set_up().await;
    let root = root.user;
    let (ada, ben, eve) = (
        person(&accounts, &root, "ada").await,
        person(&accounts, &root, "ben").await,
        person(&accounts, &root, "eve").await,
    );
    let drive = accounts.make_drive(&ada, "  Tea club ").await.unwrap();
    assert_eq!((drive.name.as_str(), drive.role), ("Tea club", Some(Manage)));
    let none = AccountError::NotFound { what: "drive" };
    // For who is no member it is as if it were not there, whatever they try.
    let nowhere = DriveId::random();
    for id in [drive.id, nowhere] {
        assert_eq!(accounts.drive_for(&eve, id, View).await, Err(none.clone()));
        assert_eq!(accounts.members(&eve, id).await, Err(none.clone()));
        assert_eq!(accounts.rename_drive(&eve, id, "x").await, Err(none.clone()));
        assert_eq!(accounts.delete_drive(&eve, id).await, Err(none.clone()));
        assert_eq!(accounts.remove_member(&eve, id, "eve").await, Err(none.clone()));
        assert_eq!(accounts.put_member(&eve, id, "eve", View, NewMember::Either).await, Err(none.clone()));
    }
    accounts.put_member(&ada, drive.id, "Ben", View, NewMember::Yes).await.unwrap();
    let again = accounts.put_member(&ada, drive.id, "ben", Edit, NewMember::Yes).await;
    assert_eq!(again, Err(AccountError::MemberAlready { name: "ben".into() }));
    assert_eq!(accounts.drive_for(&ben, drive.id, Edit).await, Err(AccountError::DriveRole { needs: Edit }));
    assert_eq!(accounts.rename_drive(&ben, drive.id, "x").await, Err(AccountError::DriveRole { needs: Manage }));
    accounts.put_member(&ada, drive.id, "ben", Edit, NewMember::No).await.unwrap();
    assert!(accounts.drive_for(&ben, drive.id, Edit).await.is_ok());
    // Seen by another node at once.
    assert_eq!(may(&node(&model).await, &ben, drive.id).await, Some(Edit));
    let names: Vec<_> =
        accounts.members(&ben, drive.id).await.unwrap().into_iter().map(|it| (it.name, it.role)).collect();
    assert_eq!(names, [("ada".to_string(), Manage), ("ben".to_string(), Edit)]);
    assert_eq!(accounts.drives_of(&ben).await.unwrap()[0].name, "Tea club");
    // The last manager stays one.
    let last = AccountError::LastManager { drive: "Tea club".into() };
    assert_eq!(accounts.remove_member(&ada, drive.id, "ada").await, Err(last.clone()));
    assert_eq!(accounts.put_member(&ada, drive.id, "ada", Edit, NewMember::Either).await, Err(last.clone()));
    assert_eq!(accounts.delete_account(&ada, PASSWORD, None).await, Err(last));
    accounts.put_member(&ada, drive.id, "ben", Manage, NewMember::Either).await.unwrap();
    accounts.remove_member(&ada, drive.id, "ada").await.unwrap();
    assert_eq!(may(&accounts, &ada, drive.id).await, None);
    // An administrator sees that it is there and may appoint, but not what is in it.
    assert_eq!(accounts.drive_for(&root, drive.id, View).await, Err(none));
    assert_eq!(accounts.all_drives(&root, None, 0).await.unwrap().items.len(), 1);
    assert!(accounts.all_drives(&ben, None, 0).await.is_err());
    accounts.set_drive_quota(&root, drive.id, Some(7)).await.unwrap();
    assert!(matches!(accounts.set_drive_quota(&ben, drive.id, None).await, Err(AccountError::Forbidden { .. })));
    assert_eq!(accounts.shared_drive(&ben, drive.id).await.unwrap().quota, Some(7));
    accounts.put_member(&root, drive.id, "eve", Manage, NewMember::Yes).await.unwrap();
    let log = accounts.audit(&root, None, None, 0).await.unwrap().items;
    let actions: BTreeSet<_> = log.iter().map(|line| line.action.as_str()).collect();
    for action in ["drive made", "drive member", "drive left", "drive quota"] {
        assert!(actions.contains(action), "{action}: {actions:?}");
    }
    assert!(log.iter().any(|line| line.subject == Some(eve.id) && line.detail.contains("Tea club: may manage")));
    assert_eq!(wrong(&model), Vec::<String>::new());
}

#[tokio::test]
async fn there_are_bounds() {
    let (model, accounts, root) = set_up().await;
    let root = root.user;
    let ada = person(&accounts, &root, "ada").await;
    accounts.set_policy(&root, Policy { drives_max: 2, ..Policy::default() }).await.unwrap();
    let first = accounts.make_drive(&ada, "one").await.unwrap();
    accounts.make_drive(&ada, "one").await.unwrap();
    assert!(matches!(accounts.make_drive(&ada, "three").await, Err(AccountError::TooMany { max: 2, .. })));
    accounts.set_policy(&root, Policy { drives_max: 0, ..Policy::default() }).await.unwrap();
    assert!(matches!(accounts.make_drive(&ada, "three").await, Err(AccountError::Forbidden { .. })));
    for bad in ["", "  ", "a\nb", "\u{202e}x", &"x".repeat(101)] {
        assert!(
            matches!(accounts.rename_drive(&ada, first.id, bad).await, Err(AccountError::BadName { .. })),
            "{bad:?}"
        );
    }
    // Administrators make drives for others; nobody is put into more than so many.
    for n in 2..DRIVES_MAX {
        if n % 90 == 0 {
            model.advance(atoll_apps::accounts::TRIES_WINDOW);
        }
        let drive = accounts.make_drive(&root, &format!("drive {n}")).await.unwrap();
        accounts.put_member(&root, drive.id, "ada", Edit, NewMember::Yes).await.unwrap();
    }
    let drive = accounts.make_drive(&root, "one too many").await.unwrap();
    let full = accounts.put_member(&root, drive.id, "ada", View, NewMember::Yes).await;
    assert!(matches!(full, Err(AccountError::TooMany { max: DRIVES_MAX, .. })), "{full:?}");
    assert_eq!(accounts.drives_of(&ada).await.unwrap().len(), DRIVES_MAX as usize);
    for n in 1..=MEMBERS_MAX {
        let name = format!("u{n}");
        person(&accounts, &root, &name).await;
        let put = accounts.put_member(&root, drive.id, &name, View, NewMember::Yes).await;
        match n < MEMBERS_MAX {
            true => drop(put.unwrap()),
            false => assert!(matches!(put, Err(AccountError::TooMany { max: MEMBERS_MAX, .. })), "{put:?}"),
        }
    }
    assert_eq!(accounts.members(&root, drive.id).await.unwrap().len(), MEMBERS_MAX as usize);
    // All of that goes, as well.
    accounts.keep_estates(vec![]);
    accounts.delete_drive(&root, drive.id).await.unwrap();
    assert_eq!(accounts.carry_on_drives().await.unwrap(), 1);
    assert_eq!(wrong(&model), Vec::<String>::new());
    let told = accounts.leaving(&ada).await.unwrap().estates;
    let told = told.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert_eq!(told, "places in 100 shared drives; the drive one's only manager; the drive one's only manager");
    accounts.remove_user(&root, "ada").await.unwrap();
    assert_eq!(may(&accounts, &root, first.id).await, Some(Manage), "who removes the account takes over");
    assert_eq!(wrong(&model), Vec::<String>::new());
}

/// What the store should hold, as simply as it can be said.
#[derive(Default)]
struct Simple {
    drives: BTreeMap<DriveId, BTreeMap<String, DriveRole>>,
}

impl Simple {
    fn managers(&self, drive: DriveId) -> usize {
        self.drives[&drive].values().filter(|role| **role == Manage).count()
    }

    /// Somebody gets a role, or none; false: the last manager stays.
    fn set(&mut self, drive: DriveId, name: &str, role: Option<DriveRole>) -> bool {
        let was = self.drives[&drive].get(name).copied();
        if was == Some(Manage) && role != Some(Manage) && self.managers(drive) == 1 {
            return false;
        }
        let members = self.drives.get_mut(&drive).unwrap();
        match role {
            Some(role) => drop(members.insert(name.into(), role)),
            None => drop(members.remove(name)),
        }
        true
    }
}

#[tokio::test]
async fn any_sequence_of_changes_is_as_simple_as_it_looks() {
    for seed in 0..25 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (model, accounts, root) = set_up().await;
        accounts.keep_estates(vec![]);
        let mut people = BTreeMap::from([("root".to_string(), root.user.clone())]);
        for name in ["ada", "ben", "cyd", "dan"] {
            people.insert(name.to_string(), person(&accounts, &root.user, name).await);
        }
        let mut simple = Simple::default();
        for step in 0..80 {
            let at = format!("seed {seed}, step {step}");
            let names: Vec<String> = people.keys().cloned().collect();
            let pick = |random: &mut ChaCha8Rng| names[random.random_range(0..names.len())].clone();
            let (by, whom) = (pick(&mut random), pick(&mut random));
            let user = people[&by].clone();
            let ids: Vec<DriveId> = simple.drives.keys().copied().collect();
            let act = random.random_range(0..20);
            if ids.is_empty() || act < 2 {
                let drive = accounts.make_drive(&user, &at).await.unwrap();
                simple.drives.insert(drive.id, BTreeMap::from([(by.clone(), Manage)]));
                continue;
            }
            let drive = ids[random.random_range(0..ids.len())];
            let own = simple.drives[&drive].get(&by).copied();
            let manages = own == Some(Manage) || by == "root";
            match act {
                2..10 => {
                    let role = [View, Edit, Manage][random.random_range(0..3)];
                    let done = accounts.put_member(&user, drive, &whom, role, NewMember::Either).await;
                    let expected = manages && simple.set(drive, &whom, Some(role));
                    assert_eq!(done.is_ok(), expected, "{at}: {by} makes {whom} {role}: {done:?}");
                }
                10..15 => {
                    let whom = if act < 12 { by.clone() } else { whom };
                    let is_one = simple.drives[&drive].contains_key(&whom);
                    let done = accounts.remove_member(&user, drive, &whom).await;
                    let expected = (manages || whom == by) && is_one && simple.set(drive, &whom, None);
                    assert_eq!(done.is_ok(), expected, "{at}: {by} removes {whom}: {done:?}");
                }
                15 => {
                    let done = accounts.delete_drive(&user, drive).await;
                    assert_eq!(done.is_ok(), manages, "{at}: {by} deletes: {done:?}");
                    if manages {
                        simple.drives.remove(&drive);
                    }
                }
                16 => drop(accounts.carry_on_drives().await.unwrap()),
                17 if whom != "root" && people.len() > 2 => {
                    // An account goes, by an administrator; another comes of the same name.
                    accounts.remove_user(&root.user, &whom).await.unwrap();
                    for drive in ids {
                        if !simple.set(drive, &whom, None) {
                            simple.drives.get_mut(&drive).unwrap().insert("root".into(), Manage);
                            simple.set(drive, &whom, None);
                        }
                    }
                    people.insert(whom.clone(), person(&accounts, &root.user, &whom).await);
                }
                18 if by != "root" => {
                    let alone = simple
                        .drives
                        .iter()
                        .any(|(id, members)| members.get(&by) == Some(&Manage) && simple.managers(*id) == 1);
                    let done = accounts.delete_account(&user, PASSWORD, None).await;
                    assert_eq!(done.is_ok(), !alone, "{at}: {by} goes: {done:?}");
                    if !alone {
                        for members in simple.drives.values_mut() {
                            members.remove(&by);
                        }
                        people.insert(by.clone(), person(&accounts, &root.user, &by).await);
                    }
                }
                _ => {
                    let done = accounts.rename_drive(&user, drive, &at).await;
                    assert_eq!(done.is_ok(), manages, "{at}: {by} renames: {done:?}");
                }
            }
            assert_eq!(wrong(&model), Vec::<String>::new(), "{at}");
            for (name, user) in &people {
                for (drive, members) in &simple.drives {
                    assert_eq!(may(&accounts, user, *drive).await, members.get(name).copied(), "{at}: {name}");
                }
                let listed: BTreeSet<_> = accounts.drives_of(user).await.unwrap().iter().map(|it| it.id).collect();
                let expected = simple.drives.iter().filter(|(_, members)| members.contains_key(name));
                assert_eq!(listed, expected.map(|(id, _)| *id).collect(), "{at}: {name}");
            }
        }
    }
}

/// What is crashed.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Make,
    Add,
    Demote,
    Leave,
    Delete,
    RemoveAccount,
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_nothing_half_done() {
    let all = [Doing::Make, Doing::Add, Doing::Demote, Doing::Leave, Doing::Delete, Doing::RemoveAccount];
    for doing in all {
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0.. {
                if !crash(doing, fault, at).await {
                    break;
                }
            }
        }
    }
}

/// False: it ended before it came to that call.
async fn crash(doing: Doing, fault: Fault, at: u64) -> bool {
    let (model, accounts, root) = set_up().await;
    let root = root.user;
    let drives = Drives::open_store(Handle::new(&model, 0), drive::Settings::default()).await.unwrap();
    let (ada, ben) = (person(&accounts, &root, "ada").await, person(&accounts, &root, "ben").await);
    let drive = accounts.make_drive(&ada, "tea").await.unwrap().id;
    accounts.put_member(&ada, drive, "ben", Edit, NewMember::Yes).await.unwrap();
    if let Doing::Demote | Doing::Leave = doing {
        accounts.put_member(&ada, drive, "root", Manage, NewMember::Yes).await.unwrap();
    }
    for n in 0..2 {
        let content = model.store_content(&vec![n; 30_000]);
        let path = format!("/{n}");
        drives.put_file(drive, &path, content, NewFile::default(), PutCondition::Replace).await.unwrap();
    }
    drives.trash(drive, "/1", None, None).await.unwrap();
    let handle = Handle::new(&model, 0);
    let crashing = on(handle.clone()).await;
    let estate = Drives::open_store(handle.clone(), drive::Settings::default()).await.unwrap();
    crashing.keep_estates(vec![Arc::new(estate)]);
    handle.plan(Some((at, fault)));
    let act = async {
        match doing {
            Doing::Make => drop(crashing.make_drive(&ben, "coffee").await?),
            Doing::Add => drop(crashing.put_member(&ada, drive, "root", View, NewMember::Either).await?),
            Doing::Demote => drop(crashing.put_member(&ada, drive, "ada", View, NewMember::Either).await?),
            Doing::Leave => crashing.remove_member(&ada, drive, "ada").await?,
            Doing::RemoveAccount => drop(crashing.remove_user(&root, "ada").await?),
            Doing::Delete => {
                crashing.delete_drive(&ada, drive).await?;
                for _ in 0..3 {
                    crashing.carry_on_drives().await?;
                }
                model.advance(SETTLED_AFTER);
                crashing.carry_on_drives().await?;
            }
        }
        Ok::<_, AccountError>(())
    };
    let ended = handle.run(act).await;
    let over = handle.calls() <= at;
    let said = matches!(ended, Some(Ok(())));
    let told = format!("{doing:?}, {fault:?} at {at}");
    assert_eq!(wrong(&model), Vec::<String>::new(), "{told}");
    assert!(said || !over, "{told}");
    // Another node looks, and goes on.
    let other = node(&model).await;
    other.keep_estates(vec![Arc::new(drives.clone())]);
    let role = |user: User| {
        let other = other.clone();
        async move { may(&other, &user, drive).await }
    };
    match doing {
        Doing::Make => {
            let all = other.drives_of(&ben).await.unwrap();
            assert!(!said || all.len() == 2, "{told}");
        }
        Doing::Add => assert!(!said || role(root.clone()).await == Some(View), "{told}"),
        Doing::Demote => assert!(!said || role(ada.clone()).await == Some(View), "{told}"),
        Doing::Leave => assert!(!said || role(ada.clone()).await.is_none(), "{told}"),
        Doing::RemoveAccount => {
            let gone = other.find("ada").await.is_err();
            assert!(gone || !said, "{told}");
            let manager = if gone { &root } else { &ada };
            assert_eq!(role(manager.clone()).await, Some(Manage), "{told}: there is a manager");
        }
        Doing::Delete => {
            let there = role(ben.clone()).await.is_some();
            assert_eq!(role(ada.clone()).await.is_some(), there, "{told}: for all or for nobody");
            assert!(!there || !said, "{told}");
            if there {
                other.delete_drive(&ada, drive).await.unwrap();
            }
            let sweeper = &drives;
            for _ in 0..4 {
                other.carry_on_drives().await.unwrap();
            }
            model.advance(SETTLED_AFTER);
            assert_eq!(other.carry_on_drives().await.unwrap(), 0, "{told}");
            for _ in 0..4 {
                sweeper.sweep(drive).await.unwrap();
                model.advance(std::time::Duration::from_secs(3600));
            }
            sweeper.read_texts(drive).await.unwrap();
            assert_eq!(wrong(&model), Vec::<String>::new(), "{told}");
            assert!(model.references().is_empty(), "{told}: blocks are still referenced");
            let left = |bytes: &[u8]| bytes.windows(16).any(|window| window == drive.0);
            let audit = model.table("accounts", "audit");
            let counts = model.table("drive", "counts");
            let litter: Vec<_> = model.values().into_iter().map(|(key, _)| key).collect();
            let litter: Vec<_> = litter
                .into_iter()
                .filter(|key| Some(key.table) != audit && Some(key.table) != counts)
                .filter(|key| left(&key.partition_key) || left(&key.sort_key))
                .collect();
            assert!(litter.is_empty(), "{told}: {litter:?}");
        }
    }
    !over
}

#[tokio::test]
async fn managers_who_go_at_the_same_moment_do_not_both_go() {
    for seed in 0..60 {
        let (model, accounts, root) = set_up().await;
        let (ada, ben) = (person(&accounts, &root.user, "ada").await, person(&accounts, &root.user, "ben").await);
        let drive = accounts.make_drive(&ada, "tea").await.unwrap().id;
        accounts.put_member(&ada, drive, "ben", Manage, NewMember::Yes).await.unwrap();
        let one = on(Handle::new(&model, seed).yielding(4)).await;
        let two = on(Handle::new(&model, seed + 1000).yielding(4)).await;
        let leave = one.remove_member(&ada, drive, "ada");
        let results = match seed % 3 {
            0 => {
                let (a, b) = tokio::join!(leave, two.remove_member(&ben, drive, "ben"));
                [a.is_ok(), b.is_ok()]
            }
            1 => {
                let (a, b) = tokio::join!(leave, two.delete_account(&ben, PASSWORD, None));
                [a.is_ok(), b.is_ok()]
            }
            _ => {
                let (a, b) = tokio::join!(leave, two.put_member(&ben, drive, "ben", View, NewMember::No));
                [a.is_ok(), b.is_ok()]
            }
        };
        assert!(results[0] ^ results[1], "seed {seed}: one, and one alone: {results:?}");
        assert_eq!(wrong(&model), Vec::<String>::new(), "seed {seed}");
    }
}
