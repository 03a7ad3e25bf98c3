//! The workbook: a layout and a query for each tile, made into the notebook text that Azure stores.
//!
//! Format of the notebook: <https://learn.microsoft.com/azure/azure-monitor/visualize/workbooks-overview>;
//! item types 1 (text), 3 (query), 9 (parameters) and 12 (group) as the workbook editor writes them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ContentError;

macro_rules! tiles {
    ($($name:literal),+ $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../../templates/content/workbook/tiles/", $name, ".kql")),
        )),+]
    };
}

const LAYOUT: &str = include_str!("../../../templates/content/workbook/layout.json");

const TILES: &[(&str, &str)] = tiles![
    "api-applications",
    "archive-access",
    "changes-by-administrator",
    "delivered",
    "discovery-access",
    "events-by-category",
    "events-by-type",
    "events-in-numbers",
    "failure-reasons",
    "feed-downloads",
    "lag",
    "last-runs",
    "logons-by-application",
    "logons-by-outcome",
    "logons-by-source",
    "logons-by-user",
    "policy-changes",
    "quota",
    "runs-by-result",
    "support-access",
];

/// The workbook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workbook {
    /// Title in Sentinel.
    pub display_name: String,
    /// The time range that it opens with, in milliseconds.
    pub time_range_default_ms: u64,
    /// Groups of tiles, each a tab.
    pub groups: Vec<Group>,
}

/// A group of tiles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its heading.
    pub title: String,
    /// Its tiles, in order.
    pub tiles: Vec<Tile>,
}

/// One tile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tile {
    /// Name of its query's file.
    pub query: String,
    /// Its heading.
    pub title: String,
    /// `table`, `timechart`, `piechart` or `tiles`.
    pub visualization: String,
    /// Its share of the row, in percent.
    pub width_percent: u8,
}

impl Tile {
    /// The tile's query.
    ///
    /// # Errors
    /// [`ContentError::Tile`] where the layout names a file that is not there.
    pub fn text(&self) -> Result<&'static str, ContentError> {
        let found = TILES.iter().find(|(name, _)| *name == self.query);
        found.map(|(_, text)| text.trim_end()).ok_or_else(|| ContentError::Tile(self.query.clone()))
    }
}

/// The time ranges that the picker offers, in milliseconds: an hour to ninety days.
const TIME_RANGES_MS: [u64; 8] =
    [3_600_000, 14_400_000, 43_200_000, 86_400_000, 259_200_000, 604_800_000, 2_592_000_000, 7_776_000_000];

impl Workbook {
    /// Reads the embedded workbook.
    ///
    /// # Errors
    /// [`ContentError`] where the layout is not valid.
    pub fn load() -> Result<Self, ContentError> {
        serde_json::from_str(LAYOUT)
            .map_err(|source| ContentError::Description { name: "workbook".to_owned(), source })
    }

    /// The notebook of the workbook over this workspace: the text of `serializedData`, as JSON.
    ///
    /// # Errors
    /// [`ContentError::Tile`] where a tile has no query.
    pub fn notebook(&self, workspace_id: &str) -> Result<Value, ContentError> {
        let mut items = vec![self.time_range()];
        for group in &self.groups {
            let mut tiles = vec![json!({
                "type": 1,
                "content": { "json": format!("## {}", group.title) },
                "name": format!("heading - {}", group.title),
            })];
            for tile in &group.tiles {
                tiles.push(query_item(tile, tile.text()?));
            }
            items.push(json!({
                "type": 12,
                "content": { "version": "NotebookGroup/1.0", "groupType": "editable", "items": tiles },
                "name": group.title,
            }));
        }
        Ok(json!({
            "version": "Notebook/1.0",
            "items": items,
            "fallbackResourceIds": [workspace_id],
            "fromTemplateId": "mimecast-sentinel-audit",
            "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
        }))
    }

    fn time_range(&self) -> Value {
        let selectable: Vec<Value> =
            TIME_RANGES_MS.iter().map(|&duration| json!({ "durationMs": duration })).collect();
        json!({
            "type": 9,
            "content": {
                "version": "KqlParameterItem/1.0",
                "parameters": [{
                    "id": "9f0d3c1c-2b0e-4f5e-9a51-6d1b4c7a8e01",
                    "version": "KqlParameterItem/1.0",
                    "name": "TimeRange",
                    "label": "Time range",
                    "type": 4,
                    "isRequired": true,
                    "value": { "durationMs": self.time_range_default_ms },
                    "typeSettings": { "selectableValues": selectable, "allowCustom": true },
                }],
                "style": "pills",
                "queryType": 0,
                "resourceType": "microsoft.operationalinsights/workspaces",
            },
            "name": "parameters",
        })
    }
}

/// A tile: `timeContextFromParameter` makes it follow the time range.
fn query_item(tile: &Tile, text: &str) -> Value {
    let mut content = json!({
        "version": "KqlItem/1.0",
        "query": text,
        "size": 0,
        "title": tile.title,
        "timeContextFromParameter": "TimeRange",
        "showRefreshButton": true,
        "showExportToExcel": tile.visualization == "table",
        "queryType": 0,
        "resourceType": "microsoft.operationalinsights/workspaces",
        "visualization": tile.visualization,
    });
    if tile.visualization == "table" {
        content["gridSettings"] = json!({ "rowLimit": 1000, "filter": true });
    }
    if tile.visualization == "tiles" {
        content["tileSettings"] = json!({
            "titleContent": { "columnMatch": "Name", "formatter": 1 },
            "leftContent": {
                "columnMatch": "Count",
                "formatter": 12,
                "numberFormat": { "unit": 17, "options": { "style": "decimal", "maximumFractionDigits": 1 } },
            },
            "showBorder": true,
        });
    }
    json!({
        "type": 3,
        "content": content,
        "customWidth": tile.width_percent.to_string(),
        "name": tile.query,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{TILES, Workbook};

    #[test]
    fn every_tile_has_a_query_and_every_query_a_tile() {
        let workbook = Workbook::load().expect("the layout is valid");
        let tiles: Vec<_> = workbook.groups.iter().flat_map(|group| &group.tiles).collect();
        assert!(tiles.iter().all(|tile| tile.text().is_ok()));
        let shown: BTreeSet<_> = tiles.iter().map(|tile| tile.query.as_str()).collect();
        assert_eq!(shown, TILES.iter().map(|(name, _)| *name).collect());
    }

    #[test]
    fn every_tile_follows_the_time_range() {
        let notebook = Workbook::load().expect("valid").notebook("/subscriptions/s").expect("complete");
        let mut tiles = 0;
        for group in notebook["items"].as_array().expect("items").iter().skip(1) {
            for item in group["content"]["items"].as_array().expect("items").iter().skip(1) {
                assert_eq!(item["content"]["timeContextFromParameter"], "TimeRange");
                tiles += 1;
            }
        }
        assert_eq!(tiles, TILES.len());
        assert_eq!(notebook["items"][0]["content"]["parameters"][0]["name"], "TimeRange");
    }

    #[test]
    fn rows_of_tiles_fill_the_width() {
        for group in Workbook::load().expect("valid").groups {
            let total: u32 = group.tiles.iter().map(|tile| u32::from(tile.width_percent)).sum();
            assert_eq!(total % 100, 0, "{}", group.title);
        }
    }
}
