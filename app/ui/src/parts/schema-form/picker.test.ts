import { describe, expect, it } from 'vitest';

import { fromPicker, toPicker } from './picker';

describe("a picker's time", () => {
  it('is the same moment there and back, on either clock', () => {
    for (const utc of [true, false])
      expect(fromPicker(toPicker('2026-11-24T19:04:08+02:00', utc), utc)).toBe(
        '2026-11-24T17:04:08Z',
      );
  });

  it('is empty for what is no time', () => {
    expect(toPicker('soon', true)).toBe('');
  });
});
