"""Reads a stream with the credentials an AccessGrant wrote.

    read.py read TOPIC GROUP COUNT

prints the values of COUNT records, one a line, and commits how far it read.
Avro with a schema registry is printed as JSON.
Exit code 3: the broker refused; 4: not COUNT records within a minute.
"""

import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException

import avro

MOUNTED = "/etc/kafka-client"  # where the files take themselves to be
FOLDER = os.environ.get("KAFKA_CLIENT_DIR", MOUNTED)
SECONDS = float(os.environ.get("KAFKA_CLIENT_SECONDS", "60"))
REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


def settings():
    """The Secret's librdkafka.properties, as a dict."""
    found = {}
    with open(os.path.join(FOLDER, "librdkafka.properties"), encoding="utf-8") as lines:
        for line in lines:
            name, equals, value = line.rstrip("\n").partition("=")
            if equals and not name.lstrip().startswith("#"):
                value = value.strip()
                if value.startswith(MOUNTED + "/"):
                    value = os.path.join(FOLDER, value[len(MOUNTED) + 1 :])
                found[name.strip()] = value
    if os.environ.get("KAFKA_CLIENT_BOOTSTRAP"):  # another way in
        found["bootstrap.servers"] = os.environ["KAFKA_CLIENT_BOOTSTRAP"]
    return found


def read(topic, group, count):
    refusals = []
    decoder = avro.Decoder(FOLDER)

    def on_error(error):  # what librdkafka would go on trying
        if error.code() in REFUSED:
            refusals.append(error)

    try:
        consumer = Consumer(
            settings()
            | {
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",  # streams are written in transactions
                "error_cb": on_error,
            }
        )
    except KafkaException as error:  # what the files say is not what librdkafka takes
        return fail(error.args[0])
    try:
        consumer.subscribe([topic])
        until = time.monotonic() + SECONDS
        done = 0
        while done < count:
            record = consumer.poll(0.2)
            if refusals:
                return refused(refusals[0])
            if record is None:
                pass
            elif record.error():
                if record.error().code() in REFUSED:
                    return refused(record.error())
            else:
                value = record.value()
                sys.stdout.buffer.write((b"null" if value is None else decoder.text(value)) + b"\n")
                sys.stdout.buffer.flush()
                done += 1
            if done < count and time.monotonic() > until:
                print(f"{done} of {count} records in {SECONDS:g} s", file=sys.stderr)
                return 4
        if done:
            consumer.commit(asynchronous=False)
        return 0
    except KafkaException as error:
        return refused(error.args[0]) if error.args[0].code() in REFUSED else fail(error.args[0])
    finally:
        consumer.close()


def refused(error):
    print(f"refused: {error.name()}: {error.str()}", file=sys.stderr)
    return 3


def fail(error):
    print(f"failed: {error.name()}: {error.str()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] != "read" or not sys.argv[4].isdigit():
        sys.exit(__doc__)
    sys.exit(read(sys.argv[2], sys.argv[3], int(sys.argv[4])))
