"""Whether values obey the JSON Schema that a contract is printed as: writes json_values.json, which the decoder's tests
hold the decoder against. Run it after the schema's snapshot changed:

    python3 -m venv v && v/bin/pip install jsonschema && v/bin/python json_values.py

Numbers are exact here (decimal.Decimal), as JSON Schema's are; a validator that reads doubles rounds them first.
"""

import json
import pathlib
import random
import re
from decimal import Decimal

from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

HERE = pathlib.Path(__file__).parent
SNAPSHOT = HERE.parent / "src/snapshots/headworks_schema__json_schema__tests__every_type_is_said_in_json_schema.snap"


def integer(_, value):
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or isinstance(value, Decimal) and value == value.to_integral_value()


def pattern(_, wanted, value, __):
    # Of ECMA 262: its $ is the end, and not also the place before a last line end.
    if isinstance(value, str) and not re.search(wanted.replace("$", r"\Z"), value):
        yield ValidationError("pattern")


Validator = extend(Draft7Validator, validators={"pattern": pattern}, type_checker=Draft7Validator.TYPE_CHECKER.redefine("integer", integer))

ANY = ["null", "true", "false", "0", "-0", "1", '""', '"x"', "[]", "{}", "[1]", '{"a":1}']
INTEGERS = [
    "1.0", "1.5", "-1.0", "-0.0", "1e2", "1E2", "1e+2", "1e-2", "100e-2", "120e-1", "12e-1", "0e5", "0.0e-5", "1.50e1", "1.5e1", "15e-1",
    "2147483647", "2147483648", "-2147483648", "-2147483649", "2147483647.0", "2.147483647e9", "2147483647.5", "21474836470e-1",
    "9007199254740993", "9007199254740993.0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "9223372036854775807.0", "9223372036854775807.5", "9.223372036854775807e18", "9.223372036854775808e18", "-9.223372036854775808e18",
    "1000000000000000000000", "1e18", "1e19", "1e400", "-1e400", "1e-400", "1e999", "0e999", "1.00000000000000000000000000000000000000000001",
    "1.00000000000000000000000000000000000000000000", "123456789012345678901234567890", "0.99999999999999999999999999",
]
STRINGS = [
    '"0"', '"-0"', '"7"', '"007"', '"-7"', '"+7"', '"1.0"', '"1e2"', '" 7"', '"7 "', '"-"', '"9223372036854775807"', '"9223372036854775808"',
    '"-9223372036854775808"', '"-9223372036854775809"', '"09223372036854775807"', '"00009223372036854775808"', '"9199999999999999999"',
    '"9223372036854775799"', '"9223372036854775810"', '"99999999999999999999"', '"1000000000000000000"', '"10000000000000000000"', '"\\u0031\\u0032"', '"٣"',
]
DECIMALS = [
    '"12.50"', '"12.5"', '"12.500000"', '"12.505"', '"-12.5"', '"0012.5"', '"12."', '".5"', '"+1"', '"1,5"', '"1e2"', '"1E-2"', '"1e"', '"1e+2"',
    '"9999999999.99"', '"10000000000"', '"-9999999999.99"', '"99999"', '"100000"', '"0.999"', '"1.000"', '"0.9990"', '"0.9999"', '"00.5"', '"0"', '"0.0"', '"-0.00"', '"NaN"',
    '"9999999999999999999999999999.9999999999"', '"10000000000000000000000000000"',
    "12.5", "12.50", "-0.01", "9999999999.99", "9999999999", "10000000000", "-10000000000", "99999", "99999.0", "100000", "-99999", "0.999", "1.000", "0.5", "1e2", "1e9", "1e10", "1e5", "1e4", "1e27", "1e28", "5e-1",
]
DOUBLES = ["1.5", "0.1", "1e300", "1e308", "1.7976931348623157e308", "1.8e308", "-1.8e308", "5e-324", "1e-400", "3.4028234663852886e38", "3.4028235e38", "3.4028235677973365e38", "3.4028235677973367e38", "3.5e38", "-3.5e38", "1e39", '"NaN"', '"1"']
BASE64 = ['"AP8="', '"AP8"', '"A P8="', '"AA=="', '"AB=="', '"AAA="', '"AAB="', '"AAAA"', '"AAAAA"', '"A-_="', '"===="', '"AP8=\\n"', '"aGVsbG8="']
DAYS = ['"2026-01-31"', '"2026-1-31"', '"2026-13-01"', '"2026-00-01"', '"2026-01-00"', '"2026-01-32"', '"0000-01-01"', '"0001-01-01"', '"9999-12-31"', '"10000-01-01"', '"-001-01-01"', '"2024-02-29"', '"2026-02-30"', '"20260131"', '"0100-01-01"', '"0010-01-01"', '"2026-01-31 "', '"2026-01-31Z"']
TIMES = ['"00:00:00"', '"23:59:59"', '"24:00:00"', '"23:60:00"', '"23:59:60"', '"12:00"', '"1:00:00"', '"12:00:00.1"', '"12:00:00."', '"12:00:00.123456789012"', '"12:00:00,5"', '"12:00:00Z"', '"12:00:00\\n"']
ZONES = ["", "Z", "z", "+01:00", "-23:59", "+24:00", "+01", "+0100", " Z", "+01:60"]


