//! Files as blocks, as `client::blobs` writes them: pin, look for the block, store it, refer to it, and only then
//! name it; taking a name away comes before taking back its references. Contents are few, so that files share them.

use super::World;
use super::blocks::BlockRequest;
use super::client::What;
use super::event::{ClientEvent, Event, Packet, Request};
use super::load::Plan;
use crate::history::{Outcome, Reply as Told};
use crate::invariants::Observed;
use crate::scenario::{MS, RATE_PPM_MAX, SECOND};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::layout::{BLOCK_PIN, BLOCK_REFERENCE, BLOCKS_TABLE};
use types::{BlockHash, KeyHash, MemberState, NodeId, OperationId, Seq, TableId, Transaction, Update, WallMillis};

/// The table of names.
const FILES: TableId = TableId(3);
/// Different contents of blocks.
const CONTENTS: u64 = 6;
/// Pins last at least as long as this, by any clock.
const PIN: u64 = 4 * SECOND;

/// What a client does with a file, beside its other operations.
#[derive(Debug)]
pub(crate) struct Upload {
    name: u64,
    blocks: Vec<BlockHash>,
    stage: Stage,
    /// Which block it is at.
    at: usize,
    /// Before the first pin was asked for.
    pinned: u64,
    /// By when the tables contain the pin of each block.
    pins: Vec<Seq>,
    /// Who has the block it is at.
    durable: BTreeSet<NodeId>,
    asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pin,
    Store,
    Reference,
    Name,
    /// The name goes.
    Unname,
    Unreference,
}

/// A file that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct File {
    name: u64,
    blocks: Vec<BlockHash>,
}

impl World {
    /// The next step of what a client does with a file, if it does anything.
    pub(crate) fn plan_upload(&mut self, c: usize) -> Option<Plan> {
        if self.clients[c].upload.is_none() && self.scenario.blocks && self.random.permille(150) {
            self.begin_upload(c);
        }
        let now = self.now;
        let upload = self.clients[c].upload.as_mut()?;
        let early = matches!(upload.stage, Stage::Pin | Stage::Store | Stage::Reference);
        if early && !upload.pins.is_empty() && now - upload.pinned > PIN / 2 {
            // Its pins may not last: given up, and cleaned up.
            (upload.stage, upload.at) = (Stage::Unreference, 0);
        }
        let name = Bytes::copy_from_slice(&upload.name.to_be_bytes());
        let hash = upload.blocks.get(upload.at).copied().unwrap_or(BlockHash([0; 32]));
        let key = |prefix| Bytes::from([&[prefix][..], &name].concat());
        let put = |table, sort_key: Bytes, expires| Update::Put {
            table,
            sort_key: sort_key.into(),
            value: Bytes::new().into(),
            expires,
        };
        let of_block = Bytes::copy_from_slice(&hash.0);
        let (partition_key, update) = match upload.stage {
            Stage::Pin => {
                if upload.pins.is_empty() {
                    upload.pinned = now;
                }
                // Later than that by the fastest clock.
                let fast = 1_700_000_008_000 + (now + PIN) / 1_000_000 * (1_000_000 + RATE_PPM_MAX) / MS;
                (of_block, put(BLOCKS_TABLE, key(BLOCK_PIN), Some(WallMillis(fast))))
            }
            Stage::Store => {
                (upload.asked, upload.durable) = (false, BTreeSet::new());
                let partition = hash.partition(self.scenario.partitions);
                return Some(Plan { what: What::Store(hash), calls: Vec::new(), partition, asynchronous: false });
            }
            Stage::Reference => (of_block, put(BLOCKS_TABLE, key(BLOCK_REFERENCE), None)),
            Stage::Name => (Bytes::from_static(b"drive"), put(FILES, name, None)),
            Stage::Unname => (Bytes::from_static(b"drive"), Update::Delete { table: FILES, sort_key: name }),
            Stage::Unreference => (of_block, Update::Delete { table: BLOCKS_TABLE, sort_key: key(BLOCK_REFERENCE) }),
        };
        Some(self.plan_transaction(partition_key, update))
    }

    fn plan_transaction(&mut self, partition_key: Bytes, update: Update) -> Plan {
        self.values += 1;
        let nonce = u128::from(self.values) << 64 | u128::from(types::Rng::next_u64(&mut self.random));
        let created = WallMillis(1_700_000_000_000 + self.now / MS);
        let key_hash = KeyHash::of(&partition_key);
        let operation = OperationId { created, key_hash, nonce };
        let transaction = Transaction { operation, partition_key, conditions: Vec::new(), updates: vec![update] };
        let partition = key_hash.partition(self.scenario.partitions);
        let what = What::Write { transaction: Arc::new(transaction), counter: None };
        Plan { what, calls: Vec::new(), partition, asynchronous: false }
    }

