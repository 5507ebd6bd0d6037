import { describe, expect, it } from 'vitest';

import { offeredColumns } from './completion';
import { figures, usualAxes } from './chartData';
import { explained, type Result } from './answer';

describe('an error', () => {
  it('says where the statement is wrong', () => {
    const fields = [{ path: ['sql'], message: 'Binder Error: no column "x" (line 3, column 14)' }];
    expect(explained({ message: 'sql: …', fields })).toEqual({
      message: 'Binder Error: no column "x"',
      place: { line: 3, column: 14 },
    });
    expect(explained({ message: '2 statements run already', fields: [] })).toEqual({
      message: '2 statements run already',
      place: undefined,
    });
  });
});

describe('completion', () => {
  const offered = (sql: string) => offeredColumns(sql).map((each) => each.label);

  it('offers the columns of the views that the statement names, of all before', () => {
    expect(offered('SELECT lev FROM logs')).toContain('level');
    expect(offered('SELECT lev FROM logs')).not.toContain('paused');
    expect(offered("SELECT p FROM flows WHERE name = 'deployments'")).not.toContain('paused');
    expect(offered('SELECT ')).toContain('paused');
  });
});

describe('a chart', () => {
  const result = (types: [string, string][], rows: Result['rows']): Result => ({
    columns: types.map(([name, type]) => ({ name, type })),
    rows,
    truncated: false,
    limit: 10,
    sql: '',
    milliseconds: 0,
    bytes: 0,
  });

  it('runs over time in order, whatever the order of the rows', () => {
    const found = result(
      [
        ['lines', 'BIGINT'],
        ['hour', 'TIMESTAMP WITH TIME ZONE'],
      ],
      [
        [2, '2026-11-24T11:00:00Z'],
        [1, '2026-11-24T10:00:00Z'],
        [3, null],
      ],
    );
    const axes = usualAxes(found)!;
    expect(axes).toEqual({ kind: 'line', x: 1, y: [0] });
    const drawn = figures(found, axes);
    expect(drawn.xs[1]! - drawn.xs[0]!).toBe(3600);
    expect(drawn.series[0]!.values).toEqual([1, 2]);
    expect(drawn.left).toBe(1);
  });

  it('has a bar for each name', () => {
    const found = result(
      [
        ['level', 'VARCHAR'],
        ['lines', 'HUGEINT'],
      ],
      [
        ['INFO', 5n],
        [null, 2n],
      ],
    );
    const axes = usualAxes(found)!;
    expect(axes.kind).toBe('bar');
    expect(figures(found, axes).names).toEqual(['INFO', 'NULL']);
    expect(figures(found, axes).series[0]!.values).toEqual([5, 2]);
  });

  it('is none of texts alone', () => {
    expect(usualAxes(result([['name', 'VARCHAR']], [['a']]))).toBeUndefined();
  });
});
