/** Retention rules as people read and write them. */

import type { Schema } from '../../api/client';
import { levelName } from '../../logs/line';

export type Rule = Schema<'RetentionRule'>;

/** What an empty form has. */
export const NEW_RULE: Rule = {
  name: '',
  days: 30,
  below: [],
  flows: [],
  deployments: [],
  tags: [],
};

/** Which runs a rule fits. */
export function fits(rule: Rule): string {
  const parts = [
    of('flow', rule.flows),
    of('deployment', rule.deployments),
    ...(rule.tags?.length
      ? [`with ${rule.tags.length > 1 ? 'all tags' : 'tag'} ${listed(rule.tags, 'and')}`]
      : []),
  ].filter(Boolean);
  return parts.length ? `Runs ${parts.join(', ')}` : 'Every run, and lines outside any run';
}

const of = (what: string, names: string[] | undefined) =>
  names?.length ? `of ${what} ${listed(names, 'or')}` : '';

function listed(names: string[], word: string): string {
  return names.length < 2
    ? (names[0] ?? '')
    : `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`;
}

/** How long their lines are kept. */
export function keeps(rule: Rule): string {
  const whole = rule.days == null ? 'for good' : days(rule.days);
  const below = (rule.below ?? []).map(
    (limit) => `lines below ${levelText(limit.level)} ${days(limit.days)}`,
  );
  return [whole, ...below].join('; ');
}

export const days = (count: number) => `${count} ${count === 1 ? 'day' : 'days'}`;

/** `INFO` for 20, the number for what is between the named ones. */
export const levelText = (level: number) =>
  level % 10 === 0 && level >= 10 && level <= 50 ? levelName(level).toUpperCase() : String(level);

/** Names that somebody typed, separated by commas. */
export const parsed = (text: string): string[] => [
  ...new Set(
    text
      .split(',')
      .map((each) => each.trim())
      .filter(Boolean),
  ),
];
