//! `cargo xtask content`: every query of the analyst's content, analysed and run.
//!
//! Microsoft's Kusto language service analyses each query against the tables' real schema; a KQL
//! engine runs each over the project's sample events and over a trace of an attack and a benign one for each rule. The
//! traces' events pass through the worker's own transform, so that a query stands on what the worker writes.

mod cases;
mod drawing;
mod engine;
mod expected;
mod fields;
mod findings;
mod page;
pub(crate) mod pictures;
mod schema;
mod traces;

use anyhow::{Context, Result, bail};
use installer::content::Library;
use installer::content::asim;
use installer::content::workbook::Workbook;
use serde::Serialize;

use crate::screen;

/// What `cargo xtask content` is asked to do.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object in place of the summary
    #[arg(long)]
    json: bool,
    /// Draw the pictures of the workbook's tiles anew
    #[arg(long)]
    pictures: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Queries analysed and run.
    queries: usize,
    /// Number of findings.
    errors: usize,
    /// Queries that the engine cannot run.
    not_run: Vec<String>,
    rules: usize,
    rules_with_both_traces: usize,
    hunts: usize,
    tiles: usize,
    /// Mandatory fields that an ASIM parser lacks or leaves empty.
    asim_missing_fields: usize,
    #[serde(skip)]
    findings: Vec<String>,
}

/// Checks all content and prints what was found.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let report = check(arguments.pictures)?;
    for finding in &report.findings {
        screen::remark(finding);
    }
    if arguments.json {
        screen::line(&serde_json::to_string(&report)?);
    } else {
        screen::line(&format!(
            "{} queries, {} errors; {} rules ({} with both traces), {} hunts, {} tiles; {} ASIM fields missing",
            report.queries,
            report.errors,
            report.rules,
            report.rules_with_both_traces,
            report.hunts,
            report.tiles,
            report.asim_missing_fields,
        ));
    }
    if report.errors > 0 || report.asim_missing_fields > 0 || report.not_run.len() > MOST_NOT_RUN {
        bail!("the content has faults");
    }
    Ok(())
}

/// The most queries that may go without a run.
const MOST_NOT_RUN: usize = 3;

/// A query under its name for people: `rules/password-spray`, `tiles/lag`.
#[derive(Debug, Clone)]
struct Query {
    name: String,
    text: String,
}

/// A function that queries may call.
#[derive(Debug)]
struct Callable {
    name: String,
    parameters: String,
    body: String,
}

/// Everything that is checked.
struct Content {
    library: Library,
    workbook: Workbook,
    /// The workspace's functions: ours, and the custom unifying parsers as we make them.
    callables: Vec<Callable>,
    queries: Vec<Query>,
}

impl Content {
    fn load() -> Result<Self> {
        let library = Library::load()?;
        let workbook = Workbook::load()?;
        let callables = callables(&library)?;
        let mut queries = page::queries()?;
        queries.extend(library.functions.iter().map(|function| Query {
            name: format!("functions/{}", function.name),
            text: format!("{}()", function.name),
        }));
        queries.extend(
            library
                .rules
                .iter()
                .map(|rule| Query { name: format!("rules/{}", rule.name), text: rule.query.to_owned() }),
        );
        queries.extend(
            library
                .hunts
                .iter()
                .map(|hunt| Query { name: format!("hunting/{}", hunt.name), text: hunt.query.to_owned() }),
        );
        for tile in workbook.groups.iter().flat_map(|group| &group.tiles) {
            queries.push(Query { name: format!("tiles/{}", tile.query), text: tile.text()?.to_owned() });
        }
        queries.extend(unifiers(&library).map(|unifier| Query {
            name: format!("unifiers/{unifier}"),
            // What Microsoft's empty parsers declare, a parser that calls this one may pass.
            text: format!("{unifier}(disabled=false, pack=true)"),
        }));
        Ok(Self { library, workbook, callables, queries })
    }

    fn tiles(&self) -> usize {
        self.workbook.groups.iter().map(|group| group.tiles.len()).sum()
    }
}

/// The custom unifying parsers that call ours.
fn unifiers(library: &Library) -> impl Iterator<Item = &str> {
    library.functions.iter().filter_map(|function| function.register_in.as_deref())
}

/// Our functions, and what the installer makes where a workspace has no custom unifying parsers.
fn callables(library: &Library) -> Result<Vec<Callable>> {
    let callable = |name: &str, parameters: &str, body: &str| Callable {
        name: name.to_owned(),
        parameters: parameters.to_owned(),
        body: body.to_owned(),
    };
    let mut callables: Vec<Callable> = library
        .functions
        .iter()
        .map(|function| callable(function.name, &function.parameters, function.query))
        .collect();
    callables.push(callable(asim::EMPTY_VIEW, "", asim::EMPTY_VIEW_QUERY));
    for function in &library.functions {
        let Some(unifier) = &function.register_in else { continue };
        let made = asim::register(unifier, None, function)?.context("no parser was made")?;
        callables.push(callable(unifier, &made.parameters, &made.query));
    }
    Ok(callables)
}

