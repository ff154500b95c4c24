"""CITY-1's queries as a batch job of DuckDB over the same file: the truth, and its CPU time.

`duck.py FILE [OUT]` prints JSON: events, CPU seconds, seconds. With OUT, every window goes there as CSV:
name, key, start in milliseconds, fields in the order of their names.

Values are whole numbers of tenths, so that sums are exact and a mean is rounded once. The p95 is the value
of rank floor(0.95 (n - 1)), exactly; it comes from counts of values by zone and minute, which is the
quickest way.
"""

import json
import sys
import time

import duckdb

READ = """
CREATE TEMP TABLE event AS
SELECT id, zona, epoch_ms(CAST(t AS TIMESTAMPTZ)) // 60000 AS minute, CAST(round(pm25 * 10) AS BIGINT) AS v
FROM read_json('{file}', format = 'newline_delimited', ignore_errors = true,
     columns = {{id: 'VARCHAR', t: 'VARCHAR', zona: 'VARCHAR', pm25: 'DOUBLE'}})
WHERE id IS NOT NULL AND t IS NOT NULL AND zona IS NOT NULL AND pm25 IS NOT NULL
"""

A = """
CREATE TEMP TABLE a AS
SELECT id, minute, count(*) AS n, max(v) / 10 AS high, sum(v)::DOUBLE / (count(*) * 10) AS mean, min(v) / 10 AS low
FROM event GROUP BY id, minute
"""

B = """
CREATE TEMP TABLE b AS
WITH counted AS (SELECT zona, minute, v, count(*) AS n FROM event GROUP BY zona, minute, v),
hopped AS (
    SELECT zona, minute - back AS start, v, sum(n) AS n
    FROM counted, generate_series(0, 4) AS hops(back) GROUP BY zona, start, v
),
ranked AS (
    SELECT *, sum(n) OVER (PARTITION BY zona, start ORDER BY v) AS upto, sum(n) OVER (PARTITION BY zona, start) AS n_all
    FROM hopped
)
SELECT zona, start, max(v) / 10 AS high, sum(v * n)::DOUBLE / (sum(n) * 10) AS mean,
       min(v) FILTER (upto > (n_all - 1) * 95 // 100) / 10 AS p95
FROM ranked GROUP BY zona, start
"""

C = """
CREATE TEMP TABLE c AS
SELECT id, minute FROM (
    SELECT id, minute, mean,
           lag(mean, 1) OVER w AS mean1, lag(minute, 1) OVER w AS minute1,
           lag(mean, 2) OVER w AS mean2, lag(minute, 2) OVER w AS minute2
    FROM a WINDOW w AS (PARTITION BY id ORDER BY minute)
) WHERE mean > 55 AND mean1 > 55 AND mean2 > 55 AND minute1 = minute - 1 AND minute2 = minute - 2
"""

OUT = """
COPY (
    SELECT 'a', id, minute * 60000, n, high, mean, low FROM a
    UNION ALL SELECT 'b', zona, start * 60000, NULL, high, mean, p95 FROM b
) TO '{out}' (FORMAT csv, HEADER false)
"""


def main(file, out=None):
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET TimeZone = 'UTC'")
    began, cpu = time.monotonic(), time.process_time()
    connection.execute(READ.format(file=file))
    for query in (A, B, C):
        connection.execute(query)
    cpu, seconds = time.process_time() - cpu, time.monotonic() - began
    events = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    alerts = connection.execute("SELECT count(*) FROM c").fetchone()[0]
    if out:
        connection.execute(OUT.format(out=out))
    print(json.dumps({"events": events, "alerts": alerts, "cpu": cpu, "seconds": seconds}))


main(*sys.argv[1:])
