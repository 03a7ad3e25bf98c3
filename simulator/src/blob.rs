//! Azure Blob Storage: containers, block blobs, conditions and leases, in this process.
//!
//! Stands in for Azurite where Rust is all there is. What it knows is what the worker, the
//! installer and the Functions host use; anything else is refused by name with 501. The same tests
//! run against it and against Azurite.
//! Follows <https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api>.

mod condition;
mod lease;
mod listing;
mod store;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use time::Duration;
use uuid::Uuid;

use self::condition::Conditions;
use self::lease::Lease;
pub use self::store::Blobs;
use self::store::{Accounts, Change, Version, Write};
use crate::data::DataPlane;
use crate::data::follow::CONTAINERS;
use crate::state::role::Need;
use crate::storage::{Call, Reply, StorageError, answer, http_date};

/// Azure's largest block list: <https://learn.microsoft.com/rest/api/storageservices/put-block-list>.
const BLOCKS_PER_BLOB: usize = 50_000;

/// The service, for all accounts: `/<account>/<container>/<blob>`.
pub fn router(data: DataPlane) -> Router {
    // One write may be 5,000 MiB; what the listener reads is limit enough here.
    // https://learn.microsoft.com/rest/api/storageservices/put-blob#remarks
    Router::new().fallback(serve).layer(axum::extract::DefaultBodyLimit::disable()).with_state(data)
}

async fn serve(
    State(data): State<DataPlane>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::read(method, uri, headers, body);
    let result = handle(&data, &call);
    answer(&call, data.blobs.now(), result)
}

/// The right that a call needs:
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-blob-service-operations>.
fn need(call: &Call) -> Need<'static> {
    match (call.method.as_str(), &call.parent, &call.child) {
        ("GET" | "HEAD", Some(_), Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read")
        }
        ("DELETE", _, Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete")
        }
        (_, _, Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write")
        }
        (_, Some(_), None) if call.query("comp") == Some("list") => {
            Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read")
        }
        ("GET" | "HEAD", _, None) => {
            Need::Action("Microsoft.Storage/storageAccounts/blobServices/containers/read")
        }
        ("DELETE", _, None) => {
            Need::Action("Microsoft.Storage/storageAccounts/blobServices/containers/delete")
        }
        (_, _, None) => Need::Action("Microsoft.Storage/storageAccounts/blobServices/containers/write"),
    }
}

fn handle(data: &DataPlane, call: &Call) -> Result<Reply, StorageError> {
    data.authorize_storage(call, "blobServices/default/containers", need(call))?;
    match (&call.parent, &call.child) {
        (None, _) => account(data, call),
        (Some(container), None) => on_container(data, call, container),
        (Some(container), Some(blob)) => on_blob(data, call, (&call.account, container, blob)),
    }
}

