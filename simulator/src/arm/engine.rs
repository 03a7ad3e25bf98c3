//! Reading, writing, listing and deleting resources of any kind.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::address::Address;
use super::error::ArmError;
use super::kind::{Kind, Place, Speed, Write};
use super::operation::{self, Tracking};
use super::reply::Reply;
use super::{authorization, check, policy};
use crate::entra::Caller;
use crate::state::resource::{Resource, key, within};
use crate::state::{Data, State};

/// A request for a resource or a collection, its kind known.
pub(crate) struct Request<'a> {
    pub(crate) state: &'a State,
    pub(crate) caller: &'a Caller,
    pub(crate) kind: &'static Kind,
    pub(crate) address: &'a Address,
    pub(crate) query: &'a HashMap<String, String>,
    pub(crate) now: OffsetDateTime,
}

/// How many parts of a page a list has.
const PAGE_SIZE: usize = 100;

impl Request<'_> {
    fn id(&self) -> String {
        self.address.id_of(self.address.pairs.len())
    }

    fn need(&self, data: &Data, scope: &str, verb: &str) -> Result<(), ArmError> {
        authorization::check(data, self.caller, scope, &format!("{}/{verb}", self.kind.name), self.now)
    }

    /// `GET` of one resource.
    pub(crate) fn get(&self, data: &mut Data) -> Result<Reply, ArmError> {
        let id = self.id();
        self.need(data, &id, "read")?;
        check::group(data, self.address)?;
        let missing = self.missing();
        let resource = data.resources.get_mut(&key(&id)).ok_or_else(|| missing.clone())?;
        if resource.unseen_reads > 0 {
            resource.unseen_reads -= 1;
            return Err(missing);
        }
        let mut body = view(resource);
        (self.kind.read)(&mut body, self.query);
        resource.unfinished_reads = resource.unfinished_reads.saturating_sub(1);
        Ok(Reply::ok(body))
    }

    /// `GET` of a collection: below a resource, in a group, in a subscription, or on a scope.
    pub(crate) fn list(&self, data: &Data) -> Result<Reply, ArmError> {
        let below = match self.address.pairs.len() {
            0 => self.address.scope.clone(),
            count => self.address.id_of(count),
        };
        // Lists over groups and subscriptions show what the caller may read of them.
        if self.kind.place != Place::Group {
            self.need(data, &below, "read")?;
        }
        check::group(data, self.address)?;
        let action = format!("{}/read", self.kind.name);
        let readable = |each: &&Resource| authorization::may(data, self.caller, &each.id, &action, self.now);
        if self.kind.place != Place::Group && below.contains("/providers/") {
            let parent = data.resources.get(&key(&below));
            parent.ok_or_else(|| check::parent_missing(self.kind, &below))?;
        }
        let kept = |resource: &&Resource| {
            resource.resource_type.eq_ignore_ascii_case(self.kind.name)
                && resource.unseen_reads == 0
                && match self.kind.place {
                    Place::Group => within(&below, &resource.id),
                    // Role assignments of a group are also listed for its resources, and the reverse.
                    Place::Extension => within(&below, &resource.id) || inherits(&below, resource),
                    Place::Child => within(&below, &resource.id),
                }
        };
        let all = data.resources.values().filter(kept).filter(readable);
        let value: Vec<Value> =
            all.filter(|each| authorization::listed(each, self.query)).map(view).collect();
        Ok(page(self.state, value, self.address, self.query))
    }

    /// `PUT`, and `PATCH` with the body that follows from it.
    pub(crate) fn put(&self, data: &mut Data, body: &[u8]) -> Result<Reply, ArmError> {
        let id = self.id();
        self.need(data, &id, "write")?;
        check::registered(data, self.address)?;
        check::group(data, self.address)?;
        let given = check::object(body)?;
        self.write(data, &id, given)
    }

    /// `PATCH`: what is given replaces what is there, property by property; tags as a whole.
    pub(crate) fn patch(&self, data: &mut Data, body: &[u8]) -> Result<Reply, ArmError> {
        let id = self.id();
        self.need(data, &id, "write")?;
        let given = check::object(body)?;
        let existing = data.resources.get(&key(&id)).ok_or_else(|| self.missing())?;
        let mut merged = existing.body.as_object().cloned().unwrap_or_default();
        for (name, value) in given {
            if name == "tags" {
                merged.insert(name, value);
            } else {
                merge(merged.entry(name).or_insert(Value::Null), value);
            }
        }
        let mut reply = self.write(data, &id, merged)?;
        if reply.status == StatusCode::CREATED {
            reply.status = StatusCode::OK;
        }
        Ok(reply)
    }

    fn write(&self, data: &mut Data, id: &str, given: Map<String, Value>) -> Result<Reply, ArmError> {
        let existing = data.resources.get(&key(id)).cloned();
        // Ids keep the spelling of the first write.
        let id = existing.as_ref().map_or_else(|| id.to_owned(), |existing| existing.id.clone());
        check::parent(data, self.kind, self.address)?;
        let mut body = check::envelope(self.kind, self.address, &given, existing.as_ref())?;
        body.insert("id".to_owned(), json!(id));
        body.insert("name".to_owned(), json!(self.address.name()));
        body.insert("type".to_owned(), json!(self.kind.name));
        let body = Value::Object(body);
        policy::enforce(data, self.kind.name, &id, &body)?;
        let hidden = existing.as_ref().map_or(Value::Null, |existing| existing.hidden.clone());
        let made = existing.is_none();
        let mut write = Write {
            state: self.state,
            data,
            caller: self.caller,
            address: self.address,
            id: id.clone(),
            existing,
            body,
            hidden,
            now: self.now,
        };
        (self.kind.write)(&mut write)?;
        let Write { mut body, hidden, existing, .. } = write;
        self.stamp(&mut body, existing.as_ref());
        let polled = self.kind.put != Speed::AtOnce && data.pace.polls > 0;
        let resource = Resource {
            id: id.clone(),
            resource_type: self.kind.name.to_owned(),
            body,
            hidden,
            unseen_reads: if made { data.pace.unseen_reads } else { 0 },
            unfinished_reads: if polled { data.pace.polls } else { 0 },
        };
        let shown = view(&resource);
        data.resources.insert(key(&id), resource);
        let status = if made { self.kind.created } else { StatusCode::OK };
        // A write that is only accepted shows nothing yet.
        let body = (status != StatusCode::ACCEPTED).then_some(shown);
        let reply = Reply { status, body, headers: Vec::new() };
        if !polled {
            return Ok(reply);
        }
        let tracking = match self.kind.put {
            Speed::Located => Tracking::Location,
            Speed::Polled | Speed::AtOnce => Tracking::Status,
        };
        Ok(operation::start(self.state, data, self.address, tracking, Some(&id), reply))
    }

    /// Adds what Azure says of every resource of the kind.
    fn stamp(&self, body: &mut Value, existing: Option<&Resource>) {
        if self.kind.etag {
            body["etag"] = json!(format!("\"{}\"", Uuid::new_v4()));
        }
        if self.kind.system_data {
            let at = self.now.format(&Rfc3339).unwrap_or_default();
            let by = &self.caller.client_id;
            let before = existing.and_then(|existing| existing.body.get("systemData"));
            let created = |name: &str, now: &str| {
                before.and_then(|before| before.get(name)).cloned().unwrap_or_else(|| json!(now))
            };
            body["systemData"] = json!({
                "createdBy": created("createdBy", by),
                "createdByType": created("createdByType", "Application"),
                "createdAt": created("createdAt", &at),
                "lastModifiedBy": by,
                "lastModifiedByType": "Application",
                "lastModifiedAt": at,
            });
        }
    }

    /// `DELETE`: 204 where nothing is there.
    pub(crate) fn delete(&self, data: &mut Data) -> Result<Reply, ArmError> {
        let id = self.id();
        self.need(data, &id, "delete")?;
        check::group(data, self.address)?;
        if !data.resources.contains_key(&key(&id)) {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        remove(data, &id, self.now)?;
        Ok(match self.kind.delete {
            Speed::AtOnce => Reply::empty(StatusCode::OK),
            Speed::Polled | Speed::Located => {
                let reply = Reply::empty(StatusCode::ACCEPTED);
                let tracking = match self.kind.delete {
                    Speed::Located => Tracking::Location,
                    Speed::Polled | Speed::AtOnce => Tracking::Status,
                };
                operation::start(self.state, data, self.address, tracking, None, reply)
            }
        })
    }

    fn missing(&self) -> ArmError {
        let name = self.address.name();
        let kind = self.address.type_of(self.address.pairs.len());
        if self.address.pairs.len() > 1 || self.kind.place == Place::Extension {
            let message = format!("The resource '{}' of type '{kind}' was not found.", self.id());
            return ArmError::not_found("NotFound", message);
        }
        let group = self.address.group.as_deref().unwrap_or_default();
        let message = format!(
            "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details \
             please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        ArmError::not_found("ResourceNotFound", message)
    }
}

/// Deletes a resource with everything below it and every role given on it.
pub(crate) fn remove(data: &mut Data, id: &str, now: OffsetDateTime) -> Result<(), ArmError> {
    let below: Vec<Resource> = data.resources.values().filter(|each| within(id, &each.id)).cloned().collect();
    // Children first: a parent's own clean-up may look at what is left of them.
    for resource in below.iter().rev() {
        if let Some(kind) = Kind::of(&resource.resource_type) {
            (kind.remove)(data, resource, now)?;
        }
        data.resources.remove(&key(&resource.id));
    }
    Ok(())
}

/// A resource as a read gives it.
pub(crate) fn view(resource: &Resource) -> Value {
    let mut body = resource.body.clone();
    if resource.unfinished_reads > 0 && body.pointer("/properties/provisioningState").is_some() {
        body["properties"]["provisioningState"] = json!("Creating");
    }
    body
}

/// Whether an extension resource at a wider scope also holds at `below`: role assignments.
fn inherits(below: &str, resource: &Resource) -> bool {
    let scope = resource.text("/properties/scope");
    !scope.is_empty() && within(scope, below)
}

/// One page of a list, with a link to the next.
pub(crate) fn page(
    state: &State,
    all: Vec<Value>,
    address: &Address,
    query: &HashMap<String, String>,
) -> Reply {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let size = number("$top").unwrap_or(PAGE_SIZE).max(1);
    let start = number("$skiptoken").unwrap_or(0);
    let more = all.len() > start + size;
    let value: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut body = json!({"value": value});
    if more {
        let mut next = state.endpoints().resource_manager.clone();
        next.set_path(&address.path);
        for (name, value) in query.iter().filter(|(name, _)| *name != "$skiptoken") {
            next.query_pairs_mut().append_pair(name, value);
        }
        next.query_pairs_mut().append_pair("$skiptoken", &(start + size).to_string());
        body["nextLink"] = json!(next);
    }
    Reply::ok(body)
}

/// Merges as `PATCH` does: objects by property, anything else as a whole, null removes
/// (<https://www.rfc-editor.org/rfc/rfc7396>).
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                if value.is_null() {
                    into.remove(&name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}
