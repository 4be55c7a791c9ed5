"""A real Flink, asked from Python: contracts become tables, Answers.java answers."""
import glob, json, os, re, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def flink_type(ours):
    """struct<a int, b array<string>> as Flink writes it, with quoted names."""
    ours = ours.strip()
    head, _, inner = ours.partition("<")
    if not inner:
        return "TIME(3)" if ours == "time" else ours.upper()
    parts, depth = [""], 0
    for c in inner[:-1]:
        depth += (c in "<(") - (c in ">)")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    if head == "struct":
        fields = (re.split(r"[ :]+", p.strip(), maxsplit=1) for p in parts)
        return "ROW<" + ", ".join(f"`{name}` {flink_type(kind)}" for name, kind in fields) + ">"
    return head.upper() + "<" + ", ".join(flink_type(p) for p in parts) + ">"


def table(name, fields, event_time=None, disorder=0, rows=(), work=".", key=()):
    """The statement that makes a table of (name, type, nullable); its rows are lists of JSON values."""
    folder = f"{work}/{name}"
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/rows.json", "w") as file:
        for row in rows:
            file.write(json.dumps(dict(zip((f[0] for f in fields), row, strict=True))) + "\n")
    columns = [f"`{n}` {flink_type(kind)}{'' if nullable else ' NOT NULL'}" for n, kind, nullable in fields]
    if event_time:
        days, clock = divmod(disorder, 86400)
        late = f"{days} {clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        columns.append(f"WATERMARK FOR `{event_time}` AS `{event_time}` - INTERVAL '{late}' DAY TO SECOND")
    if key:
        columns.append(f"PRIMARY KEY ({', '.join(f'`{k}`' for k in key)}) NOT ENFORCED")
    return (f"CREATE TABLE `{name}` ({', '.join(columns)}) WITH ('connector' = 'filesystem', 'path' = 'file://{folder}', "
            "'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601')")


def ask(tables, queries, settings={}):
    """Answers to [{name, sql, plan}], in that order. `tables` is given a folder for the rows; `settings` are Flink's options."""
    lib = os.environ["FLINK_LIB"]
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["javac", "-d", work, "-cp", lib + "/*", HERE + "/Answers.java"], check=True)
        with open(work + "/asked", "w") as file:
            json.dump({"settings": settings, "setup": tables(work), "queries": queries}, file)
        opens = [o for p in ("lang", "util", "time") for o in ("--add-opens", f"java.base/java.{p}=ALL-UNNAMED")]
        subprocess.run(["java", *opens, f"-Djava.io.tmpdir={work}", "-cp", f"{work}:{lib}/*", "Answers", work + "/asked", work + "/answers"], check=True)
        return json.load(open(work + "/answers"))
