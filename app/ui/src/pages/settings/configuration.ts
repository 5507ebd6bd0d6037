/** The settings that a reader looks for. */
import type { Schema } from '../../api/client';

export type Setting = Schema<'Setting'>;

/** Those whose name, value, origin or description has every word of `wanted`; `setOnly` leaves out defaults. */
export function found(settings: Setting[], wanted: string, setOnly = false): Setting[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  return settings.filter((setting) => {
    if (setOnly && setting.origin === 'default') return false;
    const text = [
      setting.name,
      setting.variable,
      setting.value ?? '',
      setting.origin,
      setting.description,
    ]
      .join(' ')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Where a value comes from, in words: `file /etc/tailrace.toml` is one. */
export function originText(origin: string): string {
  const known: Record<string, string> = {
    default: 'Default',
    environment: 'Environment',
    flag: 'Command line',
  };
  return known[origin] ?? origin.charAt(0).toUpperCase() + origin.slice(1);
}
