"""python -m unittest, beside this file."""

import decimal
import http.server
import io
import json
import os
import tempfile
import threading
import unittest

import fastavro

import avro

SCHEMA = {
    "type": "record",
    "name": "r",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "raw", "type": ["null", "bytes"]},
    ],
}


class Registry(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Registry.asked += 1
        known = self.path == "/apis/ccompat/v7/schemas/ids/7"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"schema": json.dumps(SCHEMA)}).encode() if known else b"{}")

    def log_message(self, *_):
        pass


class Decoding(unittest.TestCase):
    def test_an_avro_record_is_printed_as_json(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "schema.registry.url"), "w", encoding="utf-8") as url:
                url.write(f"http://127.0.0.1:{server.server_port}/apis/ccompat/v7\n")
            decoder = avro.Decoder(folder)
        body = io.BytesIO()
        record = {"id": "é", "amount": decimal.Decimal("12.50"), "at": 1767225600123, "raw": b"\x01"}
        fastavro.schemaless_writer(body, fastavro.parse_schema(SCHEMA), record)
        for _ in range(2):
            text = decoder.text(b"\0\0\0\0\x07" + body.getvalue()).decode()
            self.assertEqual(text, '{"id":"é","amount":"12.50","at":"2026-01-01T00:00:00.123Z","raw":"AQ=="}')
        self.assertEqual(Registry.asked, 1)
        self.assertEqual(decoder.text(b'{"id":"a"}'), b'{"id":"a"}')
        with self.assertRaises(OSError):
            decoder.text(b"\0\0\0\0\x08\0")

    def test_without_a_registry_records_are_as_they_are(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(avro.Decoder(folder).text(b"\0\0\0\0\x07ab"), b"\0\0\0\0\x07ab")


if __name__ == "__main__":
    unittest.main()
