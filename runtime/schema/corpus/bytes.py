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

E = 'edition = "2023";\n'

# Definition, message, pairs as above, and the files that the definition imports.
EDITIONS = {
    "an edition as it is": (
        E + """message A {
  int32 i = 1; int64 l = 2; uint32 u = 3; uint64 v = 4; sint32 s = 5; fixed32 f = 6; sfixed64 g = 7; bool b = 8; string t = 9; bytes y = 10; double d = 11; float h = 12;
  K k = 13; M m = 14; repeated int32 r = 15; repeated K ks = 16; repeated string ts = 17; map<string, M> ms = 18; oneof o { int32 x = 19; M w = 20; }
  enum K { NONE = 0; SOME = 1; } message M { int32 z = 1; repeated double ds = 2; } reserved gone, max; reserved 100 to max; }""",
        "A",
        [
            (
                {
                    "i": -1, "l": "-2", "u": 3, "v": "4", "s": -5, "f": 6, "g": "-7", "b": True, "t": "t", "y": "AP8=", "d": 0.5, "h": -1.5,
                    "k": "SOME", "m": {"z": 0, "ds": [0.5, 0]}, "r": [0, -1, 300], "ks": ["SOME", "NONE"], "ts": ["", "a"], "ms": {"a": {"z": 1}}, "x": 0,
                },
                {
                    "i": -1, "l": -2, "u": 3, "v": "4", "s": -5, "f": 6, "g": -7, "b": True, "t": "t", "y": "AP8=", "d": 0.5, "h": -1.5,
                    "k": "SOME", "m": {"z": 0, "ds": [0.5, 0.0]}, "r": [0, -1, 300], "ks": ["SOME", "NONE"], "ts": ["", "a"],
                    "ms": {"a": {"z": 1, "ds": []}}, "x": 0, "w": None,
                },
            ),
            (
                {"i": 0, "l": "0", "u": 0, "v": "0", "s": 0, "f": 0, "g": "0", "b": False, "t": "", "y": "", "d": 0, "h": 0, "k": "NONE", "m": {}, "ms": {"": {}}, "w": {}},
                {
                    "i": 0, "l": 0, "u": 0, "v": "0", "s": 0, "f": 0, "g": 0, "b": False, "t": "", "y": "", "d": 0.0, "h": 0.0,
                    "k": "NONE", "m": {"z": None, "ds": []}, "r": [], "ks": [], "ts": [], "ms": {"": {"z": None, "ds": []}}, "x": None, "w": {"z": None, "ds": []},
                },
            ),
            (
                {},
                {**dict.fromkeys(["i", "l", "u", "v", "s", "f", "g", "b", "t", "y", "d", "h", "k", "m", "x", "w"]), "r": [], "ks": [], "ts": [], "ms": {}},
            ),
        ],
        {},
    ),
    "an edition with proto3's features": (
        E + """option features.field_presence = IMPLICIT;
message A {
  int32 i = 1; string t = 2; K k = 3; int32 e = 4 [features.field_presence = EXPLICIT]; oneof o { int32 x = 5; string y = 6; } M m = 7;
  repeated int32 r = 8; repeated int32 p = 9 [features.repeated_field_encoding = EXPANDED]; repeated K ks = 10 [features.repeated_field_encoding = EXPANDED]; repeated fixed64 q = 11 [features.repeated_field_encoding = EXPANDED];
  enum K { NONE = 0; SOME = 1; } message M { int32 z = 1; string u = 2 [features.field_presence = EXPLICIT]; } }""",
        "A",
        [
            (
                {"i": 5, "t": "t", "k": "SOME", "e": 0, "x": 0, "m": {"z": 1, "u": ""}, "r": [0, 1], "p": [0, -1, 300], "ks": ["SOME", "NONE"], "q": ["1", "0"]},
                {"i": 5, "t": "t", "k": "SOME", "e": 0, "x": 0, "y": None, "m": {"z": 1, "u": ""}, "r": [0, 1], "p": [0, -1, 300], "ks": ["SOME", "NONE"], "q": ["1", "0"]},
            ),
            (
                {"i": 0, "t": "", "k": "NONE", "y": "", "m": {}},
                {"i": 0, "t": "", "k": "NONE", "e": None, "x": None, "y": "", "m": {"z": 0, "u": None}, "r": [], "p": [], "ks": [], "q": []},
            ),
            ({}, {"i": 0, "t": "", "k": "NONE", "e": None, "x": None, "y": None, "m": None, "r": [], "p": [], "ks": [], "q": []}),
        ],
        {},
    ),
    "an edition with proto2's features": (
        E + """option features.enum_type = CLOSED;
option features.repeated_field_encoding = EXPANDED;
option features.utf8_validation = NONE;
option features.json_format = LEGACY_BEST_EFFORT;
message A {
  int32 i = 1 [features.field_presence = LEGACY_REQUIRED]; M m = 2 [features.field_presence = LEGACY_REQUIRED]; int32 d = 3 [default = 5]; K k = 4; K o = 5;
  repeated int32 r = 6; repeated bool p = 7 [features.repeated_field_encoding = PACKED]; string t = 8; extensions 100 to 199;
  enum K { SOME = 1; MORE = 2; } message M { double z = 1 [features.field_presence = LEGACY_REQUIRED]; } }""",
        "A",
        [
            (
                {"i": 0, "m": {"z": 0}, "d": 5, "k": "SOME", "o": "MORE", "r": [1, 0, 2], "p": [True, False], "t": "ä"},
                {"i": 0, "m": {"z": 0.0}, "d": 5, "k": "SOME", "o": "MORE", "r": [1, 0, 2], "p": [True, False], "t": "ä"},
            ),
            (
                {"i": -1, "m": {"z": 0.25}},
                {"i": -1, "m": {"z": 0.25}, "d": None, "k": None, "o": None, "r": [], "p": [], "t": None},
            ),
        ],
        {},
    ),
    "files of several syntaxes": (
        E + 'package p; import "two.proto"; import "three.proto"; import "edition.proto"; import "google/protobuf/timestamp.proto";\nmessage A { int32 i = 1; p.Two two = 2; p.Three three = 3; repeated Implicit implicit = 4; google.protobuf.Timestamp at = 5; p.TwoKind k = 6; }',
        "p.A",
        [
            (
                {"i": 0, "two": {"r": 0, "l": [1, 2], "k": "B"}, "three": {"x": 0, "o": 0, "l": [0, 1]}, "implicit": [{"x": 0, "o": 0, "l": [1]}, {}], "at": "2026-01-01T00:00:00.5Z", "k": "B"},
                {
                    "i": 0, "two": {"r": 0, "o": None, "l": [1, 2], "k": "B"}, "three": {"x": 0, "o": 0, "l": [0, 1]},
                    "implicit": [{"x": 0, "o": 0, "l": [1]}, {"x": 0, "o": None, "l": []}], "at": "2026-01-01T00:00:00.500000Z", "k": "B",
                },
            ),
        ],
        {
            "two.proto": 'syntax = "proto2"; package p; message Two { required int32 r = 1; optional int32 o = 2; repeated int32 l = 3; optional TwoKind k = 4; } enum TwoKind { B = 1; }',
            "three.proto": P3 + "package p; message Three { int32 x = 1; optional int32 o = 2; repeated int32 l = 3; }",
            "edition.proto": E + "package p; option features.field_presence = IMPLICIT; message Implicit { int32 x = 1; int32 o = 2 [features.field_presence = EXPLICIT]; repeated int32 l = 3 [features.repeated_field_encoding = EXPANDED]; }",
        },
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


def protobuf(cases):
    out = []
    for name, (text, message, records, *imports) in cases.items():
        imports = imports[0] if imports else {}
        with tempfile.TemporaryDirectory() as folder:
            for file, content in {"contract.proto": text, **imports}.items():
                (pathlib.Path(folder) / file).write_text(content)
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
            assert record == made.FromString(record.SerializeToString())
            pairs.append({"row": json.dumps(row, ensure_ascii=False), "bytes": record.SerializeToString(deterministic=True).hex()})
        out.append({"name": name, "schema": text, "message": message, **({"imports": imports} if imports else {}), "records": pairs})
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


made = {"protobuf": protobuf(PROTOBUF), "editions": protobuf(EDITIONS), "avro": avro()}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
