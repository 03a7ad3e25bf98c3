//! The XML documents of blobs: lists of containers, of blobs and of blocks.

use std::fmt::Write as _;

use quick_xml::escape::escape;
use time::OffsetDateTime;

use super::store::{Accounts, BlockSource, blob_not_found};
use crate::storage::{Call, Reply, StorageError, http_date, leaves};

/// The largest page of a list: <https://learn.microsoft.com/rest/api/storageservices/list-blobs>.
const PAGE: usize = 5_000;

fn page_size(call: &Call) -> Result<usize, StorageError> {
    match call.query_number("maxresults")? {
        None => Ok(PAGE),
        Some(size) if size >= 1 => Ok(usize::try_from(size).unwrap_or(PAGE).min(PAGE)),
        Some(_) => Err(StorageError::out_of_range_query("maxresults")),
    }
}

fn opening(call: &Call, attribute: &str) -> String {
    let mut xml = format!("<EnumerationResults ServiceEndpoint=\"/{}/\"{attribute}>", escape(&call.account));
    for (name, element) in [("prefix", "Prefix"), ("marker", "Marker"), ("maxresults", "MaxResults")] {
        if let Some(value) = call.query(name) {
            let _ = write!(xml, "<{element}>{}</{element}>", escape(value));
        }
    }
    xml
}

/// List Containers.
pub(super) fn containers(accounts: &Accounts, call: &Call) -> Result<Reply, StorageError> {
    let (size, prefix) = (page_size(call)?, call.query("prefix").unwrap_or_default());
    let after = call.query("marker").unwrap_or_default();
    let mut found = accounts
        .containers
        .iter()
        .filter(|((account, name), _)| {
            *account == call.account && name.starts_with(prefix) && name.as_str() >= after
        })
        .map(|((_, name), container)| (name, container));
    let mut xml = opening(call, "");
    xml.push_str("<Containers>");
    for (name, container) in found.by_ref().take(size) {
        let _ = write!(
            xml,
            "<Container><Name>{}</Name><Properties><Last-Modified>{}</Last-Modified><Etag>{}</Etag>\
             <LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState></Properties></Container>",
            escape(name),
            http_date(container.modified),
            container.etag
        );
    }
    let next = found.next().map_or("", |(name, _)| name);
    let _ = write!(xml, "</Containers><NextMarker>{}</NextMarker></EnumerationResults>", escape(next));
    Ok(Reply::new(200).xml(&xml))
}

/// List Blobs, flat.
pub(super) fn blobs(
    accounts: &mut Accounts,
    call: &Call,
    container_name: &str,
    now: OffsetDateTime,
) -> Result<Reply, StorageError> {
    if call.query("delimiter").is_some() {
        return Err(StorageError::not_in_stand_in(call));
    }
    let container = accounts.container_mut(&call.account, container_name)?;
    let (size, prefix) = (page_size(call)?, call.query("prefix").unwrap_or_default());
    let after = call.query("marker").unwrap_or_default();
    let with_metadata =
        call.query("include").is_some_and(|parts| parts.split(',').any(|part| part == "metadata"));
    let mut xml = opening(call, &format!(" ContainerName=\"{}\"", escape(container_name)));
    xml.push_str("<Blobs>");
    let mut found = container.blobs.iter_mut().filter_map(|(name, blob)| {
        let wanted = name.starts_with(prefix) && name.as_str() >= after;
        blob.lease = std::mem::take(&mut blob.lease).at(now);
        blob.version.as_ref().filter(|_| wanted).map(|version| (name, version, &blob.lease))
    });
    for (name, version, lease) in found.by_ref().take(size) {
        let (lease_status, lease_state) = lease.status_and_state();
        let _ = write!(
            xml,
            "<Blob><Name>{}</Name><Properties><Creation-Time>{}</Creation-Time>\
             <Last-Modified>{}</Last-Modified><Etag>{}</Etag><Content-Length>{}</Content-Length>\
             <Content-Type>{}</Content-Type><BlobType>BlockBlob</BlobType>\
             <LeaseStatus>{lease_status}</LeaseStatus><LeaseState>{lease_state}</LeaseState>\
             <ServerEncrypted>true</ServerEncrypted></Properties>",
            escape(name.as_str()),
            http_date(version.created),
            http_date(version.modified),
            version.etag,
            version.content.len(),
            escape(version.content_type.as_str()),
        );
        if with_metadata {
            xml.push_str("<Metadata>");
            for (key, value) in &version.metadata {
                let _ = write!(xml, "<{key}>{}</{key}>", escape(value.as_str()));
            }
            xml.push_str("</Metadata>");
        }
        xml.push_str("</Blob>");
    }
    let next = found.next().map_or("", |(name, ..)| name);
    let _ = write!(xml, "</Blobs><NextMarker>{}</NextMarker></EnumerationResults>", escape(next));
    Ok(Reply::new(200).xml(&xml))
}

/// Get Block List, of the kind that `blocklisttype` names (committed by default).
pub(super) fn block_list(
    accounts: &Accounts,
    call: &Call,
    (account, container, blob): (&str, &str, &str),
) -> Result<Reply, StorageError> {
    let blob = accounts.container(account, container)?.blobs.get(blob).ok_or_else(blob_not_found)?;
    let kind = call.query("blocklisttype").unwrap_or("committed");
    let mut xml = "<BlockList>".to_owned();
    let mut section = |element: &str, blocks: &mut dyn Iterator<Item = (&String, usize)>| {
        let _ = write!(xml, "<{element}>");
        for (id, size) in blocks {
            let _ = write!(xml, "<Block><Name>{id}</Name><Size>{size}</Size></Block>");
        }
        let _ = write!(xml, "</{element}>");
    };
    let committed = blob.version.as_ref().map_or(&[][..], |version| version.blocks.as_slice());
    if matches!(kind, "committed" | "all") {
        section("CommittedBlocks", &mut committed.iter().map(|(id, content)| (id, content.len())));
    }
    if matches!(kind, "uncommitted" | "all") {
        section("UncommittedBlocks", &mut blob.staged.iter().map(|(id, content)| (id, content.len())));
    }
    xml.push_str("</BlockList>");
    Ok(Reply::new(200).xml(&xml))
}

/// Reads the body of Put Block List.
pub(super) fn read_block_list(body: &[u8]) -> Result<Vec<(BlockSource, String)>, StorageError> {
    let blocks = leaves(body, "BlockList")?.into_iter().map(|(name, id)| {
        let source = match name.as_str() {
            "Committed" => BlockSource::Committed,
            "Uncommitted" => BlockSource::Uncommitted,
            "Latest" => BlockSource::Latest,
            _ => return Err(StorageError::invalid_xml()),
        };
        Ok((source, id.trim().to_owned()))
    });
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::{BlockSource, read_block_list};

    #[test]
    fn block_lists_keep_their_order_and_source() {
        let body = "<?xml version=\"1.0\"?>\n<BlockList>\n <Latest>QQ==</Latest>\n <Committed>Qg==</Committed></BlockList>";
        let expected =
            vec![(BlockSource::Latest, "QQ==".to_owned()), (BlockSource::Committed, "Qg==".to_owned())];
        assert_eq!(read_block_list(body.as_bytes()), Ok(expected));
        assert_eq!(read_block_list(b"<BlockList/>"), Ok(Vec::new()));
        assert!(read_block_list(b"<Other><Latest>QQ==</Latest></Other>").is_err());
    }
}
