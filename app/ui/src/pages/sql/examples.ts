/** Statements that are of use on the first day. */

export interface Example {
  name: string;
  sql: string;
}

export const EXAMPLES: Example[] = [
  {
    name: 'Lines by level in the last day',
    sql: `SELECT level_name, count(*) AS lines
FROM logs
WHERE timestamp >= now() - INTERVAL 1 DAY
GROUP BY ALL
ORDER BY lines DESC`,
  },
  {
    name: 'Runs with the most errors in the last week',
    sql: `SELECT r.flow_name, r.name, flow_run_id, count(*) AS errors, max(timestamp) AS last_error
FROM logs
JOIN runs AS r ON r.id = flow_run_id
WHERE level >= 40 AND timestamp >= now() - INTERVAL 7 DAY
GROUP BY ALL
ORDER BY errors DESC
LIMIT 20`,
  },
  {
    name: 'Errors that say the same, most frequent first',
    sql: `SELECT regexp_replace(split_part(message, chr(10), 1), '[0-9]+', '#', 'g') AS kind,
  count(*) AS lines, count(DISTINCT flow_run_id) AS runs, min(timestamp) AS first, max(timestamp) AS last
FROM logs
WHERE level >= 40 AND timestamp >= now() - INTERVAL 7 DAY
GROUP BY ALL
ORDER BY lines DESC
LIMIT 50`,
  },
  {
    name: 'Lines and errors by the hour',
    sql: `SELECT date_trunc('hour', timestamp) AS hour, count(*) AS lines,
  count(*) FILTER (WHERE level >= 40) AS errors
FROM logs
WHERE timestamp >= now() - INTERVAL 2 DAY
GROUP BY ALL
ORDER BY hour`,
  },
  {
    name: 'How long the runs of each flow take',
    sql: `SELECT flow_name, count(*) AS runs, round(median(total_run_time), 1) AS median_seconds,
  round(quantile_cont(total_run_time, 0.95), 1) AS p95_seconds, max(total_run_time) AS longest_seconds
FROM runs
WHERE state_type = 'COMPLETED'
GROUP BY ALL
ORDER BY runs DESC`,
  },
  {
    name: 'How runs ended, by flow',
    sql: `SELECT flow_name, state_name, count(*) AS runs
FROM runs
GROUP BY ALL
ORDER BY flow_name, runs DESC`,
  },
  {
    name: 'Loggers that write the most',
    sql: `SELECT name, count(*) AS lines, sum(length(message)) AS characters
FROM logs
WHERE timestamp >= now() - INTERVAL 1 DAY
GROUP BY ALL
ORDER BY characters DESC
LIMIT 25`,
  },
  {
    name: 'Tasks that fail',
    sql: `SELECT task_key, count(*) AS runs, count(*) FILTER (WHERE state_type = 'FAILED') AS failed,
  max(run_count) AS most_tries
FROM task_runs
GROUP BY ALL
HAVING failed > 0
ORDER BY failed DESC`,
  },
];
