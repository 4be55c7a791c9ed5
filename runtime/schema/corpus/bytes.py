"""Records as Google's own Protobuf library and fastavro write them: writes bytes.json, which the decoders and encoders
are held against.

    python3 -m venv v && v/bin/pip install grpcio-tools protobuf fastavro && v/bin/python bytes.py
"""

import io
import json
import pathlib
import subprocess
import sys
import tempfile

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

P3 = 'syntax = "proto3";\n'

# Definition, message, and pairs of a record in Protobuf's JSON and the row that it is here.
PROTOBUF = {
    "maps with keys of every kind": (
        P3 + """message A {
  map<bool, string> b = 1; map<int32, string> i = 2; map<int64, int64> l = 3; map<uint32, string> u = 4; map<uint64, string> v = 5;
  map<sint32, string> s = 6; map<sint64, string> t = 7; map<fixed32, string> f = 8; map<fixed64, string> g = 9;
  map<sfixed32, string> h = 10; map<sfixed64, M> j = 11; message M { int32 x = 1; } }""",
        "A",
        [
            (
                {
                    "b": {"false": "no", "true": "yes"}, "i": {"-2147483648": "a", "-1": "", "0": "z", "2147483647": "b"}, "l": {"-9223372036854775808": "1", "7": "0"},
                    "u": {"0": "", "4294967295": "x"}, "v": {"18446744073709551615": "x"}, "s": {"-1": "x", "2147483647": "y"},
                    "t": {"-9223372036854775808": "x"}, "f": {"4294967295": "x"}, "g": {"18446744073709551615": "x"}, "h": {"-1": "x"}, "j": {"-2": {"x": 5}, "0": {}},
                },
                {
                    "b": {"false": "no", "true": "yes"}, "i": {"-2147483648": "a", "-1": "", "0": "z", "2147483647": "b"}, "l": {"-9223372036854775808": 1, "7": 0},
                    "u": {"0": "", "4294967295": "x"}, "v": {"18446744073709551615": "x"}, "s": {"-1": "x", "2147483647": "y"},
                    "t": {"-9223372036854775808": "x"}, "f": {"4294967295": "x"}, "g": {"18446744073709551615": "x"}, "h": {"-1": "x"}, "j": {"-2": {"x": 5}, "0": {"x": 0}},
                },
            ),
            ({}, {k: {} for k in "bilvustfghj"}),
        ],
    ),
    "Struct, Value and ListValue": (
        P3 + 'import "google/protobuf/struct.proto";\nmessage A { google.protobuf.Struct s = 1; google.protobuf.Value v = 2; google.protobuf.ListValue l = 3; repeated google.protobuf.Value r = 4; map<string, google.protobuf.Struct> m = 5; }',
        "A",
        [
            (
                {"s": {"a": 1, "b": [True, None, "x"], "c": {"d": -0.5}}, "v": "text", "l": [1, 2.5, []], "r": [5, None, {"k": "v"}], "m": {"e": {}}},
                {"s": '{"a":1,"b":[true,null,"x"],"c":{"d":-0.5}}', "v": '"text"', "l": "[1,2.5,[]]", "r": ["5", "null", '{"k":"v"}'], "m": {"e": "{}"}},
            ),
            ({"v": None}, {"s": None, "v": "null", "l": None, "r": [], "m": {}}),
            ({"v": 1e300, "s": {}}, {"s": "{}", "v": "1e+300", "l": None, "r": [], "m": {}}),
            ({"v": 9007199254740991, "l": []}, {"s": None, "v": "9007199254740991", "l": "[]", "r": [], "m": {}}),
            ({}, {"s": None, "v": None, "l": None, "r": [], "m": {}}),
        ],
    ),
    "messages without fields": (
        P3 + 'import "google/protobuf/empty.proto";\nmessage A { google.protobuf.Empty e = 1; B b = 2; repeated B r = 3; map<int32, B> m = 4; oneof o { B x = 5; string y = 6; } message B { } }',
        "A",
        [
            (
                {"e": {}, "b": {}, "r": [{}, {}], "m": {"1": {}}, "x": {}},
                {"e": True, "b": True, "r": [True, True], "m": {"1": True}, "x": True, "y": None},
            ),
            ({"y": ""}, {"e": None, "b": None, "r": [], "m": {}, "x": None, "y": ""}),
        ],
    ),
}

