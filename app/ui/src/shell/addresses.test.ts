import { describe, expect, it } from 'vitest';

import { idIn, ofPrefect, partsOf, pathIn } from './addresses';

const ID = '01a20f2b-466d-7698-aee5-62d485c35d96';

describe('addresses that Prefect prints', () => {
  it.each([
    [`/runs/flow-run/${ID}`, `/runs/${ID}`],
    [`/flow-runs/flow-run/${ID}`, `/runs/${ID}`],
    [`/v2/runs/flow-run/${ID}/`, `/runs/${ID}`],
    [`/runs/task-run/${ID}`, `/runs/${ID}`],
    [`/deployments/deployment/${ID}`, `/deployments/${ID}`],
    ['/work-pools/work-pool/my%20pool', '/agents/my%20pool'],
  ])('%s leads to %s', (theirs, ours) => {
    expect(ofPrefect(theirs)).toBe(ours);
  });

  it('are not every address', () => {
    expect(ofPrefect('/runs/flow-run/none')).toBeNull();
    expect(ofPrefect('/nowhere')).toBeNull();
  });
});

describe('a pasted text', () => {
  it('is an id with or without dashes', () => {
    expect(idIn(` ${ID.toUpperCase()}\n`)).toBe(ID);
    expect(idIn(ID.replaceAll('-', ''))).toBe(ID.replaceAll('-', ''));
    expect(idIn('happy-otter')).toBeNull();
  });

  it('is a permalink, whatever the server is called', () => {
    expect(pathIn(`http://other:4200/runs/${ID}?line=7`)).toBe(`/runs/${ID}?line=7`);
    expect(pathIn(`http://other:4200/runs/flow-run/${ID}`)).toBe(`/runs/${ID}`);
  });

  it('is neither when it leads elsewhere', () => {
    expect(pathIn('https://example.com/nowhere')).toBeNull();
    expect(pathIn('javascript:alert(1)')).toBeNull();
    expect(pathIn('runs')).toBeNull();
  });
});

it('an address comes apart', () => {
  expect(partsOf('/runs/7?line=a&q=b%20c#end')).toEqual({
    path: '/runs/7',
    search: { line: 'a', q: 'b c' },
    hash: '#end',
  });
  expect(partsOf('/jobs')).toEqual({ path: '/jobs', search: {}, hash: '' });
});
