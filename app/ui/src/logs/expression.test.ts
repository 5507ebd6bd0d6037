import { expect, it } from 'vitest';

import { browserExpression } from './expression';
import expressions from './expressions.json';

// What RE2 makes of the same expressions is seen by tests/ui/test_log_expressions.py.
it.each(expressions as [string, string, string][])('%j marks in %j: %j', (source, text, marked) => {
  const expression = browserExpression(source);
  expect(expression).toBeDefined();
  expect(text.replace(expression!, (match) => (match ? `<${match}>` : ''))).toBe(marked);
});

it.each([
  '(',
  ')',
  'a++',
  'a(?i)b',
  '(?U)a+',
  '(?i:a)b',
  '(?=a)',
  '(?<!a)b',
  '\\1',
  '\\012',
  '[[:^alpha:]]',
  '[a',
  '\\p{^Greek}',
  '(a+)+$',
  '(?:a|aa)*b',
  '((a+)b)*',
])('%j is left to the server', (source) => {
  expect(browserExpression(source)).toBeUndefined();
});
