import { describe, expect, it } from 'vitest';

import { found, originText, type Setting } from './configuration';

const setting = (name: string, origin: string, description: string): Setting => ({
  name,
  variable: `TAILRACE_${name.toUpperCase()}`,
  value: null,
  origin,
  description,
});
const settings = [
  setting('port', 'environment', 'port that the API listens on'),
  setting('s3_bucket', 'default', 'bucket for logs'),
];

describe('settings', () => {
  it('are found by all words, in whatever they are told with', () => {
    expect(found(settings, 'API listens').map((each) => each.name)).toEqual(['port']);
    expect(found(settings, 'tailrace_s3').map((each) => each.name)).toEqual(['s3_bucket']);
    expect(found(settings, 'port bucket')).toEqual([]);
    expect(found(settings, '')).toHaveLength(2);
  });

  it('can be those that somebody set alone', () => {
    expect(found(settings, '', true).map((each) => each.name)).toEqual(['port']);
  });

  it('say where they come from', () => {
    expect(originText('environment')).toBe('Environment');
    expect(originText('file /etc/tailrace.toml')).toBe('File /etc/tailrace.toml');
  });
});
