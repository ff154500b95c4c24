#!/usr/bin/env python3
"""`make compare`: the engine beside DuckDB and Flink SQL, the same queries over the same CITY-1 file.

DuckDB's answers are the truth: every window's last revision of the engine must be equal to them, the p95
within its stated error. Then all run in turn, and what counts is CPU seconds a million events, of
Flink without what it takes to start (the same job over a thousand lines). What cannot be installed is
passed over with the reason.

EVENTS (10,000,000 lines), RUNS (5), FLINK=no; SERENO_CORE_BENCH names a built core benchmark. Packages go into a virtual
environment in SERENO_CACHE; Flink needs Java 17.
"""

import csv
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SENSORS = "100000"
LINES = os.environ.get("EVENTS", "10000000")
RUNS = int(os.environ.get("RUNS", "5"))
PARALLELISM = "2"
# Lines of which Flink's start is measured.
FEW = 1_000
# Both quantiles are within 0.5 % of the same value.
QUANTILES_APART = 0.0051
# Times Flink's CPU.
MUST_FLINK, AIM_FLINK = 10, 25


def core_bench():
    """The built core benchmark."""
    if named := os.environ.get("SERENO_CORE_BENCH"):
        return named
    build = ["cargo", "bench", "--workspace", "--locked", "--bench", "core", "--no-run", "--message-format=json"]
    told = subprocess.run(build, stdout=subprocess.PIPE, check=True, cwd=HERE.parent.parent)
    artifacts = [json.loads(line) for line in told.stdout.splitlines()]
    return next(a["executable"] for a in artifacts if a.get("target", {}).get("name") == "core" and a.get("executable"))


def packages():
    """The environment's Python, and of each package whether it is there; says why not."""
    cache = Path(os.environ.get("SERENO_CACHE", Path.home() / ".cache" / "sereno")) / "compare"
    python = cache / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True)
    there = {}
    for package, module in [("duckdb", "duckdb"), ("apache-flink", "pyflink")]:
        if package == "apache-flink" and os.environ.get("FLINK") == "no":
            print("Flink: passed over, FLINK=no")
        elif package == "apache-flink" and not shutil.which("java"):
            print("Flink: passed over, there is no java")
        elif not (there_already := has(python, module)):
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            told = subprocess.run(install, capture_output=True, text=True)
            there[module] = told.returncode == 0
            if told.returncode:
                print(f"{package}: passed over, pip install: {told.stderr.strip().splitlines()[-1:]}")
        else:
            there[module] = there_already
    return str(python), there


def has(python, module):
    return subprocess.run([str(python), "-c", f"import {module}"], capture_output=True).returncode == 0


def run(*command, **settings):
    """What a command printed; ends everything if it fails."""
    told = subprocess.run([str(word) for word in command], capture_output=True, text=True, **settings)
    if told.returncode:
        sys.exit(f"{command}: {told.stdout}{told.stderr}")
    return told.stdout


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


def windows(file):
    """Fields of each window by (name, key, start)."""
    with open(file, newline="") as lines:
        rows = csv.reader(lines)
        return {(row[0], row[1], row[2]): [float(field) for field in row[3:] if field] for row in rows}


def compare(engine, truth):
    """Every window, and every field of it."""
    if engine.keys() != truth.keys():
        missing, more = truth.keys() - engine.keys(), engine.keys() - truth.keys()
        sys.exit(f"windows: {len(missing)} missing {sorted(missing)[:3]}, {len(more)} too many {sorted(more)[:3]}")
    furthest = 0.0
    for place, fields in truth.items():
        own = list(engine[place])
        if place[0] == "b":
            p95 = fields.pop()
            furthest = max(furthest, abs(own.pop() / p95 - 1))
        if own != fields:
            sys.exit(f"{place}: the engine says {own}, DuckDB {fields}")
    if furthest > QUANTILES_APART:
        sys.exit(f"a p95 is {furthest:.2%} off")
    print(f"{len(truth):,} windows, all equal; p95 at most {furthest:.3%} off")


def load():
    return Path("/proc/loadavg").read_text().split()[0]


def main():
    core, (python, there) = core_bench(), packages()
    duck = there.get("duckdb")
    with tempfile.TemporaryDirectory() as folder:
        file, few = Path(folder) / "city1.ndjson", Path(folder) / "few.ndjson"
        run(core, "write", SENSORS, file, env={**os.environ, "SERENO_BENCH_LINES": LINES})
        with open(file, "rb") as lines, open(few, "wb") as out:
            out.writelines(itertools.islice(lines, FEW))
        measure(core, python, there, file, few, check(core, python, file, Path(folder)) if duck else None)


def check(core, python, file, folder):
    """Engine and DuckDB say the same; how many events there are."""
    truth = last_json(run(python, HERE / "duck.py", file, folder / "truth.csv"))
    run(core, "last", file, folder / "engine.csv")
    compare(windows(folder / "engine.csv"), windows(folder / "truth.csv"))
    if truth["alerts"]:
        sys.exit("no mean of this load is above 55")
    return truth["events"]


def measure(core, python, there, file, few, events):
    """All of them in turn."""
    millions = (events or int(LINES)) / 1e6
    print(f"{millions:.3f} million events, load average {load()}")
    start = []
    if there.get("pyflink"):
        start = [last_json(run(python, HERE / "flink.py", few, PARALLELISM))["cpu"] for _ in range(3)]
        print(f"Flink's start: {statistics.median(start):.1f} CPU seconds")
    cpu = {"engine": []}
    for number in range(1, RUNS + 1):
        own = {"engine": float(run(core, "once", "flow", file).split()[-2])}
        if there.get("duckdb"):
            own["DuckDB"] = last_json(run(python, HERE / "duck.py", file))["cpu"]
        if start:
            own["Flink"] = last_json(run(python, HERE / "flink.py", file, PARALLELISM))["cpu"] - statistics.median(start)
        for name, seconds in own.items():
            cpu.setdefault(name, []).append(seconds / millions)
        print(f"  run {number}: " + ", ".join(f"{name} {all[-1]:.2f}" for name, all in cpu.items()))
    print(f"\n{'CPU seconds a million events':<32} {'median':>8} {'smallest .. largest':>21}  load average {load()}")
    for name, values in cpu.items():
        print(f"{name:<32} {statistics.median(values):>8.2f} {min(values):>10.2f} .. {max(values):.2f}")
    verdicts(cpu)
    print(json.dumps({"lines": int(LINES), "cpu_seconds_a_million": cpu, "load": load()}))


def verdicts(cpu):
    for name, must in [("Flink", MUST_FLINK), ("DuckDB", 1)]:
        if name in cpu:
            ratios = [other / own for other, own in zip(cpu[name], cpu["engine"])]
            ratio = statistics.median(ratios)
            met = "met" if ratio >= must else "NOT MET"
            aim = f", aim {AIM_FLINK}" if name == "Flink" else ""
            print(f"{name} over engine: {ratio:.2f} x ({min(ratios):.2f} to {max(ratios):.2f}), must {must}{aim}: {met}")


main()
