import { describe, expect, it } from 'vitest';

import { folded, unfolded } from './folding';

const TRACEBACK = `Task run failed
Traceback (most recent call last):
  File "/srv/flow.py", line 3, in load
    raise ConnectionError("reset")
ConnectionError: reset
while loading`;

describe('folding', () => {
  it('leaves a message of one line alone', () => {
    expect(folded('one line')).toBeUndefined();
    expect(folded('one line\n')).toBeUndefined();
    expect(folded('a set {1, 2}')).toBeUndefined();
    expect(folded('took [12]s')).toBeUndefined();
  });

  it('shows the exception of a traceback beside its first line', () => {
    expect(folded(TRACEBACK)).toEqual({
      first: 'Task run failed',
      ending: 'ConnectionError: reset',
      more: 5,
      json: false,
    });
  });

  it('begins with the first line that says something', () => {
    expect(folded('\n\n  table\n  row')).toEqual({ first: '  table', more: 3, json: false });
  });

  it('sets out JSON, alone or after words', () => {
    const message = 'batch {"rows": [1, 2]}';
    expect(folded(message)).toEqual({ first: message, more: 6, json: true });
    expect(unfolded(message)).toBe('batch\n{\n  "rows": [\n    1,\n    2\n  ]\n}');
    expect(unfolded(TRACEBACK)).toBe(TRACEBACK);
  });
});