def stamps():
    made = []
    for day in ("2026-01-31", "0000-01-31", "2026-13-31", "9999-12-31", "0001-01-02"):
        for between in ("T", "t", " ", "  ", ""):
            for time in ("12:00:00", "12:00:00.5", "24:00:00", "12:00"):
                zone = ZONES[len(made) % len(ZONES)]
                made.append(json.dumps(day + between + time + zone))
    made += [json.dumps(f"2026-01-31T12:00:00{zone}") for zone in ZONES]
    return made + ['"0001-01-01T00:00:00+01:00"', '"2026-02-30T00:00:00Z"', '"2026-02-30T00:00:00"']


def chance(dice):
    digits = "".join(dice.choice("0000123456789") for _ in range(dice.randint(1, 24))).lstrip("0") or "0"
    text = dice.choice(["", "-"]) + digits
    if dice.random() < 0.5:
        text += "." + "".join(dice.choice("000001234569") for _ in range(dice.randint(1, 12)))
    if dice.random() < 0.4:
        text += dice.choice("eE") + dice.choice(["", "+", "-"]) + str(dice.randint(0, 30))
    return text


def values(type_, dice):
    numbers = [chance(dice) for _ in range(40)]
    quoted = [json.dumps(n) for n in numbers[:20]]
    if type_ in ("int", "bigint"):
        return INTEGERS + STRINGS + numbers + quoted
    if type_.startswith("decimal"):
        return DECIMALS + INTEGERS[:16] + numbers + quoted
    if type_ in ("float", "double"):
        return DOUBLES + INTEGERS + numbers
    if type_ == "bytes":
        return BASE64
    if type_ == "date":
        return DAYS
    if type_ == "time":
        return TIMES
    if type_.startswith("timestamp"):
        return stamps()
    if type_.startswith("array"):
        return [f"[{n}]" for n in INTEGERS[:12]] + ["[null]", "[1,null,2]", "[[1]]"]
    if type_.startswith("map"):
        return ['{"a":1e2}', '{"a":null}', '{"a":"7"}', '{"a":1.5}', '{"a":{}}']
    if type_.startswith("struct"):
        return ['{"x":1}', '{"x":1e0}', '{"x":null}', '{"y":1}', '{"x":1,"y":"1.5"}', '{"x":1,"y":1000}', '{"x":1,"z":5}', '{"x":-0}']
    return ["1.5", '"\\u00e9"', '"true"']


def main():
    schema = json.loads(SNAPSHOT.read_text(encoding="utf-8").split("\n---\n", 1)[1])
    validator = Validator(schema)
    dice = random.Random(12)
    cases = []
    for type_ in sorted(schema["properties"]):
        for text in dict.fromkeys(ANY + values(type_, dice)):
            record = json.loads(f'{{{json.dumps(type_)}:{text}}}', parse_float=Decimal)
            cases.append([type_, text, validator.is_valid(record)])
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / "json_values.json").write_text(f'{{"schema": {json.dumps(schema)},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(len(cases), "values,", sum(case[2] for case in cases), "obey the schema")


main()
