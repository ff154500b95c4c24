"""CITY-1's queries by Flink SQL over the same file, as a stream with event times: its CPU time.

`flink.py FILE PARALLELISM` prints JSON: CPU seconds of the Java process with all of the job, seconds. Rows
go to the connector that drops them. Windows are closed by a watermark 30 s behind; what comes later is
dropped, for these windows take no late readings, so that Flink does less than the others here.
"""

import json
import os
import sys
import time

from pyflink.table import EnvironmentSettings, TableEnvironment

TABLES = [
    """
CREATE TABLE event (
    id STRING, t STRING, zona STRING, pm25 DOUBLE,
    event_at AS TO_TIMESTAMP(SUBSTRING(t FROM 1 FOR 23), 'yyyy-MM-dd''T''HH:mm:ss.SSS'),
    WATERMARK FOR event_at AS event_at - INTERVAL '30' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{file}', 'format' = 'json', 'json.ignore-parse-errors' = 'true')
""",
    """
CREATE TABLE out_a (id STRING, start_at TIMESTAMP(3), n BIGINT, high DOUBLE, mean DOUBLE, low DOUBLE)
WITH ('connector' = 'blackhole')
""",
    """
CREATE TABLE out_b (zona STRING, start_at TIMESTAMP(3), high DOUBLE, mean DOUBLE, p95 DOUBLE)
WITH ('connector' = 'blackhole')
""",
    "CREATE TABLE out_c (id STRING, since TIMESTAMP(3)) WITH ('connector' = 'blackhole')",
    """
CREATE VIEW a AS
SELECT id, window_start, window_time, COUNT(*) AS n, MAX(pm25) AS high, AVG(pm25) AS mean, MIN(pm25) AS low
FROM TABLE(TUMBLE(TABLE event, DESCRIPTOR(event_at), INTERVAL '1' MINUTE))
GROUP BY id, window_start, window_end, window_time
""",
]

INSERTS = [
    "INSERT INTO out_a SELECT id, window_start, n, high, mean, low FROM a",
    """
INSERT INTO out_b SELECT zona, window_start, MAX(pm25), AVG(pm25), PERCENTILE(pm25, 0.95)
FROM TABLE(HOP(TABLE event, DESCRIPTOR(event_at), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))
GROUP BY zona, window_start, window_end
""",
    """
INSERT INTO out_c SELECT id, since FROM a MATCH_RECOGNIZE (
    PARTITION BY id ORDER BY window_time
    MEASURES FIRST(high.window_start) AS since
    ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
    PATTERN (high{3}) DEFINE high AS high.mean > 55
)
""",
]


def java():
    """The processes that this one started, and theirs."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(pid)] = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return own - {os.getpid()}


def cpu():
    """CPU seconds of those."""
    ticks = 0
    for pid in java():
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main(file, parallelism):
    began = time.monotonic()
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("parallelism.default", parallelism)
    tables.get_config().set("taskmanager.numberOfTaskSlots", parallelism)
    for statement in TABLES:
        tables.execute_sql(statement.replace("{file}", file))
    inserts = tables.create_statement_set()
    for statement in INSERTS:
        inserts.add_insert_sql(statement)
    inserts.execute().wait()
    print(json.dumps({"cpu": cpu(), "seconds": time.monotonic() - began}))


main(*sys.argv[1:])
