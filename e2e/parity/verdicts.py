"""Asks a data-quality tool for its verdict on each rule of a file, row by row, and writes them as JSON.

    verdicts.py gx    SUITE.json ROWS.ndjson
    verdicts.py dbt   SCHEMA.yml ROWS.ndjson

A verdict of Great Expectations: success, the ids of the rows that it calls unexpected, how many rows it looked at; or that it
raised. A verdict of dbt: the status, what it calls failures, and the values (or ids) in the failing rows.
"""

import json
import os
import subprocess
import sys
import tempfile

TIMES = ["placed"]


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def frame(path):
    import pandas

    data = pandas.DataFrame(rows(path))
    for column in TIMES:
        data[column] = pandas.to_datetime(data[column], format="ISO8601")
    return data


def ask_1(context, data):
    import great_expectations as gx

    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": data})

    def ask(expectation, form):
        suite = gx.ExpectationSuite(name="one", expectations=[expectation])
        return batch.validate(suite, result_format=form)

    return ask


def ask_0(context, data):
    from great_expectations.core import ExpectationSuite

    request = context.sources.add_pandas("p").add_dataframe_asset("a").build_batch_request(dataframe=data)

    def ask(expectation, form):
        suite = ExpectationSuite("one", expectations=[expectation])
        return context.get_validator(batch_request=request, expectation_suite=suite).validate(result_format=form)

    return ask


def verdict(result):
    got = result.to_json_dict()["results"]
    if not got:
        return {"success": bool(result.success), "evaluated": 0}
    one = got[0]
    raised = one.get("exception_info") or {}
    if not raised.get("raised_exception", False) and "exception_message" not in raised:
        nested = [v for v in raised.values() if isinstance(v, dict) and v.get("raised_exception")]
        raised = nested[0] if nested else {"raised_exception": False}
    if raised.get("raised_exception"):
        return {"raised": str(raised.get("exception_message")).splitlines()[0][:160]}
    found = one["result"]
    said = {"success": bool(one["success"])}
    if "unexpected_index_list" in found:
        said["failed"] = sorted({index["id"] for index in found["unexpected_index_list"] or []})
    elif found.get("unexpected_count") == 0:
        said["failed"] = []
    if "element_count" in found:
        said["considered"] = found["element_count"] - found.get("missing_count", 0)
    return said


def great_expectations(suite, path):
    import great_expectations as gx

    data = frame(path)
    with open(suite, encoding="utf-8") as text:
        told = json.load(text)
    context = gx.get_context(mode="ephemeral")
    ask = (ask_0 if gx.__version__.startswith("0.") else ask_1)(context, data)
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"], "include_unexpected_rows": False}
    verdicts = []
    for expectation in told["expectations"]:
        kind = expectation.get("type") or expectation["expectation_type"]
        try:
            said = verdict(ask(dict(expectation), form))
        except Exception as error:  # What it raises is its verdict.
            said = {"raised": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"}
        verdicts.append({"type": kind, **said})
    import pandas

    return {"tool": f"great_expectations {gx.__version__}", "pandas": pandas.__version__, "verdicts": verdicts}


PROJECT = """name: parity
version: "1.0"
profile: parity
flags: {send_anonymous_usage_stats: false, use_colors: false}
data_tests: {+store_failures: true}
"""
PROFILE = """parity: {target: t, outputs: {t: {type: duckdb, path: %s}}}
"""
TYPES = (
    "{id: 'INTEGER', code: 'VARCHAR', quantity: 'INTEGER', price: 'DOUBLE', currency: 'VARCHAR', low: 'INTEGER', high: 'INTEGER', "
    "billing: 'VARCHAR', shipping: 'VARCHAR', paid: 'BOOLEAN', day: 'VARCHAR', placed: 'TIMESTAMP', note: 'VARCHAR'}"
)


def dbt(schema, path):
    import duckdb
    from importlib.metadata import version

    path = os.path.abspath(path)
    with tempfile.TemporaryDirectory() as folder:
        put = lambda name, text: open(os.path.join(folder, name), "w", encoding="utf-8").write(text)
        database = os.path.join(folder, "d.duckdb")
        for made in ["models", "tests/generic"]:
            os.makedirs(os.path.join(folder, made))
        put("dbt_project.yml", PROJECT)
        put("profiles.yml", PROFILE % database)
        source = f"read_json('{path}', format='newline_delimited', columns={TYPES})"
        put("models/sales.sql", "{{ config(materialized='table') }} select * from " + source)
        put("models/currencies.sql", "select 'EUR' as code union all select 'USD'")
        put("tests/generic/shop_is_open.sql", "{% test shop_is_open(model, hour) %} select 1 where {{ hour }} < 8 {% endtest %}")
        with open(schema, encoding="utf-8") as text:
            put("models/schema.yml", text.read())
        program = os.path.join(os.path.dirname(sys.executable), "dbt")
        for command in ["run", "test"]:
            done = subprocess.run([program, command, "--profiles-dir", folder], cwd=folder, capture_output=True, text=True)
            if command == "run" and done.returncode:
                sys.exit(done.stdout + done.stderr)
        with open(os.path.join(folder, "target/run_results.json"), encoding="utf-8") as text:
            results = json.load(text)["results"]
        with open(os.path.join(folder, "target/manifest.json"), encoding="utf-8") as text:
            nodes = json.load(text)["nodes"]
        base = duckdb.connect(database, read_only=True)
        verdicts = {}
        for result in results:
            node = nodes[result["unique_id"]]
            said = {"status": result["status"], "failures": result["failures"]}
            if result["status"] == "error":
                said["message"] = result["message"].splitlines()[0]
            elif result.get("relation_name") or node.get("relation_name"):
                table = node["relation_name"]
                columns = [c[0] for c in base.execute(f"describe {table}").fetchall()]
                wanted = next((c for c in ["value_field", "id"] if c in columns), None)
                if wanted:
                    found = base.execute(f"select {wanted} from {table}").fetchall()
                    said[{"value_field": "values", "id": "failed"}[wanted]] = sorted((row[0] for row in found), key=str)
            said["sql"] = " ".join(node["compiled_code"].split())
            verdicts[node["name"]] = said
        return {"tool": f"dbt-core {version('dbt-core')}", "duckdb": version("duckdb"), "verdicts": verdicts}


def main():
    tool, rules, data = sys.argv[1:]
    answer = {"gx": great_expectations, "dbt": dbt}[tool](rules, data)
    verdicts = answer.pop("verdicts")
    line = lambda value: json.dumps(value, ensure_ascii=True, default=str)
    if isinstance(verdicts, dict):
        told = [f"  {line(name)}: {line(said)}" for name, said in sorted(verdicts.items())]
        told = "{\n" + ",\n".join(told) + "\n }"
    else:
        told = "[\n" + ",\n".join("  " + line(said) for said in verdicts) + "\n ]"
    versions = "".join(f" {line(key)}: {line(value)},\n" for key, value in answer.items())
    print("{\n" + versions + ' "verdicts": ' + told + "\n}")


if __name__ == "__main__":
    main()
