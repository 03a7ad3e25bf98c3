"""Runs KQL on DuckDB over given rows.

stdin:  {"now": time, "tables": {name: {"columns": {column: type}}},
         "functions": [{"name", "parameters", "body"}],
         "cases": [{"name", "query", "tables": {name: [{column: value}]}, "runs": number, "every_seconds": number}]}
stdout: {"results": {case: {"columns": […], "rows": [[…]]}}, "errors": {case: text}}

Times in rows are UTC text; `now()` is the time given. A table that a case does not fill is empty. The engine lacks a few
functions of Log Analytics; `expand` writes each as what it means for the schema at hand, so that the
query itself stays as it is deployed.

A case with more than one run is run that often, `every_seconds` apart, the last time at the time given: each run
sees what had arrived by then. Its rows begin with the number of the run.
"""

import json
import re
import sys

import duckdb_kql

SQL_TYPES = {
    "string": "varchar",
    "datetime": "timestamp",
    "long": "bigint",
    "int": "integer",
    "bool": "boolean",
    "real": "double",
    "dynamic": "json",
}
# `ingestion_time()` is no column in Log Analytics; here it is one, filled by the rows.
INGESTED = "_ingested"


def expand(text, schemas, functions):
    """Writes what the engine lacks in terms that it knows."""
    pattern = re.compile(
        r"\b(?P<table>" + "|".join(map(re.escape, schemas)) + r")\b"
        r'|column_ifexists\("(?P<column>\w+)", (?P<default>(?:[^()]|\([^)]*\))*)\)'
        r"|(?P<ingestion>ingestion_time\(\))"
        r"|has_any_ipv4_prefix\((?P<address>\w+), (?P<prefixes>\w+)\)"
        r"|\brange\((?P<first>\d+), (?P<last>\d+)\)"
    )
    # Every table is here, so nothing need be forgiven: the engine would leave out a part that it cannot read.
    text = text.replace("union isfuzzy=true", "union")
    table = None
    pieces, position = [], 0
    for match in pattern.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        if match["table"]:
            table = match["table"]
            pieces.append(table)
        elif match["column"]:
            # The schema is known here, so the question has an answer before the query runs.
            pieces.append(match["column"] if match["column"] in schemas[table] else match["default"])
        elif match["ingestion"]:
            pieces.append(INGESTED)
        elif match["first"]:
            pieces.append(f'dynamic({list(range(int(match["first"]), int(match["last"]) + 1))})')
        else:
            # The column holds one address, so a prefix of the text is a prefix of the address.
            alternatives = f'replace_string(strcat_array({match["prefixes"]}, "|"), ".", "[.]")'
            pieces.append(f'{match["address"]} matches regex strcat("^(", {alternatives}, ")")')
    expanded = "".join(pieces) + text[position:]
    return positional_calls(expanded, functions)


def positional_calls(text, functions):
    """Turns `f(b = x)` into `f(default of a, x)`: the engine passes arguments by position."""
    for function in functions:
        declared = split_parameters(function["parameters"])
        start = 0
        while (found := re.compile(rf"\b{function['name']}\((?=\w+ ?=[^=~])").search(text, start)) is not None:
            end = closing_parenthesis(text, found.end())
            given = dict(map(str.strip, part.split("=", 1)) for part in split_arguments(text[found.end() : end]))
            arguments = ", ".join(given.get(name, default) for name, default in declared)
            text = f"{text[: found.end()]}{arguments}{text[end:]}"
            start = found.end()
    return text


