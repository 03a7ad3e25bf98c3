//! Types of resources: what ARM knows of each, and the table of all.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::address::Address;
use super::error::ArmError;
use super::reply::Reply;
use super::{
    authorization, identity, insights, plan, rule, sentinel, site, storage, table, vault, workspace,
};
use crate::entra::Caller;
use crate::state::resource::{Resource, key};
use crate::state::role::Need;
use crate::state::{Data, State};

/// Where resources of a type live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a resource group, with a location and tags.
    Group,
    /// Under a resource of the type before the last `/`.
    Child,
    /// On any scope or resource.
    Extension,
}

/// Whether a write or a delete is a long operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speed {
    /// Done when answered.
    AtOnce,
    /// 201 or 202 with `Azure-AsyncOperation`; the resource shows its state meanwhile.
    Polled,
    /// 202 with `Location` alone, which answers 202 until it is done.
    Located,
}

/// Answers a call below a resource.
pub(crate) type Answering = fn(&mut Call<'_>) -> Result<Reply, ArmError>;
/// What else happens when a resource is deleted.
pub(crate) type Removing = fn(&mut Data, &Resource, OffsetDateTime) -> Result<(), ArmError>;

/// A type of resources.
pub(crate) struct Kind {
    /// Namespace and type.
    pub(crate) name: &'static str,
    /// API versions that it knows, stable ones.
    pub(crate) versions: &'static [&'static str],
    /// Where it lives.
    pub(crate) place: Place,
    /// Status of a write that made something.
    pub(crate) created: StatusCode,
    /// Speed of writes.
    pub(crate) put: Speed,
    /// Speed of deletes.
    pub(crate) delete: Speed,
    /// Whether reads show an `etag`.
    pub(crate) etag: bool,
    /// Whether reads show `systemData`.
    pub(crate) system_data: bool,
    /// Which methods other than GET it takes.
    pub(crate) methods: &'static [&'static str],
    /// Checks a write and completes it.
    pub(crate) write: fn(&mut Write<'_>) -> Result<(), ArmError>,
    /// Leaves out of a read what has to be asked for by the query.
    pub(crate) read: fn(&mut Value, &HashMap<String, String>),
    /// What else happens when one is deleted, before its body goes.
    pub(crate) remove: Removing,
    /// Calls below a resource that are not resources themselves.
    pub(crate) call: Option<Answering>,
}

impl Kind {
    /// What a type is where nothing else is said.
    pub(crate) const BASE: Self = Self {
        name: "",
        versions: &[],
        place: Place::Group,
        created: StatusCode::CREATED,
        put: Speed::AtOnce,
        delete: Speed::AtOnce,
        etag: false,
        system_data: false,
        methods: &["PUT", "PATCH", "DELETE"],
        write: |_| Ok(()),
        read: |_, _| (),
        remove: |_, _, _| Ok(()),
        call: None,
    };

    /// The type of this name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        ALL.iter().flat_map(|kinds| kinds.iter()).find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    /// The types of a namespace.
    pub(crate) fn in_namespace(namespace: &str) -> impl Iterator<Item = &'static Self> {
        let prefix = format!("{}/", namespace.to_ascii_lowercase());
        ALL.iter()
            .flat_map(|kinds| kinds.iter())
            .filter(move |kind| kind.name.to_ascii_lowercase().starts_with(&prefix))
    }
}

/// The types that the simulator knows, by module.
static ALL: &[&[Kind]] = &[
    authorization::KINDS,
    identity::KINDS,
    insights::KINDS,
    plan::KINDS,
    rule::KINDS,
    sentinel::KINDS,
    site::KINDS,
    storage::KINDS,
    table::KINDS,
    vault::KINDS,
    workspace::KINDS,
];

/// A call below a resource: its kind decides what the segments mean.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) data: &'a mut Data,
    pub(crate) caller: &'a Caller,
    pub(crate) method: &'a str,
    pub(crate) address: &'a Address,
    /// Id of the resource.
    pub(crate) id: String,
    /// The segments after the resource.
    pub(crate) rest: Vec<String>,
    pub(crate) body: Value,
    pub(crate) now: OffsetDateTime,
}