UNION = {
    "type": "record",
    "name": "R",
    "namespace": "n",
    "fields": [
        {"name": "a", "type": ["null", "int", "string", {"type": "long", "logicalType": "timestamp-millis"}]},
        {
            "name": "b",
            "type": [
                {"type": "record", "name": "Card", "fields": [{"name": "no", "type": "string"}]},
                {"type": "record", "name": "Cash", "namespace": "m", "fields": [{"name": "cents", "type": "long"}]},
                {"type": "enum", "name": "Kind", "symbols": ["FREE", "LATER"]},
                {"type": "array", "items": "int"},
                {"type": "map", "values": ["int", "string"]},
                "boolean", "bytes", "double",
            ],
        },
        {"name": "c", "type": {"type": "array", "items": ["null", "long", "string"]}, "default": []},
    ],
}


def b(**one):
    return {name: one.get(name) for name in ("Card", "Cash", "Kind", "array", "map", "boolean", "bytes", "double")}


def a(**one):
    return {name: one.get(name) for name in ("int", "string", "long")}


# Schema, and pairs of a record for fastavro and the row that it is here.
AVRO = {
    "unions of several types": (
        UNION,
        [
            ({"a": None, "b": ("n.Card", {"no": "5"}), "c": []}, {"a": None, "b": b(Card={"no": "5"}), "c": []}),
            ({"a": 5, "b": ("m.Cash", {"cents": -7}), "c": [None, 5, "x"]}, {"a": a(int=5), "b": b(Cash={"cents": -7}), "c": [None, {"long": 5, "string": None}, {"long": None, "string": "x"}]}),
            ({"a": "x", "b": ("n.Kind", "LATER"), "c": []}, {"a": a(string="x"), "b": b(Kind="LATER"), "c": []}),
            ({"a": ("long", 1767225600123), "b": [1, -1], "c": []}, {"a": a(long="2026-01-01T00:00:00.123Z"), "b": b(array=[1, -1]), "c": []}),
            ({"a": None, "b": {"k": "v", "l": 5}, "c": []}, {"a": None, "b": b(map={"k": {"int": None, "string": "v"}, "l": {"int": 5, "string": None}}), "c": []}),
            ({"a": None, "b": True, "c": []}, {"a": None, "b": b(boolean=True), "c": []}),
            ({"a": None, "b": ("bytes", b"\x00\xff"), "c": []}, {"a": None, "b": b(bytes="AP8="), "c": []}),
            ({"a": None, "b": -0.5, "c": []}, {"a": None, "b": b(double=-0.5), "c": []}),
        ],
    ),
}


def protobuf():
    out = []
    for name, (text, message, records) in PROTOBUF.items():
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "contract.proto").write_text(text)
            command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--include_imports", "--descriptor_set_out=o", "contract.proto"]
            subprocess.run(command, check=True, cwd=folder)
            files = descriptor_pb2.FileDescriptorSet.FromString((pathlib.Path(folder) / "o").read_bytes())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        made = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
        pairs = []
        for given, row in records:
            record = json_format.ParseDict(given, made())
            pairs.append({"row": json.dumps(row, ensure_ascii=False), "bytes": record.SerializeToString(deterministic=True).hex()})
        out.append({"name": name, "schema": text, "message": message, "records": pairs})
    return out


def avro():
    out = []
    for name, (schema, records) in AVRO.items():
        parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
        pairs = []
        for given, row in records:
            buffer = io.BytesIO()
            fastavro.schemaless_writer(buffer, parsed, given)
            pairs.append({"row": json.dumps(row, ensure_ascii=False), "bytes": buffer.getvalue().hex()})
        out.append({"name": name, "schema": json.dumps(schema), "records": pairs})
    return out


made = {"protobuf": protobuf(), "avro": avro()}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
