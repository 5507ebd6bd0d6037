import { describe, expect, it } from 'vitest';

import { isLocal, safeLink } from './links';

describe('a link in Markdown', () => {
  it('leads to web pages and mail alone', () => {
    expect(safeLink('https://example.org/a', 'http://here')).toBe('https://example.org/a');
    expect(safeLink('/runs', 'http://here')).toBe('http://here/runs');
    expect(safeLink('mailto:a@example.org', 'http://here')).toBe('mailto:a@example.org');
    for (const bad of [
      'javascript:alert(1)',
      'JaVaScript:alert(1)',
      'data:text/html,x',
      'http://[',
    ])
      expect(safeLink(bad, 'http://here')).toBeUndefined();
  });

  it("knows this host's images", () => {
    expect(isLocal('/a.png', 'http://here')).toBe(true);
    expect(isLocal('//there/a.png', 'http://here')).toBe(false);
  });
});