impl Call<'_> {
    /// Checks that the caller may do this on the resource.
    pub(crate) fn need(&self, action: &str) -> Result<(), ArmError> {
        authorization::check(self.data, self.caller, &self.id, action, self.now)
    }

    /// The answer to a call that the resource does not know.
    pub(crate) fn unknown(&self) -> ArmError {
        let path = &self.address.path;
        ArmError::not_found("InvalidResourceType", format!("Nothing answers {} {path}.", self.method))
    }
}

/// A write under way.
pub(crate) struct Write<'a> {
    pub(crate) state: &'a State,
    pub(crate) data: &'a mut Data,
    pub(crate) caller: &'a Caller,
    pub(crate) address: &'a Address,
    /// Id of the resource that is written.
    pub(crate) id: String,
    /// What is there already.
    pub(crate) existing: Option<Resource>,
    /// What will be read back.
    pub(crate) body: Value,
    /// What will be kept and never read back.
    pub(crate) hidden: Value,
    pub(crate) now: OffsetDateTime,
}

impl Write<'_> {
    /// Name of the resource.
    pub(crate) fn name(&self) -> &str {
        self.address.name()
    }

    /// A value of the body.
    pub(crate) fn value(&self, pointer: &str) -> Option<&Value> {
        self.body.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A text of the body, empty where there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text of what is there already.
    pub(crate) fn existing_text(&self, pointer: &str) -> &str {
        self.existing.as_ref().map_or("", |existing| existing.text(pointer))
    }

    /// Sets a property under `properties`.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if let Some(properties) = self.properties() {
            properties.insert(name.to_owned(), value);
        }
    }

    /// Sets a property where the writer left it out: from what is there already, else this.
    pub(crate) fn default(&mut self, name: &str, value: Value) {
        let pointer = format!("/properties/{name}");
        if self.value(&pointer).is_none() {
            self.set(name, value);
        }
    }

    /// Sets a property that only Azure sets: what it was, else this.
    pub(crate) fn output(&mut self, name: &str, make: impl FnOnce() -> Value) {
        let pointer = format!("/properties/{name}");
        let before = self.existing.as_ref().and_then(|each| each.body.pointer(&pointer)).cloned();
        self.set(name, before.filter(|value| !value.is_null()).unwrap_or_else(make));
    }

    /// Takes a property away: write-only values.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.properties().and_then(|properties| properties.remove(name))
    }

    /// The time of the write as Azure writes times.
    pub(crate) fn at(&self) -> Value {
        json!(self.now.format(&Rfc3339).unwrap_or_default())
    }

    /// The parent resource.
    pub(crate) fn parent(&self) -> Option<&Resource> {
        let count = self.address.pairs.len().saturating_sub(1);
        let id = if count == 0 { self.address.scope.clone() } else { self.address.id_of(count) };
        self.data.resources.get(&key(&id))
    }

    /// Checks that the caller may also do this on another resource that the write names
    /// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-linked-authorization>).
    pub(crate) fn need_linked(&self, scope: &str, action: &str) -> Result<(), ArmError> {
        if self.data.allowed(&self.caller.object_id, scope, Need::Action(action), self.now) {
            return Ok(());
        }
        let Caller { object_id, client_id } = self.caller;
        let write = format!("{}/write", self.address.type_of(self.address.pairs.len()));
        let message = format!(
            "The client '{client_id}' with object id '{object_id}' has permission to perform action '{write}' \
             on scope '{}'; however, it does not have permission to perform action(s) '{action}' on the \
             linked scope(s) '{scope}' or the linked scope(s) are invalid.",
            self.id
        );
        Err(ArmError::forbidden("LinkedAuthorizationFailed", message))
    }

    fn properties(&mut self) -> Option<&mut Map<String, Value>> {
        let body = self.body.as_object_mut()?;
        body.entry("properties").or_insert_with(|| json!({})).as_object_mut()
    }
}
