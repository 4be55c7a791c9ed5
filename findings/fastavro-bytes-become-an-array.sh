#!/usr/bin/env bash
# fastavro 1.13.1 turns bytes into an array of numbers when it writes them. You'd expect Python `bytes` to take the
# branch "bytes" of a union such as ["null", {"type": "array", "items": "int"}, "bytes"]; they are two types of Avro,
# and the Apache library picks right. But fastavro takes the first branch that the value fits, and `bytes` is a Python
# sequence of ints: the array wins if it's named first, without an error. So a job that only reads records and writes
# them back, with one schema, changes what the others get: the Apache library's b'hi' comes back as [104, 105] (a
# topic's copy, a migration, a dead letter sent again). Where the items are strings only the empty bytes go wrong, so
# tests with real data pass and a rare record changes. Instead: write the pair ("bytes", value), which names the branch,
# or put "bytes" before the array in a schema that is yours.
#
# Seen (Python 3.11.7):
#   fastavro 1.13.1 | avro 1.12.2
#   avro writes b'hi', avro reads: b'hi'
#   avro writes b'hi', fastavro reads: b'hi'
#   ... and writes it back unchanged, avro reads: [104, 105]
#   the same with array<double>: [104.0, 105.0]
#   array<string> in the union, b'hi': b'hi'
#   array<string> in the union, b'': []
#   bytes before the array, b'hi': b'hi'
#   branch named: ('bytes', b'hi'): b'hi'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --target "$work/python" fastavro==1.13.1 avro==1.12.2
PYTHONPATH=$work/python python3 - <<'PYTHON'
import importlib.metadata
import io
import json

import avro.io
import avro.schema
import fastavro

print("fastavro", fastavro.__version__, "| avro", importlib.metadata.version("avro"))


def field(*branches):
    return {"type": "record", "name": "Reading", "fields": [{"name": "v", "type": list(branches)}]}


def fast_write(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"v": value})
    return out.getvalue()


def fast_read(schema, data):
    return fastavro.schemaless_reader(io.BytesIO(data), fastavro.parse_schema(schema), None)["v"]


def apache_write(schema, value):
    out = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(json.dumps(schema))).write({"v": value}, avro.io.BinaryEncoder(out))
    return out.getvalue()


def apache_read(schema, data):
    parsed = avro.schema.parse(json.dumps(schema))
    return avro.io.DatumReader(parsed).read(avro.io.BinaryDecoder(io.BytesIO(data)))["v"]


def array(items):
    return {"type": "array", "items": items}


failures = 0


def seen(what, value, expected):
    global failures
    print(f"{what}: {value!r}")
    if value != expected or type(value) is not type(expected):
        failures += 1
        print(f"  this has changed: it was {expected!r}")


ints = field("null", array("int"), "bytes")
sent = apache_write(ints, b"hi")
seen("avro writes b'hi', avro reads", apache_read(ints, sent), b"hi")
seen("avro writes b'hi', fastavro reads", fast_read(ints, sent), b"hi")
copied = fast_write(ints, fast_read(ints, sent))
seen("... and writes it back unchanged, avro reads", apache_read(ints, copied), [104, 105])
seen("the same with array<double>", apache_read(d := field("null", array("double"), "bytes"), fast_write(d, b"hi")), [104.0, 105.0])

strings = field("null", array("string"), "bytes")
seen("array<string> in the union, b'hi'", apache_read(strings, fast_write(strings, b"hi")), b"hi")
seen("array<string> in the union, b''", apache_read(strings, fast_write(strings, b"")), [])

swapped = field("null", "bytes", array("int"))
seen("bytes before the array, b'hi'", apache_read(swapped, fast_write(swapped, b"hi")), b"hi")
seen("branch named: ('bytes', b'hi')", apache_read(ints, fast_write(ints, ("bytes", b"hi"))), b"hi")
raise SystemExit(1 if failures else 0)
PYTHON
