#!/usr/bin/env bash
# @TOP@
set -euo pipefail
python=7.36.2 java=4.36.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "protobuf==$python"
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
cat >"$work/keys.py" <<'PYTHON'
import sys

from google.protobuf import struct_pb2

message = struct_pb2.Struct()
for key in sys.argv[1:]:
    message.fields[key].bool_value = True
print(message.SerializeToString(deterministic=True).hex())
PYTHON
cat >"$work/show.py" <<'PYTHON'
import sys


def keys(data):
    """The keys in the order of the bytes; every length here is below 128."""
    while data:
        entry, data = data[2:2 + data[1]], data[2 + data[1]:]
        yield entry[2:2 + entry[1]].decode()


print(*keys(bytes.fromhex(sys.argv[1])))
PYTHON
cat >"$work/numbers.py" <<'PYTHON'
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
native() { PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=upb "$work/venv/bin/python" "$@"; }
pure() { PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python "$work/venv/bin/python" "$@"; }
in_java() { java -cp "$work:$work/jars/*" Keys "$@"; }
echo "protobuf (PyPI) $python | protobuf-java $java | $(java -version 2>&1 | head -1)"

failed=0
seen() {
  echo "$1: $2"
  [ "$2" = "$3" ] || { failed=1 && echo "  this has changed: it was $3"; }
}
order() { native "$work/show.py" "$1"; }
ours=$(native "$work/keys.py" user user_id a b)
seen 'map<string, …>, Python (compiled)' "$(order "$ours")" 'a b user_id user'
theirs=$(pure "$work/keys.py" user user_id a b)
seen 'map<string, …>, Python (pure)' "$(order "$theirs")" 'a b user user_id'
other=$(in_java user user_id a b)
seen 'map<string, …>, Java' "$(order "$other")" 'a b user user_id'
again=$(native "$work/keys.py" b a user_id user)
seen 'compiled Python, filled in another order' "$([ "$again" = "$ours" ] && echo 'same bytes' || echo 'other bytes')" 'same bytes'
seen 'compiled Python beside Java' "$([ "$ours" = "$other" ] && echo 'same bytes' || echo 'other bytes')" 'other bytes'
seen 'pure Python beside Java' "$([ "$theirs" = "$other" ] && echo 'same bytes' || echo 'other bytes')" 'same bytes'
astral=$(printf '\xf0\x9f\x98\x80') wide=$(printf '\xef\xbd\x9e')
theirs=$(pure "$work/keys.py" "$astral" "$wide")
seen 'U+1F600 and U+FF5E, pure Python beside Java' "$([ "$theirs" = "$(in_java "$astral" "$wide")" ] && echo 'same bytes' || echo 'other bytes')" 'other bytes'
seen 'map<int32, …>, Python (compiled)' "$(native "$work/numbers.py")" '3 2 1'
seen 'map<int32, …>, Python (pure)' "$(pure "$work/numbers.py")" '1 2 3'
exit "$failed"
