// Analyses KQL with Microsoft's language service.
//
// stdin: {"tables": {name: "(column:type, …)"},
//         "functions": [{"name", "parameters": "a:type=default, …", "body"}],
//         "queries": [{"name", "text"}]}
// stdout: {"findings": [{"query", "line", "message"}], "columns": {query: {column: type}}}
"use strict";
require("@kusto/language-service-next/bridge.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.js");
const fs = require("fs");

const { GlobalState, KustoCode, Symbols } = Kusto.Language;
const input = JSON.parse(fs.readFileSync(0, "utf8"));

const symbols = Object.entries(input.tables).map(([name, columns]) =>
  Symbols.TableSymbol.From(columns).WithName(name));
for (const { name, parameters, body } of input.functions) {
  symbols.push(new Symbols.FunctionSymbol.$ctor16(name, `(${parameters})`, `{ ${body} }`, null));
}
const database = new Symbols.DatabaseSymbol.$ctor1("workspace", toList(symbols), false);
const globals = GlobalState.Default.WithDatabase(database);

function toList(items) {
  const list = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)();
  items.forEach(item => list.add(item));
  return list;
}

const findings = [];
const columns = {};
for (const { name, text } of input.queries) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const diagnostics = code.GetDiagnostics();
  for (let index = 0; index < diagnostics.Count; index += 1) {
    const diagnostic = diagnostics.getItem(index);
    if (diagnostic.Severity !== "Error" && diagnostic.Severity !== "Warning") continue;
    const line = text.slice(0, diagnostic.Start).split("\n").length;
    findings.push({ query: name, line, severity: diagnostic.Severity, message: diagnostic.Message });
  }
  const result = code.ResultType;
  columns[name] = {};
  if (result && result.Columns) {
    for (let index = 0; index < result.Columns.Count; index += 1) {
      const column = result.Columns.getItem(index);
      columns[name][column.Name] = column.Type.Name;
    }
  }
}
process.stdout.write(JSON.stringify({ findings, columns }));
