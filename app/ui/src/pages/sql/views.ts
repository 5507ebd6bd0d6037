/**
 * The views that SQL reads, with their columns, for the list beside the editor and for completion.
 *
 * Written down here, since `DESCRIBE` reads every row of a view of PostgreSQL before it answers;
 * tests/ui/test_sql.py compares it with what the server has.
 */

export interface Column {
  name: string;
  type: string;
}

export interface View {
  name: string;
  about: string;
  columns: Column[];
}

const columns = (text: string): Column[] =>
  text
    .trim()
    .split(/,\s*/)
    .map((each) => {
      const [name = '', type = ''] = each.split(' ');
      return { name, type };
    });

const STATE =
  'state_type VARCHAR, state_name VARCHAR, state_timestamp TIMESTAMPTZ,' +
  'expected_start_time TIMESTAMPTZ, start_time TIMESTAMPTZ, end_time TIMESTAMPTZ,' +
  'total_run_time DOUBLE, run_count BIGINT, tags VARCHAR[]';

export const VIEWS: View[] = [
  {
    name: 'logs',
    about: 'Every log line, hot or in S3',
    columns: columns(
      'id UUID, flow_run_id UUID, task_run_id UUID, timestamp TIMESTAMPTZ, level INTEGER,' +
        'level_name VARCHAR, name VARCHAR, message VARCHAR, seq BIGINT',
    ),
  },
  {
    name: 'runs',
    about: 'Flow runs',
    columns: columns(
      'id UUID, name VARCHAR, created TIMESTAMPTZ, flow_id UUID, flow_name VARCHAR,' +
        'deployment_id UUID, deployment_name VARCHAR, work_pool_name VARCHAR,' +
        `work_queue_name VARCHAR, parent_task_run_id UUID, ${STATE}, parameters JSON`,
    ),
  },
  {
    name: 'task_runs',
    about: 'Task runs',
    columns: columns(
      'id UUID, name VARCHAR, created TIMESTAMPTZ, flow_run_id UUID, task_key VARCHAR,' +
        `dynamic_key VARCHAR, ${STATE}`,
    ),
  },
  {
    name: 'flows',
    about: 'Flows',
    columns: columns('id UUID, name VARCHAR, created TIMESTAMPTZ, tags VARCHAR[]'),
  },
  {
    name: 'deployments',
    about: 'Deployments',
    columns: columns(
      'id UUID, name VARCHAR, created TIMESTAMPTZ, flow_id UUID, flow_name VARCHAR,' +
        'version VARCHAR, description VARCHAR, paused BOOLEAN, status VARCHAR,' +
        'work_pool_name VARCHAR, work_queue_name VARCHAR, tags VARCHAR[], last_polled TIMESTAMPTZ',
    ),
  },
];

/** The views that a statement names anywhere; texts and comments do not count. */
export function namedViews(sql: string): View[] {
  const bare = sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g, ' ').toLowerCase();
  return VIEWS.filter((view) => new RegExp(`\\b${view.name}\\b`).test(bare));
}
