"""Only one SELECT over the views may run, whatever else it is dressed as."""

import datetime as dt
import uuid

import duckdb
import pytest

from storage.sql.sandbox import open_duckdb
from storage.sql.statement import Refused, check

REFUSED = {
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_csv": "SELECT * FROM read_csv('/etc/passwd', sep = ':')",
    "read_blob": "SELECT content FROM read_blob('/proc/self/environ')",
    "read_json": "SELECT * FROM read_json_auto('/etc/os-release')",
    "read_parquet": "SELECT * FROM read_parquet('logs/**/*.parquet')",
    "parquet_metadata": "SELECT * FROM parquet_metadata('0')",
    "sniff_csv": "FROM sniff_csv('/etc/passwd')",
    "glob": "SELECT * FROM glob('/etc/*')",
    "http": "SELECT * FROM read_csv('http://127.0.0.1:4200/api/health')",
    "s3": "SELECT * FROM 's3://bucket/logs/x.parquet'",
    "file after from": "SELECT * FROM '/etc/passwd.csv'",
    "file as a name": 'SELECT * FROM "data.parquet"',
    "python variable": "SELECT * FROM connection",
    "python variable of the process": "SELECT * FROM ask",
    "what logs is made of": "SELECT * FROM tailrace_segments",
    "qualified": "SELECT * FROM memory.main.tailrace_hot",
    "query": "SELECT * FROM query('SELECT 1')",
    "query_table": "SELECT * FROM query_table('tailrace_hot')",
    "copy to a file": "COPY (SELECT 1) TO '/tmp/tailrace_escape.csv'",
    "copy to standard output": "COPY (SELECT 1) TO '/dev/stdout'",
    "copy from": "COPY logs FROM '/etc/passwd'",
    "attach": "ATTACH '/tmp/tailrace_escape.db' AS x",
    "attach postgres": "ATTACH 'host=127.0.0.1' AS pg (TYPE postgres)",
    "detach": "DETACH memory",
    "use": "USE system",
    "export": "EXPORT DATABASE '/tmp/tailrace_escape'",
    "import": "IMPORT DATABASE '/tmp/tailrace_escape'",
    "install": "INSTALL httpfs",
    "install from a host": "INSTALL x FROM 'http://127.0.0.1:1'",
    "load": "LOAD httpfs",
    "load a file": "LOAD '/tmp/x.duckdb_extension'",
    "set": "SET enable_external_access = true",
    "set in a second statement": "SELECT 1; SET lock_configuration = false",
    "reset": "RESET lock_configuration",
    "pragma": "PRAGMA database_list",
    "pragma function": "SELECT * FROM pragma_storage_info('logs')",
    "call": "CALL pragma_version()",
    "create secret": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "settings": "SELECT * FROM duckdb_settings()",
    "logs of duckdb": "SELECT * FROM duckdb_logs",
    "databases": "SELECT * FROM information_schema.tables",
    "sqlite_master": "SELECT * FROM sqlite_master",
    "show tables": "SHOW ALL TABLES",
    "current_setting": "SELECT current_setting('secret_directory')",
    "getvariable": "SELECT getvariable('x')",
    "getenv": "SELECT getenv('HOME')",
    "function of a schema": "SELECT system.main.current_setting('threads')",
    "create table": "CREATE TABLE t AS SELECT 1",
    "create table in a comment's shadow": "/* SELECT */ CREATE TABLE t (i INTEGER) -- SELECT",
    "create macro": "CREATE MACRO f() AS TABLE SELECT * FROM glob('/*')",
    "macro in a second statement": "CREATE MACRO f(x) AS x; SELECT f(1)",
    "create view": "CREATE VIEW v AS SELECT 1",
    "drop": "DROP VIEW logs",
    "insert": "INSERT INTO runs SELECT * FROM runs",
    "delete": "DELETE FROM logs",
    "update": "UPDATE runs SET name = 'x'",
    "prepare": "PREPARE p AS SELECT 1",
    "execute": "EXECUTE p",
    "parameters": "SELECT ?",
    "explain of a copy": "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/tailrace_escape.csv'",
    "explain of an explain": "EXPLAIN EXPLAIN SELECT 1",
    "a file in a subquery": "SELECT (SELECT content FROM read_text('/etc/passwd')) FROM logs",
    "a file in a CTE": "WITH x AS (FROM read_text('/etc/passwd')) SELECT 1 FROM x",
    "a file in a set operation": "SELECT 'a' UNION ALL SELECT content FROM read_text('/etc/passwd')",
    "a file in an order": "SELECT 1 ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
    "a file in a lateral join": "FROM logs, LATERAL (FROM read_text('/etc/' || logs.name))",
    "a file in a described query": "DESCRIBE FROM read_text('/etc/passwd')",
    "unicode spaces": "SELECT\u00a0*\u2003FROM\u00a0read_text('/etc/passwd')",
    "quoted function": "SELECT * FROM \"read_text\"('/etc/passwd')",
    "upper case": "SELECT * FROM READ_TEXT('/etc/passwd')",
    "nul": "SELECT 1\x00; ATTACH 'x'",
    "checkpoint": "CHECKPOINT",
    "transaction": "BEGIN",
    "vacuum": "VACUUM",
    "nothing": "",
    "only a comment": "-- SELECT 1",
    "too long": "SELECT '" + "x" * 200_000 + "'",
    "nested too deeply": "SELECT " + "abs(" * 5000 + "1" + ")" * 5000,
    "an expression without end": "SELECT 1" + " + 1" * 20_000,
    "nested selects": "SELECT * FROM " + "(SELECT * FROM " * 500 + "logs" + ")" * 500,
}
ALLOWED: dict[str, list[str]] = {
    "SELECT 1": [],
    "select count(*) from logs;": ["logs"],
    "FROM runs": ["runs"],
    "TABLE flows": ["flows"],
    "VALUES (1), (2)": [],
    "DESCRIBE logs": ["logs"],
    "SUMMARIZE runs": ["runs"],
    "EXPLAIN SELECT * FROM logs": ["logs"],
    "explain analyze select * from logs": ["logs"],
    "WITH x AS (SELECT * FROM logs) SELECT * FROM x JOIN runs ON x.flow_run_id = runs.id": [
        "logs",
        "runs",
    ],
    "SELECT (SELECT count(*) FROM task_runs) FROM deployments": ["deployments", "task_runs"],
    "SELECT * FROM logs, LATERAL (SELECT unnest([1, 2]))": ["logs"],
    "SELECT i FROM range(10) AS t(i) UNION ALL SELECT level FROM LOGS": ["logs"],
    "PIVOT (SELECT name, level FROM logs) ON level IN (20, 40) USING count(*)": ["logs"],
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) FROM t": [],
    "SELECT * FROM logs QUALIFY row_number() OVER (PARTITION BY flow_run_id) = 1": ["logs"],
    "SELECT * FROM runs SEMI JOIN logs ON runs.id = flow_run_id AND level >= 40": ["logs", "runs"],
    "/* read_text */ SELECT 'COPY x TO y; ATTACH z' -- SET a = b": [],
}
RUN = uuid.UUID(int=7)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return open_duckdb()


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED.keys())
def test_anything_but_a_select_over_the_views_is_refused(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with pytest.raises(Refused):
        check(connection, sql)


@pytest.mark.parametrize(("sql", "views"), ALLOWED.items(), ids=range(len(ALLOWED)))
def test_a_select_says_which_views_it_reads(
    connection: duckdb.DuckDBPyConnection, sql: str, views: list[str]
) -> None:
    wanted = check(connection, sql)
    assert sorted([*wanted.tables, *["logs"] * wanted.logs]) == views


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT count(*) FROM flows", ["id"]),
        ("SELECT Name FROM flows AS f WHERE f.created > now()", ["id", "name", "created"]),
        ("SELECT max(len(tags)) FROM flows JOIN runs USING (id, name)", ["id", "name", "tags"]),
        *(
            (sql, ["id", "name", "created", "tags"])
            for sql in (
                "FROM flows",
                "SELECT f.* FROM flows AS f",
                "SELECT COLUMNS('n.*') FROM flows",
                "SELECT flows FROM flows",
                "SELECT to_json(f) FROM flows AS f",
                "SELECT 1 FROM flows NATURAL JOIN runs",
                "SUMMARIZE flows",
                "SELECT 1 FROM (FROM flows)",
            )
        ),
    ],
    ids=range(11),
)
def test_the_columns_that_a_statement_may_need_are_known(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: list[str]
) -> None:
    assert check(connection, sql).tables["flows"] == columns