    fn begin_upload(&mut self, c: usize) {
        self.values += 1;
        let mut upload = Upload {
            name: self.values,
            blocks: Vec::new(),
            stage: Stage::Pin,
            at: 0,
            pinned: 0,
            pins: Vec::new(),
            durable: BTreeSet::new(),
            asked: false,
        };
        if !self.files.is_empty() && self.random.permille(500) {
            let file = self.files.swap_remove(self.random.below(self.files.len() as u64) as usize);
            (upload.name, upload.blocks, upload.stage) = (file.name, file.blocks, Stage::Unname);
            self.observe(Observed::FileGoing { name: upload.name });
        } else {
            let count = self.random.between(1, 2);
            let contents: BTreeSet<u64> = (0..count).map(|_| self.random.below(CONTENTS)).collect();
            upload.blocks = contents.into_iter().map(|content| BlockHash::of(&content.to_be_bytes())).collect();
        }
        self.clients[c].upload = Some(upload);
    }

    /// A step of an upload is settled.
    pub(crate) fn upload_settled(&mut self, c: usize, outcome: &Outcome) {
        let version = self.clients[c].version;
        let now = self.now;
        let Some(upload) = self.clients[c].upload.as_mut() else { return };
        if *outcome != Outcome::Ok(Told::Done) {
            // Whatever became of it: it is tried again, or cleaned up after.
            return;
        }
        if upload.stage == Stage::Pin {
            upload.pins.push(version);
        }
        upload.at += 1;
        if upload.at < upload.blocks.len() && !matches!(upload.stage, Stage::Name | Stage::Unname) {
            return;
        }
        upload.at = 0;
        upload.stage = match upload.stage {
            Stage::Pin => Stage::Store,
            Stage::Store => Stage::Reference,
            // The pins held until the last reference was there.
            Stage::Reference if now - upload.pinned < PIN => Stage::Name,
            Stage::Reference | Stage::Unname => Stage::Unreference,
            Stage::Name => {
                let Some(Upload { name, blocks, .. }) = self.clients[c].upload.take() else { return };
                self.strike("files uploaded");
                self.log(format_args!("client {c} has uploaded file {name} of {blocks:?}"));
                self.observe(Observed::FileKept { name, blocks: &blocks });
                return self.files.push(File { name, blocks });
            }
            Stage::Unreference => {
                self.clients[c].upload = None;
                return;
            }
        };
    }

    /// Asks the members of the block's chain, or sends them the block.
    pub(crate) fn store_attempt(&mut self, c: usize) {
        let Some(What::Store(hash)) = self.clients[c].doing.as_ref().map(|doing| &doing.what) else { return };
        let (hash, deadline) = (*hash, self.clients[c].doing.as_ref().map_or(0, |doing| doing.deadline));
        if self.now > deadline {
            return self.settle(c, Outcome::Refused);
        }
        self.clients[c].attempts += 1;
        let attempt = self.clients[c].attempts;
        let client = &mut self.clients[c];
        let Some(upload) = client.upload.as_mut() else { return };
        let put = std::mem::replace(&mut upload.asked, true);
        let after = upload.pins.get(upload.at).copied().unwrap_or_default();
        let members = client.layout.chain(hash.partition(self.scenario.partitions)).map(|chain| chain.members.clone());
        let nodes = members.into_iter().flatten().map(|member| member.replica.node);
        let nodes: Vec<NodeId> = nodes.filter(|node| !upload.durable.contains(node)).collect();
        if let Some(doing) = &mut client.doing {
            doing.attempt = attempt;
        }
        for node in nodes {
            let Some(target) = self.machine_of(node).filter(|_| !self.random.permille(self.scenario.drop)) else {
                continue;
            };
            let request = Request::Block(BlockRequest { hash, put, after });
            let at = self.now + self.delay();
            self.at(at, Event::Packet { machine: target, packet: Packet::Request { client: c, attempt, request } });
        }
        let timeout = self.random.between(100, 400) * MS + self.scenario.delay * 4;
        self.at(self.now + timeout, Event::Client { client: c, what: ClientEvent::Timeout(attempt) });
    }

    /// A holder has answered.
    pub(crate) fn stored(&mut self, c: usize, node: NodeId, here: bool) {
        let Some(upload) = self.clients[c].upload.as_mut() else { return };
        if here {
            upload.durable.insert(node);
        }
        let (copies, need, all) = self.copies(c);
        if copies >= need && copies == all {
            self.settle(c, Outcome::Ok(Told::Done));
        }
    }

    /// Those that answered have; others took too long.
    pub(crate) fn store_timeout(&mut self, c: usize) {
        self.refresh(c);
        let (copies, need, _) = self.copies(c);
        match copies >= need {
            true => self.settle(c, Outcome::Ok(Told::Done)),
            false => self.store_attempt(c),
        }
    }

    /// Copies that count, how many are enough, and how many there could be.
    fn copies(&self, c: usize) -> (usize, usize, usize) {
        let client = &self.clients[c];
        let (Some(upload), Some(doing)) = (&client.upload, &client.doing) else { return (0, 1, 1) };
        let Some(chain) = client.layout.chain(doing.partition) else { return (0, 1, 1) };
        let serving = chain.members.iter().filter(|member| member.state == MemberState::Serving);
        let acking: Vec<NodeId> = serving.map(|member| member.replica.node).collect();
        let copies = acking.iter().filter(|node| upload.durable.contains(node)).count();
        (copies, usize::from(client.layout.replicas_min).min(chain.members.len()).max(1), acking.len())
    }
}
