"""Decodes the Avro records of a stream with a schema registry.

Such a record begins with a zero byte and the four bytes of its schema's id; the Secret's
schema.registry.url says where to ask for that schema, once an id.
"""

import base64
import datetime
import decimal
import io
import json
import os
import ssl
import urllib.request

import fastavro


class Decoder:
    def __init__(self, folder):
        self.schemas = {}
        self.url = os.environ.get("KAFKA_CLIENT_REGISTRY") or self.file(folder, "schema.registry.url")
        authority = os.path.join(folder, "schema-registry-ca.crt")
        self.tls = ssl.create_default_context(cafile=authority if os.path.exists(authority) else None)

    @staticmethod
    def file(folder, name):
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as content:
                return content.read().strip()
        except FileNotFoundError:
            return None

    def text(self, value):
        """The record as JSON, or as it is where it isn't Avro with an id."""
        if not self.url or len(value) < 5 or value[0] != 0:
            return value
        schema = self.schema(int.from_bytes(value[1:5], "big"))
        if schema is None:
            return value
        record = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)
        return json.dumps(record, default=plain, ensure_ascii=False, separators=(",", ":")).encode()

    def schema(self, number):
        if number not in self.schemas:
            address = f"{self.url.rstrip('/')}/schemas/ids/{number}"
            with urllib.request.urlopen(address, timeout=10, context=self.tls if address.startswith("https") else None) as answer:
                found = json.load(answer)
            avro = found.get("schemaType", "AVRO") == "AVRO"
            self.schemas[number] = fastavro.parse_schema(json.loads(found["schema"])) if avro else None
        return self.schemas[number]


def plain(value):
    """What JSON has no word for, as Headworks writes it in JSON."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        zoned = value.tzinfo is not None
        text = value.replace(tzinfo=None).isoformat(timespec="milliseconds")
        return text + "Z" if zoned else text
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