fn account(data: &DataPlane, call: &Call) -> Result<Reply, StorageError> {
    match (call.method.as_str(), call.query("comp")) {
        ("GET", Some("list")) => listing::containers(&data.blobs.lock(), call),
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

fn on_container(data: &DataPlane, call: &Call, name: &str) -> Result<Reply, StorageError> {
    if call.query("restype") != Some("container") {
        return Err(StorageError::not_in_stand_in(call));
    }
    let now = data.blobs.now();
    let _faces = data.both_faces();
    let mut accounts = data.blobs.lock();
    let stamped = |status, container: &store::Container| {
        Reply::new(status)
            .header("etag", format!("\"{}\"", container.etag))
            .header("last-modified", http_date(container.modified))
    };
    match (call.method.as_str(), call.query("comp")) {
        ("PUT", None) => accounts
            .create_container(&call.account, name, call.metadata(), now)
            .map(|made| stamped(201, made)),
        ("GET" | "HEAD", None | Some("metadata")) => {
            let container = accounts.container(&call.account, name)?;
            Ok(stamped(200, container)
                .metadata(&container.metadata)
                .header("x-ms-lease-status", "unlocked")
                .header("x-ms-lease-state", "available")
                .header("x-ms-has-immutability-policy", "false")
                .header("x-ms-has-legal-hold", "false"))
        }
        ("DELETE", None) => {
            accounts.delete_container(&call.account, name)?;
            drop(accounts);
            data.abandon(&call.account, CONTAINERS, name);
            Ok(Reply::new(202))
        }
        ("PUT", Some("metadata")) => {
            let etag = accounts.next_etag();
            let container = accounts.container_mut(&call.account, name)?;
            container.metadata = call.metadata();
            container.etag = etag;
            container.modified = now;
            Ok(stamped(200, container))
        }
        ("GET", Some("list")) => listing::blobs(&mut accounts, call, name, now),
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

fn on_blob(data: &DataPlane, call: &Call, place: (&str, &str, &str)) -> Result<Reply, StorageError> {
    let now = data.blobs.now();
    let mut accounts = data.blobs.lock();
    let write = || -> Result<Write, StorageError> {
        let content_type = call.header("x-ms-blob-content-type").or_else(|| {
            // Put Blob takes the plain header too; for a block list it would be that of the XML.
            call.header("content-type").filter(|_| call.query("comp").is_none())
        });
        Ok(Write {
            conditions: Conditions::read(call)?,
            lease_id: call.header("x-ms-lease-id").map(str::to_owned),
            metadata: call.metadata(),
            content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
        })
    };
    match (call.method.as_str(), call.query("comp")) {
        ("GET" | "HEAD", None) => read(&mut accounts, call, place, now),
        ("GET" | "HEAD", Some("metadata")) => {
            let (version, _) =
                accounts.read(place, &Conditions::read(call)?, call.header("x-ms-lease-id"), now)?;
            Ok(stamped(200, version).metadata(&version.metadata))
        }
        ("PUT", None) => {
            match call.header("x-ms-blob-type") {
                Some("BlockBlob") if call.header("x-ms-copy-source").is_none() => {}
                Some("PageBlob" | "AppendBlob" | "BlockBlob") => {
                    return Err(StorageError::not_in_stand_in(call));
                }
                Some(_) => return Err(StorageError::invalid_header("x-ms-blob-type")),
                None => return Err(StorageError::missing_header("x-ms-blob-type")),
            }
            accounts.write(place, call.body.clone(), Vec::new(), write()?, now).map(written)
        }
        ("PUT", Some("block")) => {
            let id = call.query("blockid").ok_or_else(|| StorageError::missing_query("blockid"))?;
            accounts.stage(place, id, call.body.clone(), &write()?, now)?;
            Ok(Reply::new(201).header("x-ms-request-server-encrypted", "true"))
        }
        ("PUT", Some("blocklist")) => {
            let list = listing::read_block_list(&call.body)?;
            if list.len() > BLOCKS_PER_BLOB {
                return Err(StorageError::new(
                    400,
                    "BlockListTooLong",
                    "The block list may not contain more than 50,000 blocks.",
                ));
            }
            accounts.commit(place, &list, write()?, now).map(written)
        }
        ("GET", Some("blocklist")) => listing::block_list(&accounts, call, place),
        ("PUT", Some("metadata")) => {
            accounts.describe(place, write()?, Change::Metadata, now).map(|version| stamped(200, version))
        }
        ("PUT", Some("properties")) => {
            accounts.describe(place, write()?, Change::ContentType, now).map(|version| stamped(200, version))
        }
        ("PUT", Some("lease")) => act_on_lease(&mut accounts, call, place, now),
        ("DELETE", None) => {
            accounts.delete(place, &write()?, now)?;
            Ok(Reply::new(202).header("x-ms-delete-type-permanent", "true"))
        }
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

fn stamped(status: u16, version: &Version) -> Reply {
    Reply::new(status)
        .header("etag", format!("\"{}\"", version.etag))
        .header("last-modified", http_date(version.modified))
}

fn written(version: &Version) -> Reply {
    stamped(201, version).header("x-ms-request-server-encrypted", "true")
}

fn read(
    accounts: &mut Accounts,
    call: &Call,
    place: (&str, &str, &str),
    now: time::OffsetDateTime,
) -> Result<Reply, StorageError> {
    let (version, lease) =
        accounts.read(place, &Conditions::read(call)?, call.header("x-ms-lease-id"), now)?;
    let length = version.content.len();
    let range = call.header("x-ms-range").or_else(|| call.header("range"));
    let (status, slice) = match range.filter(|_| call.method == Method::GET) {
        None => (200, 0..length),
        Some(range) => (206, byte_range(range, length)?),
    };
    let (lease_status, lease_state) = lease.status_and_state();
    let mut reply = stamped(status, version)
        .metadata(&version.metadata)
        .header("content-type", version.content_type.clone())
        .header("x-ms-blob-type", "BlockBlob")
        .header("x-ms-creation-time", http_date(version.created))
        .header("x-ms-lease-status", lease_status)
        .header("x-ms-lease-state", lease_state)
        .header("x-ms-server-encrypted", "true")
        .header("accept-ranges", "bytes");
    if let Some(word) = lease.duration_word() {
        reply = reply.header("x-ms-lease-duration", word);
    }
    if status == 206 {
        let last = slice.end.saturating_sub(1);
        reply = reply.header("content-range", format!("bytes {}-{last}/{length}", slice.start));
    }
    if call.method == Method::HEAD {
        return Ok(reply.header("content-length", length.to_string()));
    }
    Ok(reply.body(version.content.slice(slice)))
}

/// `bytes=first-` or `bytes=first-last`, as the service takes them
/// (<https://learn.microsoft.com/rest/api/storageservices/specifying-the-range-header-for-blob-service-operations>).
fn byte_range(text: &str, length: usize) -> Result<std::ops::Range<usize>, StorageError> {
    let invalid = || {
        StorageError::new(
            416,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        )
    };
    let (first, last) =
        text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(invalid)?;
    let first: usize = first.parse().map_err(|_| invalid())?;
    let end = match last {
        "" => length,
        last => last.parse::<usize>().map_err(|_| invalid())?.saturating_add(1).min(length),
    };
    if first >= end { Err(invalid()) } else { Ok(first..end) }
}

fn act_on_lease(
    accounts: &mut Accounts,
    call: &Call,
    place: (&str, &str, &str),
    now: time::OffsetDateTime,
) -> Result<Reply, StorageError> {
    let conditions = Conditions::read(call)?;
    let lease_id =
        || call.header("x-ms-lease-id").ok_or_else(|| StorageError::missing_header("x-ms-lease-id"));
    let proposed = || match call.header("x-ms-proposed-lease-id") {
        Some(id) if Uuid::parse_str(id).is_err() => {
            Err(StorageError::invalid_header("x-ms-proposed-lease-id"))
        }
        other => Ok(other),
    };
    let seconds = |name: &str| {
        call.header(name).map(str::parse::<i64>).transpose().map_err(|_| StorageError::invalid_header(name))
    };
    let action =
        call.header("x-ms-lease-action").ok_or_else(|| StorageError::missing_header("x-ms-lease-action"))?;
    let held =
        |status: u16, version: &Version, id: String| stamped(status, version).header("x-ms-lease-id", id);
    match action {
        "acquire" => {
            let duration = match seconds("x-ms-lease-duration")? {
                None => return Err(StorageError::missing_header("x-ms-lease-duration")),
                Some(-1) => None,
                Some(seconds @ 15..=60) => Some(Duration::seconds(seconds)),
                Some(_) => return Err(StorageError::invalid_header("x-ms-lease-duration")),
            };
            let id = proposed()?.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
            let (version, ()) = accounts.lease(place, &conditions, now, |lease| {
                Ok((lease.acquire(id.clone(), duration, now)?, ()))
            })?;
            Ok(held(201, version, id))
        }
        "renew" => {
            let id = lease_id()?;
            let (version, ()) =
                accounts.lease(place, &conditions, now, |lease| Ok((lease.renew(id, now)?, ())))?;
            Ok(held(200, version, id.to_owned()))
        }
        "change" => {
            let (id, to) = (lease_id()?, proposed()?);
            let to = to.ok_or_else(|| StorageError::missing_header("x-ms-proposed-lease-id"))?;
            let (version, ()) =
                accounts.lease(place, &conditions, now, |lease| Ok((lease.change(id, to)?, ())))?;
            Ok(held(200, version, to.to_owned()))
        }
        "release" => {
            let id = lease_id()?;
            let (version, ()) =
                accounts.lease(place, &conditions, now, |lease| Ok((lease.release(id)?, ())))?;
            Ok(stamped(200, version))
        }
        "break" => {
            let period = match seconds("x-ms-lease-break-period")? {
                Some(seconds @ 0..=60) => Some(Duration::seconds(seconds)),
                None => None,
                Some(_) => return Err(StorageError::invalid_header("x-ms-lease-break-period")),
            };
            let (version, left) =
                accounts.lease(place, &conditions, now, |lease: &Lease| lease.break_it(period, now))?;
            // Whole seconds, rounded up: the lease binds at least as long as said.
            let left = left.whole_seconds() + i64::from(left.subsec_nanoseconds() > 0);
            Ok(stamped(202, version).header("x-ms-lease-time", left.to_string()))
        }
        _ => Err(StorageError::invalid_header("x-ms-lease-action")),
    }
}
