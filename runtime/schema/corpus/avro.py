"""What Avro's own Java library says of the schemas here: writes avro.json, which the crate's tests hold our reader against.

    mvn dependency:copy-dependencies of org.apache.avro:avro:1.12.0 into a folder LIB, then
    python3 avro.py LIB
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def record(*fields, **more):
    return {"type": "record", "name": "R", **more, "fields": list(fields)}


def f(type_, **more):
    return {"name": "a", "type": type_, **more}


def enum(*symbols, **more):
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size, **more):
    return {"type": "fixed", "name": "F", "size": size, **more}


INNER = {"type": "record", "name": "S", "fields": [{"name": "b", "type": "int"}]}

CASES = {
    "plain": record(f("int")),
    "all primitives": record(*({"name": f"f{i}", "type": t} for i, t in enumerate(["null", "boolean", "int", "long", "float", "double", "bytes", "string"]))),
    "primitive as an object": record(f({"type": "int"})),
    "object in an object": record(f({"type": {"type": "int"}})),
    "unknown type": record(f("varchar")),
    "type in other case": record(f("Int")),
    "no fields": record(),
    "fields that are none": {"type": "record", "name": "R"},
    "fields that are an object": {"type": "record", "name": "R", "fields": {}},
    "record without a name": {"type": "record", "fields": []},
    "record with an empty name": {"type": "record", "name": "", "fields": [f("int")]},
    "field without a name": record({"type": "int"}),
    "field without a type": record({"name": "a"}),
    "field with an empty name": record({"name": "", "type": "int"}),
    "field with a dash": record({"name": "a-b", "type": "int"}),
    "field with a dot": record({"name": "a.b", "type": "int"}),
    "field that begins with a digit": record({"name": "1a", "type": "int"}),
    "field with a letter of another script": record({"name": "ä", "type": "int"}),
    "field twice": record(f("int"), f("string")),
    "fields in other case": record(f("int"), {"name": "A", "type": "int"}),
    "field's alias is another field": record(f("int", aliases=["b"]), {"name": "b", "type": "int"}),
    "field's alias is its own name": record(f("int", aliases=["a"])),
    "two fields with one alias": record(f("int", aliases=["c"]), {"name": "b", "type": "int", "aliases": ["c"]}),
    "alias that is no name": record(f("int", aliases=["a-b"])),
    "aliases that are no list": record(f("int", aliases="b")),
    "aliases with a number": record(f("int", aliases=[1])),
    "record's alias": record(f("int"), aliases=["Old", "x.Old"]),
    "record's alias that is no name": record(f("int"), aliases=["a-b"]),
    "order": record(f("int", order="descending")),
    "order that there isn't": record(f("int", order="sideways")),
    "doc that is a number": record(f("int", doc=5)),
    "record with a doc": record(f("int"), doc="x"),
    "more properties": record(f("int", extra={"a": 1}), other=[1]),
    "record named int": {"type": "record", "name": "int", "fields": [f("string")]},
    "record named string in a namespace": {"type": "record", "name": "string", "namespace": "n", "fields": [f("int")]},
    "record named record": {"type": "record", "name": "record", "fields": [f("int")]},
    "enum named int": record(f({"type": "enum", "name": "int", "symbols": ["X"]})),
    "enum named long in a namespace": record(f({"type": "enum", "name": "long", "symbols": ["X"]}), namespace="n"),
    "enum named n.int in full": record(f({"type": "enum", "name": "n.int", "symbols": ["X"]})),
    "fixed named bytes": record(f({"type": "fixed", "name": "bytes", "size": 2})),
    "fixed named null": record(f({"type": "fixed", "name": "null", "size": 2})),
    "enum named array": record(f({"type": "enum", "name": "array", "symbols": ["X"]})),
    "enum named map": record(f({"type": "enum", "name": "map", "symbols": ["X"]})),
    "enum named enum": record(f({"type": "enum", "name": "enum", "symbols": ["X"]})),
    "enum named union": record(f({"type": "enum", "name": "union", "symbols": ["X"]})),
    "enum named error": record(f({"type": "enum", "name": "error", "symbols": ["X"]})),
    "name with a dash": {"type": "record", "name": "a-b", "fields": [f("int")]},
    "name that begins with a digit": {"type": "record", "name": "1a", "fields": [f("int")]},
    "name of another script": {"type": "record", "name": "Ä", "fields": [f("int")]},
    "name with a trailing dot": {"type": "record", "name": "a.", "fields": [f("int")]},
    "name with a leading dot": {"type": "record", "name": ".a", "fields": [f("int")]},
    "name with two dots": {"type": "record", "name": "a..b", "fields": [f("int")]},
    "full name": {"type": "record", "name": "x.y.R", "fields": [f("int")]},
    "full name and a namespace": {"type": "record", "name": "x.R", "namespace": "y", "fields": [f("int")]},
    "namespace": record(f("int"), namespace="x.y"),
    "namespace that is empty": record(f("int"), namespace=""),
    "namespace with a dash": record(f("int"), namespace="x-y"),
    "namespace that begins with a digit": record(f("int"), namespace="1x"),
    "namespace with a part that begins with a digit": record(f("int"), namespace="x.1y"),
    "namespace with a trailing dot": record(f("int"), namespace="x."),
    "namespace with a leading dot": record(f("int"), namespace=".x"),
    "namespace with two dots": record(f("int"), namespace="x..y"),
    "namespace of another script": record(f("int"), namespace="ä"),
    "namespace that is a number": record(f("int"), namespace=5),
    "namespace that is null": record(f("int"), namespace=None),
    "full name with a part that begins with a digit": {"type": "record", "name": "x.1y.R", "fields": [f("int")]},
    "enum": record(f(enum("X", "Y"))),
    "enum without symbols": record(f(enum())),
    "enum whose symbols are none": record(f({"type": "enum", "name": "E"})),
    "enum with a symbol twice": record(f(enum("X", "X"))),
    "enum with symbols in other case": record(f(enum("X", "x"))),
    "enum with a dash": record(f(enum("X-Y"))),
    "enum with a blank": record(f(enum("X Y"))),
    "enum with a digit first": record(f(enum("1X"))),
    "enum with an empty symbol": record(f(enum(""))),
    "enum with a letter of another script": record(f(enum("Ä"))),
    "enum with a dot": record(f(enum("X.Y"))),
    "enum with a number for a symbol": record(f({"type": "enum", "name": "E", "symbols": [1]})),
    "enum with null for a symbol": record(f({"type": "enum", "name": "E", "symbols": [None]})),
    "enum's default": record(f(enum("X", "Y", default="X"))),
    "enum's default that is no symbol": record(f(enum("X", default="Y"))),
    "enum's default that is a number": record(f(enum("X", default=1))),
    "enum's default that is null": record(f(enum("X", default=None))),
    "enum symbol that is a keyword": record(f(enum("int", "null"))),
    "enum twice": record(f(enum("X")), {"name": "b", "type": enum("X")}),
    "enum by its name": record(f(enum("X")), {"name": "b", "type": "E"}),
    "enum before it is declared": record({"name": "b", "type": "E"}, f(enum("X"))),
    "enum by its full name": record(f(enum("X")), {"name": "b", "type": "n.E"}, namespace="n"),
    "enum of another namespace by its short name": record(f(enum("X", namespace="m")), {"name": "b", "type": "E"}, namespace="n"),
    "enum of no namespace by its short name": record(f(enum("X", namespace="")), {"name": "b", "type": "E"}, namespace="n"),
    "name as an object": record(f(enum("X")), {"name": "b", "type": {"type": "E"}}),
    "fixed": record(f(fixed(4))),
    "fixed of 0": record(f(fixed(0))),
    "fixed of -1": record(f(fixed(-1))),
    "fixed of 1.5": record(f(fixed(1.5))),
    "fixed of 4.0": record(f(fixed(4.0))),
    "fixed of text": record(f(fixed("4"))),
    "fixed without a size": record(f({"type": "fixed", "name": "F"})),
    "fixed beyond 31 bits": record(f(fixed(4294967296))),
    "array": record(f({"type": "array", "items": "int"})),
    "array without items": record(f({"type": "array"})),
    "array as a word": record(f("array")),
    "record as a word": record(f("record")),
    "map": record(f({"type": "map", "values": "int"})),
    "map without values": record(f({"type": "map"})),
    "map with keys": record(f({"type": "map", "keys": "int", "values": "int"})),
    "nested record": record(f(INNER)),
    "nested record twice": record(f(INNER), {"name": "b", "type": INNER}),
    "record that holds itself": record(f(["null", "R"])),
    "record that holds only itself": record(f("R")),
    "error": {"type": "error", "name": "R", "fields": [f("int")]},
    "union": record(f(["null", "int"])),
    "union of one": record(f(["int"])),
    "union of none": record(f([])),
    "union of several": record(f(["null", "int", "string", "boolean"])),
    "union of two ints": record(f(["int", "int"])),
    "union of two nulls": record(f(["null", "null"])),
    "union of two arrays": record(f([{"type": "array", "items": "int"}, {"type": "array", "items": "string"}])),
    "union of two maps": record(f([{"type": "map", "values": "int"}, {"type": "map", "values": "string"}])),
    "union of an array and a map": record(f([{"type": "array", "items": "int"}, {"type": "map", "values": "string"}])),
    "union of a date and an int": record(f([{"type": "int", "logicalType": "date"}, "int"])),
    "union of a decimal and bytes": record(f([{"type": "bytes", "logicalType": "decimal", "precision": 4}, "bytes"])),
    "union of two records": record(f([INNER, {"type": "record", "name": "T", "fields": [{"name": "c", "type": "int"}]}])),
    "union of one record twice": record(f([INNER, "S"])),
    "union of two enums": record(f([enum("X"), {"type": "enum", "name": "G", "symbols": ["X"]}])),
    "union of two fixed": record(f([fixed(1), {"type": "fixed", "name": "G", "size": 1}])),
    "union in a union": record(f([["int"], "string"])),
    "union by an object in a union": record(f([{"type": ["int", "long"]}, "string"])),
    "union as a type's object": record(f({"type": ["null", "int"]})),
    "union at the top": ["null", record(f("int"))],
    "string at the top": "string",
    "enum at the top": enum("X"),
    "default": record(f("int", default=5)),
    "default of text for an int": record(f("int", default="5")),
    "default 1.0 for an int": '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1.0}]}',
    "default 1e2 for an int": '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1e2}]}',
    "default -0 for an int": '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":-0}]}',
    "default 1.5 for an int": record(f("int", default=1.5)),
    "default beyond an int": record(f("int", default=2147483648)),
    "default of the last int": record(f("int", default=2147483647)),
    "default beyond a long": '{"type":"record","name":"R","fields":[{"name":"a","type":"long","default":9223372036854775808}]}',
    "default of the last long": record(f("long", default=9223372036854775807)),
    "default int for a double": record(f("double", default=5)),
    "default 1e400 for a double": '{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":1e400}]}',
    "default 1e40 for a float": '{"type":"record","name":"R","fields":[{"name":"a","type":"float","default":1e40}]}',
    "default NaN for a double": record(f("double", default="NaN")),
    "default null for a string": record(f("string", default=None)),
    "default null for a null": record(f("null", default=None)),
    "default bool for an int": record(f("int", default=True)),
    "default for bytes": record(f("bytes", default="\u00ff")),
    "default for bytes beyond 255": record(f("bytes", default="\u0100")),
    "default for a fixed": record(f(fixed(2), default="ab")),
    "default for a fixed of another size": record(f(fixed(2), default="abc")),
    "default for an enum": record(f(enum("X"), default="X")),
    "default for an enum that is no symbol": record(f(enum("X"), default="Y")),
    "default for an array": record(f({"type": "array", "items": "int"}, default=[1, 2])),
    "default for an array, one wrong": record(f({"type": "array", "items": "int"}, default=[1, "2"])),
    "default for a map": record(f({"type": "map", "values": "int"}, default={"x": 1})),
    "default for a map, one wrong": record(f({"type": "map", "values": "int"}, default={"x": "1"})),
    "default for a record": record(f(INNER, default={"b": 1})),
    "default for a record, one missing": record(f(INNER, default={})),
    "default for a record, one more": record(f(INNER, default={"b": 1, "c": 2})),
    "default for a union": record(f(["null", "int"], default=None)),
    "default of a union's second type": record(f(["null", "int"], default=5)),
    "default of a union's second type, null": record(f(["int", "null"], default=None)),
    "default of none of a union's types": record(f(["null", "int"], default="x")),
    "default of a union of several": record(f(["string", "null", "int"], default="x")),
    "default of a union of several's third": record(f(["string", "null", "int"], default=5)),
    "default for a date": record(f({"type": "int", "logicalType": "date"}, default=0)),
    "default for a decimal": record(f({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, default="\u0001")),
    "decimal": record(f({"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2})),
    "decimal without a precision": record(f({"type": "bytes", "logicalType": "decimal"})),
    "decimal with a larger scale": record(f({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3})),
    "decimal of precision 0": record(f({"type": "bytes", "logicalType": "decimal", "precision": 0})),
    "decimal of a negative scale": record(f({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": -1})),
    "decimal on a string": record(f({"type": "string", "logicalType": "decimal", "precision": 5})),
    "decimal too large for its fixed": record(f(fixed(1, logicalType="decimal", precision=10, scale=2))),
    "date on a string": record(f({"type": "string", "logicalType": "date"})),
    "logical type that there isn't": record(f({"type": "int", "logicalType": "colour"})),
    "logical type that is a number": record(f({"type": "int", "logicalType": 5})),
    "uuid": record(f({"type": "string", "logicalType": "uuid"})),
    "uuid of a fixed": record(f(fixed(16, logicalType="uuid"))),
    "uuid of another fixed": record(f(fixed(8, logicalType="uuid"))),
    "duration": record(f(fixed(12, logicalType="duration"))),
    "timestamp-nanos": record(f({"type": "long", "logicalType": "timestamp-nanos"})),
    "logical type beside a field's type": record(f("int", logicalType="date")),
    "null for a type": record(f(None)),
    "number for a type": record(f(5)),
    "no JSON": '{"type": "record", ',
    "two JSON values": '{"type":"record","name":"R","fields":[]} {}',
    "comment": '{"type":"record","name":"R","fields":[] /* c */}',
    "a key twice": '{"type":"record","name":"R","fields":[],"fields":[{"name":"a","type":"int"}]}',
    "empty text": "",
    "a word": "int",
    "byte-order mark": "\ufeff" + json.dumps(record(f("int"))),
}

JAVA = """
import org.apache.avro.Schema;
import java.nio.file.*;
public class Verdict {
    public static void main(String[] folder) throws Exception {
        for (int i = 0; ; i++) {
            Path in = Path.of(folder[0], i + ".avsc");
            if (!Files.exists(in)) break;
            String said = "";
            try { new Schema.Parser().parse(Files.readString(in)); }
            catch (Exception | StackOverflowError e) { said = "no " + e.getMessage(); }
            Files.writeString(Path.of(folder[0], i + ".said"), said);
        }
    }
}
"""


def main():
    texts = [t if isinstance(t, str) and t[:1] != "s" else json.dumps(t, ensure_ascii=False) for t in CASES.values()]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "Verdict.java").write_text(JAVA)
        for i, text in enumerate(texts):
            (folder / f"{i}.avsc").write_text(text, encoding="utf-8")
        jars = sorted(pathlib.Path(sys.argv[1]).glob("*.jar"))
        classes = ":".join(map(str, jars))
        subprocess.run(["java", "-cp", classes, str(folder / "Verdict.java"), name], check=True)
        said = [(folder / f"{i}.said").read_text(encoding="utf-8") for i in range(len(texts))]
    version = next(jar.stem for jar in jars if jar.stem.startswith("avro-"))
    out = []
    for case, text, words in zip(CASES, texts, said):
        first = words[3:].splitlines()[0][:120] if words[3:] else ""
        out.append({"name": case, "text": text, "taken": not words, **({"said": first} if words else {})})
    made = {"by": f"Java, {version}", "cases": out}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(version, len(out), "schemas,", sum(c["taken"] for c in out), "taken")


main()
