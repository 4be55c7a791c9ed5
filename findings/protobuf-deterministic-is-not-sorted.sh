#!/usr/bin/env bash
# protobuf 7.36.2 for Python and protobuf-java 4.36.2: "deterministic" isn't "in order". You'd expect SerializeToString(
# deterministic=True) to write a map's entries in ascending order of their keys, as Java does. The compiled wheel (upb)
# writes numbers from the highest down and a string after the longer ones that begin with it (user_id before user); the
# pure Python one, of the same version, writes them ascending. So which wheel pip found for a machine decides the bytes,
# and a Python and a Java program disagree about keys as plain as user and user_id: a content hash, a signature, removal
# of duplicates, or a Kafka record's key (its partition, and compaction) tells equal messages apart. A test with text of
# one length, in one language, doesn't show it; even pure Python and Java part ways, at emoji (bytes of UTF-8 there,
# units of UTF-16 in Java). Instead: compare parsed messages, or hash the fields in an order of your own; as keys, use
# messages without maps.
#
# Seen (Python 3.11.7):
#   protobuf (PyPI) 7.36.2 | protobuf-java 4.36.2 | openjdk version "17.0.15" 2025-04-15
#   map<string, …>, Python (compiled): a b user_id user
#   map<string, …>, Python (pure): a b user user_id
#   map<string, …>, Java: a b user user_id
#   compiled Python, filled in another order: same bytes
#   compiled Python beside Java: other bytes
#   pure Python beside Java: same bytes
#   U+1F600 and U+FF5E, pure Python beside Java: other bytes
#   map<int32, …>, Python (compiled): 3 2 1
#   map<int32, …>, Python (pure): 1 2 3
set -euo pipefail
python=7.36.2 java=4.36.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --target "$work/python" "protobuf==$python"
mvn --quiet --batch-mode dependency:copy -Dartifact="com.google.protobuf:protobuf-java:$java" -DoutputDirectory="$work/jars"

cat >"$work/Keys.java" <<'JAVA'
import com.google.protobuf.*;

public class Keys {
  public static void main(String[] args) throws Exception {
    Struct.Builder message = Struct.newBuilder();
    for (String key : args) message.putFields(key, Value.newBuilder().setBoolValue(true).build());
    byte[] bytes = new byte[message.build().getSerializedSize()];
    CodedOutputStream out = CodedOutputStream.newInstance(bytes);
    out.useDeterministicSerialization();
    message.build().writeTo(out);
    out.flush();
    System.out.println(java.util.HexFormat.of().formatHex(bytes));
  }
}
JAVA
cat >"$work/by_text.py" <<'PYTHON'
import sys

from google.protobuf import struct_pb2

message = struct_pb2.Struct()
for key in sys.argv[1:]:
    message.fields[key].bool_value = True
print(message.SerializeToString(deterministic=True).hex())
PYTHON
cat >"$work/show_order.py" <<'PYTHON'
import sys


def keys(data):
    """The keys in the order of the bytes; every length here is below 128."""
    while data:
        entry, data = data[2:2 + data[1]], data[2 + data[1]:]
        yield entry[2:2 + entry[1]].decode()


print(*keys(bytes.fromhex(sys.argv[1])))
PYTHON
cat >"$work/by_number.py" <<'PYTHON'
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="counts.proto", package="shop", syntax="proto3")
counts = file.message_type.add(name="Counts")
entry = counts.nested_type.add(name="ByIdEntry")
entry.options.map_entry = True
entry.field.add(name="key", number=1, type=Field.TYPE_INT32, label=Field.LABEL_OPTIONAL)
entry.field.add(name="value", number=2, type=Field.TYPE_BOOL, label=Field.LABEL_OPTIONAL)
counts.field.add(name="by_id", number=1, type=Field.TYPE_MESSAGE, type_name=".shop.Counts.ByIdEntry", label=Field.LABEL_REPEATED)
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
message = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Counts"))()
for key in (2, 1, 3):
    message.by_id[key] = True
data = message.SerializeToString(deterministic=True)
print(*(data[at + 3] for at in range(0, len(data), 6)))
PYTHON
javac -cp "$work/jars/*" -d "$work" "$work/Keys.java"
native() { PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=upb PYTHONPATH=$work/python python3 "$@"; }
pure() { PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python PYTHONPATH=$work/python python3 "$@"; }
in_java() { java -cp "$work:$work/jars/*" Keys "$@"; }
echo "protobuf (PyPI) $python | protobuf-java $java | $(java -version 2>&1 | head -1)"

failed=0
seen() {
  echo "$1: $2"
  [ "$2" = "$3" ] || { failed=1 && echo "  this has changed: it was $3"; }
}
order() { native "$work/show_order.py" "$1"; }
ours=$(native "$work/by_text.py" user user_id a b)
seen 'map<string, …>, Python (compiled)' "$(order "$ours")" 'a b user_id user'
theirs=$(pure "$work/by_text.py" user user_id a b)
seen 'map<string, …>, Python (pure)' "$(order "$theirs")" 'a b user user_id'
other=$(in_java user user_id a b)
seen 'map<string, …>, Java' "$(order "$other")" 'a b user user_id'
again=$(native "$work/by_text.py" b a user_id user)
seen 'compiled Python, filled in another order' "$([ "$again" = "$ours" ] && echo 'same bytes' || echo 'other bytes')" 'same bytes'
seen 'compiled Python beside Java' "$([ "$ours" = "$other" ] && echo 'same bytes' || echo 'other bytes')" 'other bytes'
seen 'pure Python beside Java' "$([ "$theirs" = "$other" ] && echo 'same bytes' || echo 'other bytes')" 'same bytes'
astral=$(printf '\xf0\x9f\x98\x80') wide=$(printf '\xef\xbd\x9e')
theirs=$(pure "$work/by_text.py" "$astral" "$wide")
seen 'U+1F600 and U+FF5E, pure Python beside Java' "$([ "$theirs" = "$(in_java "$astral" "$wide")" ] && echo 'same bytes' || echo 'other bytes')" 'other bytes'
seen 'map<int32, …>, Python (compiled)' "$(native "$work/by_number.py")" '3 2 1'
seen 'map<int32, …>, Python (pure)' "$(pure "$work/by_number.py")" '1 2 3'
exit "$failed"