def closing_parenthesis(text, start):
    """The place of the parenthesis that closes the one before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError(f"no closing parenthesis after {text[start - 40 : start]!r}")


def split_arguments(text):
    """Splits at the commas that stand in no bracket."""
    parts, depth, last = [], 0, 0
    for index, each in enumerate(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(each, 0)
        if each == "," and depth == 0:
            parts.append(text[last:index])
            last = index + 1
    return [*parts, text[last:]]


def split_parameters(parameters):
    """`a:string='x', b:dynamic=dynamic([])` as [(name, default)]."""
    return re.findall(r"(\w+):\w+=((?:[^,()]|\([^)]*\))*)", parameters)


def create(connection, name, columns):
    declared = ", ".join(f'"{column}" {SQL_TYPES[kind]}' for column, kind in columns.items())
    connection.execute(f'create or replace table "{name}" ({declared}, {INGESTED} timestamp)')


def fill(connection, name, columns, rows):
    connection.execute(f'delete from "{name}"')
    names = [*columns, INGESTED]
    if rows:
        # One statement for all rows: a statement a row takes a hundred times as long.
        row_of_marks = f"({', '.join('?' * len(names))})"
        values = [
            json.dumps(row[key]) if isinstance(row.get(key), (dict, list)) else row.get(key)
            for row in rows
            for key in names
        ]
        marks = ", ".join([row_of_marks] * len(rows))
        connection.execute(f'insert into "{name}" values {marks}', values)


class Engine:
    """Queries of one workspace, each translated once however often it runs."""

    def __init__(self, connection, now, schemas, functions):
        self.connection, self.now, self.schemas, self.functions = connection, now, schemas, functions
        self.columns = {name: list(columns) for name, columns in schemas.items()}
        self.registered = {}
        self.views = {}
        self.translated = {}

    def define(self):
        """Makes a view of each function with its defaults, which spares the engine from reading its text again in
        every query, and registers those with parameters as functions for calls that give some."""
        for function in self.functions:
            name, body = function["name"], self.known(function["body"])
            parameters = split_parameters(function["parameters"])
            if parameters:
                text = f"function {name}({function['parameters']}) {{ {body} }}"
                self.registered[name] = (text, self.needed(body))
            defaults = "".join(f"let {parameter} = {default}; " for parameter, default in parameters)
            view = self.connection.sql(str(self.translate(defaults + body)))
            view.create_view(name)
            self.views[name] = view
            self.columns[name] = view.columns

    def needed(self, text):
        """The names of the registered functions that a text calls, those that they call included."""
        called = [name for name in self.registered if f"{name}(" in text]
        return {each for name in called for each in (name, *self.registered[name][1])}

    def known(self, text):
        """The text in terms that the engine knows."""
        return call_views(expand(text, self.schemas, self.functions), self.functions)

    def translate(self, text):
        return duckdb_kql.to_sql(
            text,
            schema=self.columns,
            functions=[function for name, (function, _) in self.registered.items() if name in self.needed(text)],
            query_now=self.now,
            allow_write=False,
        )

    def run(self, query):
        if query not in self.translated:
            self.translated[query] = self.translate(self.known(query))
        sql = self.translated[query]
        return self.connection.execute(str(sql), sql.parameters or None)

    def run_often(self, query, runs, every_seconds):
        """The rows of each run, with the columns. The view of the events is computed once: what a run does not
        see yet is left out of it, and the rest is moved so that the run's own time is the time given."""
        connection, view = self.connection, "MimecastAuditView"
        connection.execute(f"create or replace temp table whole as select * from {view}")
        connection.execute(f"drop view {view}")
        kinds = connection.execute("select name, type from pragma_table_info('whole')").fetchall()
        columns, rows = ["Run"], []
        for run in range(runs):
            gap = f"interval {(runs - 1 - run) * every_seconds} second"
            moved = ", ".join(f'"{name}" + {gap} as "{name}"' if kind == "TIMESTAMP" else f'"{name}"' for name, kind in kinds)
            connection.execute(
                f"create or replace table {view} as select {moved} from whole"
                f" where FirstIngestedAt + {gap} <= timestamp '{self.now}'"
            )
            result = self.run(query)
            columns[1:] = [column[0] for column in result.description]
            rows.extend([run, *row] for row in result.fetchall())
        connection.execute(f"drop table {view}")
        self.views[view].create_view(view)
        return columns, rows


def call_views(text, functions):
    """Writes calls without arguments as the views that they are here."""
    for function in functions:
        text = text.replace(f"{function['name']}()", function["name"])
    return text


def main():
    given = json.load(sys.stdin)
    tables = given["tables"]
    schemas = {name: table["columns"] for name, table in tables.items()}
    connection = duckdb_kql.connect()
    connection.execute("set TimeZone = 'UTC'")
    # One thread gives rows that no query sorts in the same order each time, and is faster on so few.
    connection.execute("set threads = 1")
    for name, columns in schemas.items():
        create(connection, name, columns)
    engine = Engine(connection, given["now"], schemas, given["functions"])
    engine.define()
    results, errors = {}, {}
    for case in given["cases"]:
        for name, columns in schemas.items():
            fill(connection, name, columns, case["tables"].get(name, []))
        try:
            if case["runs"] > 1:
                columns, rows = engine.run_often(case["query"], case["runs"], case["every_seconds"])
            else:
                result = engine.run(case["query"])
                columns, rows = [column[0] for column in result.description], result.fetchall()
            results[case["name"]] = {"columns": columns, "rows": [list(row) for row in rows]}
        except Exception as error:  # every failure of a query is a finding to report, none may hide the rest
            errors[case["name"]] = f"{type(error).__name__}: {error}"
    json.dump({"results": results, "errors": errors}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
