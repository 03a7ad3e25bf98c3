//! Every item of content as a resource that should be there.

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::{Map, Value, json};

use super::mark::{Mark, fingerprint, put_marks};
use super::{CONNECTOR, rule_id, search_name, workbook_id};
use crate::answers::intent::{Intent, Rules};
use crate::content::{CONNECTED_QUERY, Function, Hunt, Rule};
use crate::inventory::Inventory;
use crate::plan::desired::{self, Conduct, Desired};
use crate::plan::template::{TemplateError, Templates};

/// Where a person's eye finds our functions among the saved searches.
const CATEGORY: &str = "Mimecast";
/// The category by which Sentinel knows its hunting queries.
const HUNTING_CATEGORY: &str = "Hunting Queries";

/// What all items' templates see of the installation.
const SHARED_CONTEXT: [&str; 3] = ["workspace", "location", "tags"];

/// Everything of the content that these answers ask for, in an order in which it can be made.
///
/// # Errors
/// [`TemplateError`] when a template does not give a resource; that is our fault.
pub fn content(
    templates: &Templates,
    intent: &Intent,
    inventory: &Inventory,
    context: &Map<String, Value>,
    group: &str,
) -> Result<Vec<Desired>, TemplateError> {
    let context: Map<String, Value> = SHARED_CONTEXT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), context.get(*name)?.clone())))
        .collect();
    let mut items = Items { templates, intent, inventory, context, group, resources: Vec::new() };
    let wanted = intent.content;
    let queries = wanted.workbook || wanted.hunting || wanted.rules != Rules::Off || wanted.connector_page;
    let mut schema = vec![format!("table/{AUDIT_TABLE}"), format!("table/{HEALTH_TABLE}")];
    for function in &templates.library().functions {
        // The views serve every query; the ASIM parsers serve the unifying ones alone.
        let view = function.register_in.is_none();
        if wanted.asim || view && queries {
            items.function(function, &schema)?;
            schema.push(format!("content/function/{}", function.name));
        }
    }
    if wanted.hunting {
        for hunt in &templates.library().hunts {
            items.hunt(hunt, &schema)?;
        }
    }
    if wanted.workbook {
        items.workbook()?;
    }
    if wanted.connector_page {
        items.connector(&schema)?;
    }
    if wanted.rules != Rules::Off {
        for rule in &templates.library().rules {
            items.rule(rule, &schema)?;
        }
    }
    Ok(items.resources)
}

struct Items<'a> {
    templates: &'a Templates,
    intent: &'a Intent,
    inventory: &'a Inventory,
    context: Map<String, Value>,
    group: &'a str,
    resources: Vec<Desired>,
}

impl Items<'_> {
    /// Renders an item and ends its description with our mark.
    fn add(
        &mut self,
        template: &str,
        item: &str,
        depends_on: &[String],
        extra: Value,
    ) -> Result<(), TemplateError> {
        let mut context = self.context.clone();
        if let Value::Object(extra) = extra {
            context.extend(extra);
        }
        let rendered = self.templates.render(template, &Value::Object(context))?;
        let key = format!("content/{item}");
        let mut resource =
            desired::resource(&key, template, rendered, self.group, depends_on.to_vec(), Conduct::Content)?;
        let mark = Mark {
            installation: self.intent.name.clone(),
            item: item.to_owned(),
            fingerprint: fingerprint(&resource.body),
        };
        put_marks(&mut resource.body, &[mark]);
        self.resources.push(resource);
        Ok(())
    }

    fn function(&mut self, function: &Function, schema: &[String]) -> Result<(), TemplateError> {
        let search = json!({
            "name": search_name(function.name),
            "category": CATEGORY,
            "displayName": function.name,
            "query": function.query,
            "alias": function.name,
            "parameters": function.parameters,
            "tags": [{ "name": "description", "value": function.description }],
        });
        let item = format!("function/{}", function.name);
        self.add("saved_search", &item, schema, json!({ "search": search }))
    }

    fn hunt(&mut self, hunt: &Hunt, schema: &[String]) -> Result<(), TemplateError> {
        let search = json!({
            "name": search_name(hunt.name),
            "category": HUNTING_CATEGORY,
            "displayName": hunt.display_name,
            "query": hunt.query,
            "alias": Value::Null,
            "tags": [
                { "name": "description", "value": hunt.description },
                { "name": "tactics", "value": hunt.tactics.join(",") },
                { "name": "techniques", "value": hunt.techniques.join(",") },
            ],
        });
        self.add("saved_search", &format!("hunt/{}", hunt.name), schema, json!({ "search": search }))
    }

    fn rule(&mut self, rule: &Rule, schema: &[String]) -> Result<(), TemplateError> {
        let enabled = match self.intent.content.rules {
            Rules::All => true,
            Rules::Recommended => rule.enabled_by_default,
            Rules::Off => false,
        };
        let entities = rule.entity_mappings.as_array().is_some_and(|entities| !entities.is_empty());
        let extra = json!({ "rule": {
            "id": rule_id(&self.inventory.workspace.id, rule.name, 0),
            "displayName": rule.display_name,
            "description": rule.description,
            "enabled": enabled,
            "severity": rule.severity,
            "query": rule.query,
            "queryFrequency": rule.query_frequency,
            "queryPeriod": rule.query_period,
            "tactics": rule.tactics,
            "techniques": rule.techniques,
            "entityMappings": rule.entity_mappings,
            "customDetails": rule.custom_details,
            "alertDisplayNameFormat": rule.alert_display_name_format,
            "matchingMethod": if entities { "AllEntities" } else { "AnyAlert" },
        } });
        self.add("rule", &format!("rule/{}", rule.name), schema, extra)
    }

    fn workbook(&mut self) -> Result<(), TemplateError> {
        let workbook = self.templates.workbook();
        let workspace_id = &self.inventory.workspace.id;
        let extra = json!({ "workbook": {
            "id": workbook_id(workspace_id, &self.intent.name),
            "displayName": workbook.display_name,
            "description": "Mimecast audit events and the connector's health.",
            "serialized": workbook.notebook(workspace_id)?.to_string(),
        } });
        self.add("workbook", "workbook", &["resource_group".to_owned()], extra)
    }

    fn connector(&mut self, schema: &[String]) -> Result<(), TemplateError> {
        let extra = json!({ "connector": {
            "name": CONNECTOR,
            "audit_table": AUDIT_TABLE,
            "health_table": HEALTH_TABLE,
            "connected_query": CONNECTED_QUERY.trim_end(),
        } });
        self.add("connector", "connector", schema, extra)
    }
}
