//! What a replica's steps of a put cost, without disks and networks: `cargo bench -p atoll-replication --bench chain`.

use atoll_replication::chain::{Command, Environment, Holdings, Message, Replica, RequestId, Tables, TablesFailed};
use bytes::Bytes;
use divan::{Bencher, black_box};
use std::cell::RefCell;
use types::*;

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// Puts that are under way together, as under load.
const TOGETHER: u64 = 64;

fn main() {
    divan::main();
}

struct Empty;

impl Tables for Empty {
    fn get(&self, _: &ItemKey) -> Result<Option<Item>, TablesFailed> {
        Ok(None)
    }

    fn outcome(&self, _: &OperationId) -> Result<Option<Outcome>, TablesFailed> {
        Ok(None)
    }
}

fn id(node: u64) -> ReplicaId {
    ReplicaId { node: NodeId(node), incarnation: Incarnation(1) }
}

fn environment() -> Environment {
    let lease_until = Monotonic(u64::MAX);
    Environment { now: Monotonic(1), wall: WallMillis(1), lease_until, replicas_min: 2, under_way: 0, full: false }
}

fn put(n: u64) -> Transaction {
    let partition_key = Bytes::from(format!("item-{:08}", n.wrapping_mul(7919) % 10_000));
    Transaction {
        operation: OperationId { created: WallMillis(1), key_hash: KeyHash::of(&partition_key), nonce: u128::from(n) },
        partition_key,
        conditions: vec![],
        updates: vec![Update::Put {
            table: TableId(9),
            sort_key: Bytes::new().into(),
            value: Bytes::from(vec![n as u8; 256]).into(),
            expires: None,
        }],
    }
}

/// Three replicas whose logs and tables take everything at once.
struct Chain3 {
    replicas: Vec<Replica>,
    puts: u64,
    answered: u64,
}

impl Chain3 {
    fn new() -> Chain3 {
        let members = (1..=3).map(|node| ChainMember { replica: id(node), state: MemberState::Serving }).collect();
        let chain = Chain { epoch: Epoch(1), members, complete: (1..=3).map(NodeId).collect(), wanted: vec![] };
        let replicas = (1..=3).map(|node| Replica::new(id(node), PartitionId(0), Holdings::default())).collect();
        let mut all = Chain3 { replicas, puts: 0, answered: 0 };
        for at in 0..3 {
            let mut out = Vec::new();
            all.replicas[at].adopt(&environment(), &chain, &mut out);
            all.carry_out(at, out);
        }
        all.put_together();
        all.answered = 0;
        all
    }

    fn order(&mut self) -> Vec<Command> {
        let mut out = Vec::new();
        for _ in 0..TOGETHER {
            self.puts += 1;
            let request = RequestId(self.puts);
            self.replicas[0].transact(&environment(), request, &put(self.puts), 7, false, &Empty, &mut out);
        }
        out
    }

    /// What one replica asks for, and whatever comes of that.
    fn carry_out(&mut self, at: usize, commands: Vec<Command>) {
        let env = environment();
        let (mut durable, mut out, mut messages) = (None, Vec::new(), Vec::<Message>::new());
        for command in commands {
            match command {
                Command::Append { number, .. } => durable = Some(number),
                Command::Send(message) => messages.push(message),
                Command::Apply(entries) => {
                    let last = entries.last().map(|entry| entry.version.seq);
                    last.into_iter().for_each(|seq| self.replicas[at].applied(&env, seq, &mut out));
                }
                Command::Reply { .. } => self.answered += 1,
                _ => {}
            }
        }
        // One sync for all of them.
        if let Some(number) = durable {
            self.replicas[at].durable(&env, number, &mut out);
        }
        let mut others: [Vec<Command>; 3] = Default::default();
        for message in messages {
            let to = (message.to.node.0 - 1) as usize;
            self.replicas[to].receive(&env, message, &mut others[to]);
        }
        others[at].splice(0..0, out);
        for (to, commands) in others.into_iter().enumerate().filter(|(_, commands)| !commands.is_empty()) {
            self.carry_out(to, commands);
        }
    }

    fn put_together(&mut self) {
        let commands = self.order();
        self.carry_out(0, commands);
    }
}

/// The head puts them in order; nothing is durable yet.
#[divan::bench(sample_count = 200, sample_size = 1)]
fn head_orders_64_puts(bencher: Bencher) {
    bencher.with_inputs(Chain3::new).bench_local_refs(|chain| chain.order());
}

/// From the head to the tail and back, in all three replicas together.
#[divan::bench(sample_count = 500, sample_size = 1)]
fn chain_of_three_does_64_puts(bencher: Bencher) {
    let chain = RefCell::new(Chain3::new());
    bencher.bench_local(|| {
        let mut chain = chain.borrow_mut();
        let before = chain.answered;
        chain.put_together();
        assert_eq!(chain.answered - before, TOGETHER, "each is answered");
    });
}

/// A strong read looks at what is on its way to the tables.
#[divan::bench]
fn look_at_what_is_on_its_way(bencher: Bencher) {
    let mut chain = Chain3::new();
    drop(chain.order());
    let key = ItemKey::new(TableId(9), Bytes::from(format!("item-{:08}", 100 * 7919 % 10_000)), Bytes::new());
    bencher.bench_local(|| chain.replicas[0].committed_item(black_box(&key)).is_some());
}
