/** What mends each fault that a verification finds. */

const DAMAGED =
  'It is not what was written. Bring it back from a copy of the bucket; until then, `tailrace tier verify' +
  ' --repair` remembers that it is damaged, and its lines are answered with an error that names it.';

const MENDS: Record<string, string> = {
  missing:
    'Bring it back from a copy of the bucket. Until then its lines are answered with an error that names it.',
  'wrong size': DAMAGED,
  unreadable: DAMAGED,
  'wrong bytes': DAMAGED,
  'wrong rows': DAMAGED,
  'wrong runs': '`tailrace tier verify --repair` counts its runs anew.',
  orphaned:
    'Nothing reads it: `tailrace tier verify --delete-orphans` deletes it. After a restore of the database' +
    ' do not: its lines may be nowhere else.',
};

export const mends = (fault: string) =>
  MENDS[fault] ?? '`tailrace tier verify --contents` says more.';