@pytest.mark.parametrize(
    "where",
    [
        f"flow_run_id = '{RUN}'",
        f"l.flow_run_id = '{RUN}'::UUID AND level > 20 AND (name = 'a' OR name = 'b')",
        f"flow_run_id IN ('{RUN}', '{uuid.UUID(int=8)}') AND flow_run_id = '{RUN}'",
    ],
)
def test_the_runs_that_a_statement_names_are_known(
    connection: duckdb.DuckDBPyConnection, where: str
) -> None:
    assert check(connection, f"SELECT * FROM logs AS l WHERE {where}").runs == [RUN]


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT * FROM logs WHERE flow_run_id = '{RUN}' OR level = 40",
        f"SELECT * FROM logs WHERE NOT (flow_run_id = '{RUN}')",
        f"SELECT * FROM logs WHERE flow_run_id <> '{RUN}'",
        f"SELECT * FROM logs WHERE task_run_id = '{RUN}'",
        f"SELECT flow_run_id = '{RUN}' FROM logs",
        f"SELECT * FROM logs WHERE flow_run_id NOT IN ('{RUN}')",
        f"SELECT * FROM logs AS a(x, flow_run_id) WHERE flow_run_id = '{RUN}'",
        f"FROM runs LEFT JOIN (SELECT * FROM logs) AS l ON true WHERE l.flow_run_id = '{RUN}'",
        f"SELECT count(*) FILTER (flow_run_id = '{RUN}') FROM logs",
        f"SELECT * FROM logs WHERE flow_run_id = '{RUN}' UNION ALL SELECT * FROM logs",
        f"SELECT flow_run_id FROM logs GROUP BY 1 HAVING flow_run_id = '{RUN}'",
    ],
    ids=range(11),
)
def test_a_run_that_does_not_bound_a_statement_is_not_taken_for_one_that_does(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    assert check(connection, sql).runs is None


def test_the_times_that_a_statement_names_are_known(connection: duckdb.DuckDBPyConnection) -> None:
    wanted = check(
        connection,
        "SELECT * FROM logs WHERE timestamp >= '2026-11-24' AND level = 40"
        " AND timestamp < TIMESTAMPTZ '2026-11-24 12:00:00+02'",
    )
    margin = dt.timedelta(milliseconds=1)
    assert wanted.after == dt.datetime(2026, 11, 24, tzinfo=dt.UTC) - margin
    assert wanted.before == dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC) + margin
