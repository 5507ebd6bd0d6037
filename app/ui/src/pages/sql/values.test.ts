import { describe, expect, it } from 'vitest';

import { leadsTo, sorted, tabbed, widthOf } from './values';

describe('rows', () => {
  const rows = [
    ['b', 10],
    ['a', 9n],
    [null, null],
    ['c', '9.5'],
  ];

  it('are ordered by numbers as numbers, and NULL comes last either way', () => {
    expect(sorted(rows, 1, true, false)).toEqual([1, 3, 0, 2]);
    expect(sorted(rows, 1, true, true)).toEqual([0, 3, 1, 2]);
    expect(sorted(rows, 0, false, false)).toEqual([1, 0, 3, 2]);
  });

  it('are copied for a sheet, with what has tabs and breaks in quotes', () => {
    expect(tabbed([['a\n"b"', null, 3]], [])).toBe('\n"a\n""b"""\t\t3');
  });

  it('make a column as wide as they need, within bounds', () => {
    const column = { name: 'message', type: 'VARCHAR' };
    expect(widthOf(column, [['x'.repeat(30)]], 0)).toBe(30);
    expect(widthOf(column, [['x'.repeat(3000)]], 0)).toBe(60);
  });
});

describe('an id', () => {
  const id = { name: 'id', type: 'UUID' };

  it('leads to what its column is named after', () => {
    expect(leadsTo({ name: 'flow_run_id', type: 'UUID' }, 'FROM logs')).toBe('run');
    expect(leadsTo({ name: 'run_id', type: 'UUID' }, '')).toBe('run');
    expect(leadsTo({ name: 'flow_id', type: 'UUID' }, '')).toBe('flow');
    expect(leadsTo({ name: 'flow_run_id', type: 'VARCHAR' }, '')).toBeUndefined();
    expect(leadsTo({ name: 'task_run_id', type: 'UUID' }, 'FROM logs')).toBeUndefined();
  });

  it('of the only view that the statement reads is one of that view', () => {
    expect(leadsTo(id, "SELECT id FROM runs WHERE name = 'logs' -- flows")).toBe('run');
    expect(leadsTo(id, 'SELECT id FROM deployments')).toBe('deployment');
    expect(leadsTo(id, 'SELECT id FROM logs')).toBeUndefined();
    expect(leadsTo(id, 'SELECT r.id FROM runs r JOIN logs ON true')).toBeUndefined();
  });
});
