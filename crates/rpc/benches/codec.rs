//! What a message costs to write and to read: `cargo bench -p atoll-rpc --bench codec`.

use atoll_rpc::codec;
use atoll_rpc::wire::TransactRequest;
use bytes::Bytes;
use divan::{Bencher, black_box};
use types::{KeyHash, OperationId, TableId, Transaction, Update, WallMillis};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// A put of one item.
fn put(bytes: usize) -> TransactRequest {
    let key = Bytes::from_static(b"item-00001234");
    let operation = OperationId { created: WallMillis(1_700_000_000_000), key_hash: KeyHash::of(&key), nonce: 7 };
    let value = Bytes::from(vec![1; bytes]).into();
    let updates = vec![Update::Put { table: TableId(9), sort_key: Bytes::new().into(), value, expires: None }];
    let transaction = Transaction { operation, partition_key: key, conditions: Vec::new(), updates };
    TransactRequest { transaction, asynchronous: false }
}

#[divan::bench(args = [256, 65_536])]
fn encode(bencher: Bencher, bytes: usize) {
    let request = put(bytes);
    bencher.bench(|| codec::encode(black_box(&request)));
}

#[divan::bench(args = [256, 65_536])]
fn decode(bencher: Bencher, bytes: usize) {
    let body = codec::encode(&put(bytes));
    bencher.bench(|| codec::decode::<TransactRequest>(black_box(&body)));
}

#[divan::bench]
fn hash_of_a_key() -> KeyHash {
    KeyHash::of(black_box(b"item-00001234"))
}
