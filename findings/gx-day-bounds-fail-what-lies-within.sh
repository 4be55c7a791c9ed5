#!/usr/bin/env bash
# Great Expectations 1.24.0 reads a bound of expect_column_values_to_be_between that looks like a day ("2026-01-01") as
# a date, whatever the column holds. You'd expect a bound to be taken in the column's own type, as SQL takes a literal,
# or a refusal. But a column of timestamps can't be compared with a date in pandas 3, and the expectation answers
# success: False with the error in exception_info, for rows that lie well within; a column of texts such as
# "2026-01-15", which sorts between the bounds, fails without any error. A suite that was written for timestamps so
# says that all its data is bad, and who only looks at success quarantines it. Instead: write bounds with a time
# ("2026-01-01T00:00:00") for timestamps, and compare texts by a pattern or as dates.
#
# Seen (Python 3.11):
#   great_expectations 1.24.0 | pandas 3.1.1
#   timestamps, bounds are days: success False, error True
#   dates, bounds are days: success True, error False
#   texts, bounds are days: success False, error False
#   timestamps, bounds have a time: success True, error False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --target "$work/python" great_expectations==1.24.0 pandas==3.1.1
cat > "$work/seen.py" <<'PYTHON'
import great_expectations as gx
import pandas as pd

context = gx.get_context(mode="ephemeral")
asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
batches = asset.add_batch_definition_whole_dataframe("b")


def judged(values, low, high):
    frame = pd.DataFrame({"t": values})
    between = gx.expectations.ExpectColumnValuesToBeBetween(column="t", min_value=low, max_value=high)
    result = batches.get_batch({"dataframe": frame}).validate(between)
    return f"success {result.success}, error {'Cannot compare' in str(result.exception_info)}"


days = ("2026-01-01", "2026-01-31")
times = ("2026-01-01T00:00:00", "2026-01-31T00:00:00")
stamps = pd.to_datetime(["2026-01-15T12:00:00"])
print("great_expectations", gx.__version__, "| pandas", pd.__version__)
print("timestamps, bounds are days:", judged(stamps, *days))
print("dates, bounds are days:", judged([pd.Timestamp("2026-01-15").date()], *days))
print("texts, bounds are days:", judged(["2026-01-15"], *days))
print("timestamps, bounds have a time:", judged(stamps, *times))
PYTHON
PYTHONPATH=$work/python python3 "$work/seen.py" 2> "$work/errors" | tee "$work/seen" || { cat "$work/errors" >&2; exit 1; }
sed -n 's/^#   //p' "$0" | diff - "$work/seen" || { echo "it behaves otherwise by now" >&2; exit 1; }
