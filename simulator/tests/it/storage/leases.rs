//! Leases: who holds one, and what it keeps from others.

use azure_core::http::RequestContent;
use azure_storage_blob::BlobClient;
use azure_storage_blob::models::{
    BlobClientAcquireLeaseOptions, BlobClientAcquireLeaseResultHeaders, BlobClientBreakLeaseOptions,
    BlobClientBreakLeaseResultHeaders, BlobClientDeleteOptions, BlobClientGetPropertiesResultHeaders,
    BlobClientUploadOptions, LeaseState, StorageErrorCode,
};
use std::time::Duration;

use super::{Storage, refusal, refused};

const FIRST: &str = "00000000-0000-0000-0000-000000000001";
const SECOND: &str = "00000000-0000-0000-0000-000000000002";

super::on_both! {
    a_lease_is_held_by_one
    a_leased_blob_is_written_by_its_holder_alone
    a_broken_lease_is_free_and_lost_to_its_holder
    a_lease_that_is_not_there_is_told
    lengths_outside_the_limits_are_refused
}

async fn leased(storage: &Storage) -> BlobClient {
    let blob = storage.fresh_blob().await;
    write(&blob, None).await.unwrap();
    acquire(&blob, FIRST, 60).await.unwrap();
    blob
}

async fn write(blob: &BlobClient, lease: Option<&str>) -> azure_core::Result<()> {
    let options = BlobClientUploadOptions { lease_id: lease.map(str::to_owned), ..Default::default() };
    blob.upload(RequestContent::from(b"x".to_vec()), Some(options)).await.map(drop)
}

async fn acquire(blob: &BlobClient, id: &str, seconds: i32) -> azure_core::Result<Option<String>> {
    let options =
        BlobClientAcquireLeaseOptions { proposed_lease_id: Some(id.to_owned()), ..Default::default() };
    blob.acquire_lease(seconds, Some(options)).await.map(|answer| answer.lease_id().unwrap())
}

async fn break_now(blob: &BlobClient) -> azure_core::Result<Option<i32>> {
    let options = BlobClientBreakLeaseOptions { break_period: Some(0), ..Default::default() };
    blob.break_lease(Some(options)).await.map(|answer| answer.lease_time().unwrap())
}

async fn state(blob: &BlobClient) -> LeaseState {
    blob.get_properties(None).await.unwrap().lease_state().unwrap().unwrap()
}

async fn a_lease_is_held_by_one(storage: &Storage) {
    let blob = leased(storage).await;
    assert_eq!(state(&blob).await, LeaseState::Leased);
    let second = refusal(acquire(&blob, SECOND, 60).await);
    assert_eq!(second, refused(409, StorageErrorCode::LeaseAlreadyPresent));
    // The holder may ask again: the answer to the first call may have been lost.
    assert_eq!(acquire(&blob, FIRST, 60).await.unwrap().as_deref(), Some(FIRST));
    blob.renew_lease(FIRST.to_owned(), None).await.unwrap();
    let mismatch = refused(409, StorageErrorCode::LeaseIdMismatchWithLeaseOperation);
    assert_eq!(refusal(blob.renew_lease(SECOND.to_owned(), None).await), mismatch);
    assert_eq!(refusal(blob.release_lease(SECOND.to_owned(), None).await), mismatch);
    blob.release_lease(FIRST.to_owned(), None).await.unwrap();
    assert_eq!(state(&blob).await, LeaseState::Available);
    acquire(&blob, SECOND, 60).await.unwrap();
}

async fn a_leased_blob_is_written_by_its_holder_alone(storage: &Storage) {
    let blob = leased(storage).await;
    assert_eq!(refusal(write(&blob, None).await), refused(412, StorageErrorCode::LeaseIdMissing));
    let other = refusal(write(&blob, Some(SECOND)).await);
    assert_eq!(other, refused(412, StorageErrorCode::LeaseIdMismatchWithBlobOperation));
    assert_eq!(refusal(blob.delete(None).await), refused(412, StorageErrorCode::LeaseIdMissing));
    write(&blob, Some(FIRST)).await.unwrap();
    // The write leaves the lease where it is, and everybody may read.
    assert_eq!(state(&blob).await, LeaseState::Leased);
    assert_eq!(blob.download(None).await.unwrap().body.collect().await.unwrap().as_ref(), b"x");
    let as_holder = BlobClientDeleteOptions { lease_id: Some(FIRST.to_owned()), ..Default::default() };
    blob.delete(Some(as_holder)).await.unwrap();
}

async fn a_broken_lease_is_free_and_lost_to_its_holder(storage: &Storage) {
    let blob = leased(storage).await;
    assert_eq!(break_now(&blob).await.unwrap(), Some(0));
    assert_eq!(state(&blob).await, LeaseState::Broken);
    let renewed = refusal(blob.renew_lease(FIRST.to_owned(), None).await);
    assert_eq!(renewed, refused(409, StorageErrorCode::LeaseIsBrokenAndCannotBeRenewed));
    acquire(&blob, SECOND, 60).await.unwrap();
    let lost = refusal(write(&blob, Some(FIRST)).await);
    assert_eq!(lost, refused(412, StorageErrorCode::LeaseIdMismatchWithBlobOperation));
    write(&blob, Some(SECOND)).await.unwrap();
}

async fn a_lease_that_is_not_there_is_told(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    assert_eq!(refusal(acquire(&blob, FIRST, 60).await), refused(404, StorageErrorCode::BlobNotFound));
    write(&blob, None).await.unwrap();
    let broken = refusal(break_now(&blob).await);
    assert_eq!(broken, refused(409, StorageErrorCode::LeaseNotPresentWithLeaseOperation));
    let written = refusal(write(&blob, Some(FIRST)).await);
    assert_eq!(written, refused(412, StorageErrorCode::LeaseNotPresentWithBlobOperation));
    let renewed = refusal(blob.renew_lease(FIRST.to_owned(), None).await);
    assert_eq!(renewed, refused(409, StorageErrorCode::LeaseIdMismatchWithLeaseOperation));
}

async fn lengths_outside_the_limits_are_refused(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    write(&blob, None).await.unwrap();
    for seconds in [14, 61, 0] {
        assert_eq!(refusal(acquire(&blob, FIRST, seconds).await).0, 400, "{seconds}");
    }
    acquire(&blob, FIRST, -1).await.unwrap();
    assert_eq!(refusal(acquire(&blob, SECOND, 15).await).0, 409);
}

/// Only the stand-in has a clock to move.
#[tokio::test]
async fn a_lease_ends_by_itself() {
    let storage = Storage::stand_in().await;
    let blob = leased(&storage).await;
    let clock = storage.arm().unwrap().simulator.clock().clone();
    clock.advance(Duration::from_secs(59));
    assert_eq!(refusal(acquire(&blob, SECOND, 60).await).0, 409);
    clock.advance(Duration::from_secs(1));
    assert_eq!(state(&blob).await, LeaseState::Expired);
    assert_eq!(refusal(write(&blob, Some(FIRST)).await), refused(412, StorageErrorCode::LeaseLost));
    // Nobody wrote in between: the old holder may still renew.
    blob.renew_lease(FIRST.to_owned(), None).await.unwrap();
    clock.advance(Duration::from_secs(60));
    acquire(&blob, SECOND, 60).await.unwrap();
    assert_eq!(refusal(write(&blob, Some(FIRST)).await).0, 412);
}
