//! Files: sent in blocks, sent again, fetched from whoever has them.

use super::*;
use client::remote::{
    DownloadOptions, Entry, Expect, FileCondition, FileVersion, RemoteError, UploadProgress, UploadTarget,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use types::BlockHash;

const MIB: usize = 1 << 20;

fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
    bytes
}

async fn upload(remote: &Remote, path: &str, bytes: &[u8]) -> (Entry, UploadProgress) {
    let mut last = UploadProgress::default();
    let entry = remote.upload(bytes, &UploadTarget::new(path), |progress| last = progress).await.unwrap();
    (entry, last)
}

async fn download(remote: &Remote, path: &str, options: &DownloadOptions) -> Result<Vec<u8>, RemoteError> {
    let mut into = Vec::new();
    remote.download(path, &mut into, options, |_| ()).await?;
    Ok(into)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_size_come_back() {
    let world = World::new(2).await;
    let ada = world.ada().await;
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, MIB - 1, MIB, MIB + 1, 7 * MIB + 12_345];
    for (n, size) in sizes.into_iter().enumerate() {
        let sent = bytes(size, n as u64);
        let path = format!("/file {n}");
        let (entry, progress) = upload(&ada, &path, &sent).await;
        assert_eq!((entry.size(), entry.name.as_str()), (size as u64, &path[1..]));
        assert_eq!(entry.file().unwrap().hash, BlockHash::of(&sent));
        assert_eq!((progress.done, progress.sent), (size as u64, size as u64));
        assert_eq!(download(&ada, &path, &DownloadOptions::default()).await.unwrap(), sent, "{size}");
        for offset in [1, size / 2, size.saturating_sub(1), size] {
            let options = DownloadOptions { offset: offset.min(size) as u64, ..DownloadOptions::default() };
            assert_eq!(
                download(&ada, &path, &options).await.unwrap(),
                sent[offset.min(size)..],
                "{size} from {offset}"
            );
        }
    }
    let beyond = DownloadOptions { offset: 2, ..DownloadOptions::default() };
    assert!(download(&ada, "/file 1", &beyond).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cluster_has_is_not_sent_again() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    let sent = bytes(5 * MIB + 7, 1);
    upload(&ada, "/a", &sent).await;
    assert_eq!(world.memory.puts(), 6);
    let (_, progress) = upload(&ada, "/b", &sent).await;
    assert_eq!((progress.done, progress.sent), (sent.len() as u64, 0));
    assert_eq!(world.memory.puts(), 6);
    // As after an interruption: some of it is there.
    world.memory.drop_block(BlockHash::of(&sent[MIB..2 * MIB]));
    let (_, progress) = upload(&ada, "/c", &sent).await;
    assert_eq!(progress.sent, MIB as u64);
    // A file that repeats itself is sent once.
    let (entry, progress) = upload(&ada, "/zeros", &vec![0; 8 * MIB]).await;
    assert_eq!((entry.size(), progress.sent), (8 * MIB as u64, MIB as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_this_machine_keep_their_time() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("local");
    let sent = bytes(3 * MIB, 2);
    std::fs::write(&file, &sent).unwrap();
    let entry = ada.upload_file(&file, &UploadTarget::new("/remote"), |_| ()).await.unwrap();
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(u128::from(entry.modified.0), modified);
    assert_eq!(ada.stat("/remote").await.unwrap(), entry);
    assert!(matches!(
        ada.upload_file(folder.path(), &UploadTarget::new("/x"), |_| ()).await,
        Err(RemoteError::Invalid(_))
    ));
    assert!(matches!(
        ada.upload_file(&folder.path().join("none"), &UploadTarget::new("/x"), |_| ()).await,
        Err(RemoteError::Local(_))
    ));
}

#[tokio::test]
async fn conditions_protect_what_is_there() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    let put = |condition, text: &'static str| {
        let ada = ada.clone();
        let target = UploadTarget { condition, ..UploadTarget::new("/f") };
        async move { ada.upload(text.as_bytes(), &target, |_| ()).await }
    };
    let first = put(FileCondition::Absent, "one").await.unwrap().file().unwrap().version;
    assert!(matches!(put(FileCondition::Absent, "two").await, Err(RemoteError::Exists(_))));
    let second = put(FileCondition::Replaces(first), "two").await.unwrap().file().unwrap().version;
    assert!(matches!(put(FileCondition::Replaces(first), "three").await, Err(RemoteError::Changed(_))));
    put(FileCondition::Any, "three").await.unwrap();
    let expect = |expect| DownloadOptions { expect: Some(expect), ..DownloadOptions::default() };
    assert!(matches!(download(&ada, "/f", &expect(Expect::Version(second))).await, Err(RemoteError::Changed(_))));
    let hash = Expect::Hash(BlockHash::of(b"two"));
    assert!(matches!(download(&ada, "/f", &expect(hash)).await, Err(RemoteError::Changed(_))));
    let hash = Expect::Hash(BlockHash::of(b"three"));
    assert_eq!(download(&ada, "/f", &expect(hash)).await.unwrap(), b"three");
    assert!(matches!(put(FileCondition::Replaces(FileVersion([9; 16])), "four").await, Err(RemoteError::Changed(_))));
}

#[tokio::test]
async fn folders_are_made_listed_renamed_and_removed() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    assert!(matches!(ada.make_folder("/a/b", false).await, Err(RemoteError::NotFound(_))));
    assert!(ada.make_folder("/a/b", true).await.unwrap().is_folder());
    assert!(matches!(ada.make_folder("/a/b", false).await, Err(RemoteError::Exists(_))));
    for n in 0..5 {
        upload(&ada, &format!("/a/b/{n}"), b"x").await;
    }
    let mut names = Vec::new();
    let mut page = None;
    loop {
        let found = ada.list_folder("/a/b", page.as_deref(), 2).await.unwrap();
        names.extend(found.entries.into_iter().map(|entry| entry.name));
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(names, ["0", "1", "2", "3", "4"]);
    assert_eq!(ada.rename("/a/b", "/c", false).await.unwrap().name, "c");
    assert!(matches!(ada.rename("/c/0", "/c/1", false).await, Err(RemoteError::Exists(_))));
    ada.rename("/c/0", "/c/1", true).await.unwrap();
    assert!(matches!(ada.remove("/c", false).await, Err(RemoteError::NotEmpty(_))));
    ada.remove("/c", true).await.unwrap();
    assert!(matches!(ada.stat("/c").await, Err(RemoteError::NotFound(_))));
    assert!(matches!(ada.list_folder("/", Some("nonsense"), 0).await, Err(RemoteError::Invalid(_))));
    assert!(matches!(ada.stat(&"/x".repeat(40_000)).await, Err(RemoteError::Invalid(_))));
    assert!(ada.stat("/").await.unwrap().is_folder());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_nobody_has_intact_is_said_to_be_damaged() {
    let world = World::new(2).await;
    let ada = world.ada().await;
    let sent = bytes(4 * MIB, 3);
    upload(&ada, "/f", &sent).await;
    world.memory.spoil_block(BlockHash::of(&sent[2 * MIB..3 * MIB]));
    let mut into = Vec::new();
    let broken = ada.download("/f", &mut into, &DownloadOptions::default(), |_| ()).await;
    assert!(
        matches!(&broken, Err(RemoteError::Damaged { hash, .. }) if *hash == BlockHash::of(&sent[2 * MIB..3 * MIB])),
        "{broken:?}"
    );
    // What came before it is good, and nothing after it was written.
    assert_eq!(into, sent[..2 * MIB]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_go_on_when_a_holder_stops() {
    let mut world = World::new(3).await;
    let ada = world.ada().await;
    let sent = bytes(9 * MIB, 4);
    upload(&ada, "/f", &sent).await;
    for gateway in world.gateways.drain(1..) {
        gateway.stop.cancel();
        gateway.serving.await.unwrap().unwrap();
    }
    assert_eq!(download(&ada, "/f", &DownloadOptions::default()).await.unwrap(), sent);
}

#[tokio::test]
async fn files_of_blocks_that_were_never_sent_are_refused() {
    use rpc::grpc::v1::{self, drive_client::DriveClient, put_file_request::Body};
    let world = World::new(1).await;
    let ada = world.ada().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.addresses()[0])).unwrap();
    let channel = channel.connect().await.unwrap();
    let put = |hash: &[u8], lengths: &[u32], size: u64, upload: &'static [u8]| {
        let block = |length: &u32| v1::BlockRef { hash: hash.to_vec().into(), length: *length };
        let message = v1::PutFileRequest {
            path: "/f".into(),
            size,
            hash: vec![0; 32].into(),
            body: Some(Body::Blocks(v1::BlockList { blocks: lengths.iter().map(block).collect() })),
            upload: upload.into(),
            ..Default::default()
        };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", ada.token().unwrap()).parse().unwrap());
        let mut drive = DriveClient::new(channel.clone());
        async move {
            let status = drive.put_file(request).await.unwrap_err();
            rpc::grpc::Problem::from_status(&status).unwrap().kind
        }
    };
    let full = MIB as u32;
    assert_eq!(put(&[1; 32], &[5], 5, &[2; 16]).await, "blocks_missing");
    assert_eq!(put(&[1; 31], &[5], 5, &[2; 16]).await, "invalid");
    assert_eq!(put(&[1; 32], &[5], 5, &[2; 15]).await, "invalid");
    assert_eq!(put(&[1; 32], &[], 0, &[2; 16]).await, "invalid");
    assert_eq!(put(&[1; 32], &[0], 0, &[2; 16]).await, "invalid");
    assert_eq!(put(&[1; 32], &[5, 5], 10, &[2; 16]).await, "invalid");
    assert_eq!(put(&[1; 32], &[full + 1], u64::from(full) + 1, &[2; 16]).await, "invalid");
    upload(&ada, "/there", &bytes(20_000, 5)).await;
    let there = world.memory.block_hashes()[0];
    assert_eq!(put(&there.0, &[20_000], 19_999, &[2; 16]).await, "invalid");
    assert!(matches!(ada.stat("/f").await, Err(RemoteError::NotFound(_))));
}

#[tokio::test]
async fn acts_have_outcomes_of_their_own_and_can_be_undone() {
    use client::remote::{Act, Clash, JobState, Order};
    let world = World::new(1).await;
    let ada = world.ada().await;
    ada.make_folder("/a/b", true).await.unwrap();
    upload(&ada, "/a/f", b"one").await;
    upload(&ada, "/a/f", b"longer").await;
    let acts = [
        Act::rename("/a/f", "/a/g", Clash::Fail),
        Act::rename("/a/none", "/a/x", Clash::Fail),
        Act::trash("/a", false),
        Act::copy("/a/g", "/a/g", Clash::KeepBoth),
        Act::copy("/a/g", "/a/b", Clash::Skip),
    ];
    let done = ada.act_all(&acts).await.unwrap();
    assert_eq!(done[0].as_ref().unwrap().path.as_deref(), Some("/a/g"));
    assert!(matches!(done[1], Err(RemoteError::NotFound(_))));
    assert!(matches!(done[2], Err(RemoteError::NotEmpty(_))));
    assert_eq!(done[3].as_ref().unwrap().path.as_deref(), Some("/a/g (2)"));
    assert_eq!(done[4].as_ref().unwrap().path, None);
    let undo = done[0].as_ref().unwrap().undo.clone();
    assert!(ada.act_all(&undo).await.unwrap()[0].is_ok());

    let versions = ada.versions("/a/f").await.unwrap();
    assert_eq!(versions.iter().map(|it| (it.size, it.current)).collect::<Vec<_>>(), [(6, true), (3, false)]);
    let old = versions[1].version;
    let options = DownloadOptions { version: Some(old), ..DownloadOptions::default() };
    assert_eq!(download(&ada, "/a/f", &options).await.unwrap(), b"one");
    ada.act(Act::restore_version("/a/f", old)).await.unwrap();
    assert_eq!(download(&ada, "/a/f", &DownloadOptions::default()).await.unwrap(), b"one");
    assert!(matches!(ada.remove_version("/a/f", old).await, Err(RemoteError::Invalid(_))));
    assert!(matches!(ada.remove_version("/a/f", FileVersion([3; 16])).await, Err(RemoteError::NotFound(_))));

    let trashed = ada.act(Act::trash("/a", true)).await.unwrap();
    let (listed, next) = ada.trash(None).await.unwrap();
    assert_eq!((listed.len(), listed[0].path.as_str(), next), (1, "/a", None));
    assert_eq!(Some(listed[0].id), trashed.trashed);
    ada.act(trashed.undo[0].clone()).await.unwrap();
    assert!(matches!(ada.act(Act::purge(listed[0].id)).await, Err(RemoteError::NotFound(_))));

    let begun = ada.act(Act::copy("/a", "/copy", Clash::Fail)).await.unwrap().job.unwrap();
    let mut job = begun.clone();
    let start = std::time::Instant::now();
    while job.state == JobState::Running {
        assert!(start.elapsed() < std::time::Duration::from_secs(60));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        job = ada.job(begun.id).await.unwrap();
    }
    assert_eq!((job.state, job.done), (JobState::Done, 3));
    assert_eq!(ada.jobs().await.unwrap(), [job.clone()]);
    assert_eq!(ada.cancel_job(job.id).await.unwrap(), job);
    let by_size = ada.list_folder_by("/copy", Order::Size, true, None, 2).await.unwrap();
    assert_eq!(by_size.entries.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["b", "g (2)"]);
    let rest = ada.list_folder_by("/copy", Order::Size, true, by_size.next.as_deref(), 2).await.unwrap();
    assert_eq!(rest.entries[0].name, "f");
    assert_eq!(ada.search("G (", true, None).await.unwrap().0.len(), 2);
    ada.act(Act::trash("/copy", true)).await.unwrap();
    assert_eq!(ada.empty_trash().await.unwrap(), 1);
}