/// Analyses and runs everything; draws the pictures anew where that is asked for.
fn check(draw: bool) -> Result<Report> {
    let content = Content::load()?;
    let mut findings = Vec::new();

    // Both forms of the table: as this connector makes it, and as the old one left it. Each program works
    // on one core.
    let mut cases = cases::ours(&content)?;
    cases.extend(expected::cases()?);
    cases.extend(pictures::cases(&content)?);
    let of_old_tables = cases::classic()?;
    let (runs, old, analysis, classic) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let analysis = engine::analyse(&content, schema::Form::Ours)?;
            let classic = engine::analyse(&content, schema::Form::Classic)?;
            let old = engine::run(&content, schema::Form::Classic, &of_old_tables)?;
            anyhow::Ok((analysis, classic, old))
        });
        let runs = engine::run(&content, schema::Form::Ours, &cases)?;
        let (analysis, classic, old) =
            others.join().map_err(|_| anyhow::anyhow!("analysing the queries panicked"))??;
        anyhow::Ok((runs, old, analysis, classic))
    })?;

    findings.extend(analysis.findings.iter().map(ToString::to_string));
    findings.extend(classic.findings.iter().map(|finding| format!("over the old tables: {finding}")));
    findings.extend(findings::columns(&content, &analysis));
    let (traced, trace_findings) = findings::traces(&content, &runs)?;
    findings.extend(trace_findings);
    findings.extend(findings::samples(&content, &runs)?);
    findings.extend(pictures::differing(&content, &runs, draw)?);
    findings.extend(findings::classic(&old));
    findings.extend(expected::differing(&runs)?);
    let missing = fields::missing(&analysis, &runs);
    findings.extend(missing.iter().cloned());

    let not_run: Vec<String> =
        runs.errors.iter().chain(&old.errors).map(|(name, error)| format!("{name}: {error}")).collect();
    findings.extend(not_run.iter().cloned());
    Ok(Report {
        queries: content.queries.len(),
        errors: findings.len() - missing.len(),
        not_run,
        rules: content.library.rules.len(),
        rules_with_both_traces: traced,
        hunts: content.library.hunts.len(),
        tiles: content.tiles(),
        asim_missing_fields: missing.len(),
        findings,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use installer::content::{Library, StandsOn};
    use serde_json::Value;

    use super::traces::Traces;
    use crate::workspace;

    fn read(path: &str) -> Value {
        let text =
            std::fs::read(workspace::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_slice(&text).expect("JSON")
    }

    /// The sample of a run's row, which is no event of Mimecast's.
    const HEALTH: &str = "health";

    /// The columns and kinds of event that a rule names as its ground are those that its query reads.
    #[test]
    fn a_rules_query_reads_what_it_stands_on_and_no_other_kind_of_event() {
        let listed = read("worker/tests/data/mimecast/reference/audit-types.json");
        let listed = listed.as_array().expect("a list");
        for rule in Library::load().expect("valid").rules {
            for audit_type in listed.iter().filter_map(|known| known["auditType"].as_str()) {
                let read = rule.query.contains(&format!("\"{audit_type}\""));
                let named = rule.stands_on.audit_types.iter().any(|each| each == audit_type);
                assert_eq!(read, named, "{}: `{audit_type}`", rule.name);
            }
            let words: BTreeSet<&str> =
                rule.query.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').collect();
            for field in &rule.stands_on.fields {
                assert!(words.contains(field.as_str()), "{}: `{field}` is not read", rule.name);
            }
        }
    }

    #[test]
    fn every_rule_with_a_threshold_is_run_for_a_day() {
        let rules = Library::load().expect("valid").rules;
        let counting: Vec<_> = rules.iter().filter(|rule| rule.query.contains("let threshold = ")).collect();
        assert!(counting.len() >= 8, "{}", counting.len());
        for rule in counting {
            let traces = Traces::of(rule.name).expect("valid").expect("traces");
            let times: BTreeSet<usize> = traces.day.expect("a day").alerts.into_values().collect();
            assert_eq!(times, BTreeSet::from([0, 1, 2]), "{}", rule.name);
        }
    }

    #[test]
    fn what_a_rule_or_hunt_stands_on_is_listed_and_its_sample_shows_it() {
        let listed = read("worker/tests/data/mimecast/reference/audit-types.json");
        let listed: BTreeSet<&str> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|known| known["auditType"].as_str())
            .collect();
        let hold = |name: &str, on: &StandsOn| {
            for audit_type in &on.audit_types {
                assert!(listed.contains(audit_type.as_str()), "{name}: no list has `{audit_type}`");
            }
            let Some(sample) = on.sample.as_deref().filter(|sample| *sample != HEALTH) else { return false };
            let event = read(&format!("worker/tests/data/records/events/{sample}.json"));
            let shown = event["auditType"].as_str().expect("a type");
            assert!(on.audit_types.iter().any(|each| each == shown), "{name}: `{sample}` shows `{shown}`");
            true
        };
        let library = Library::load().expect("valid");
        let rules = library.rules.iter().filter(|rule| hold(rule.name, &rule.stands_on)).count();
        let hunts = library.hunts.iter().filter(|hunt| hold(hunt.name, &hunt.stands_on)).count();
        assert!(rules >= 12 && hunts >= 12, "{rules} rules and {hunts} hunts stand on sample events");
        for hunt in library.hunts.iter().filter(|hunt| hunt.stands_on.sample.is_none()) {
            assert!(hunt.unconfirmed, "{}: stands on no sample and does not say so", hunt.name);
        }
    }
}
