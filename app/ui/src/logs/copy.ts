/** Lines as text for the clipboard. */

import { plain } from './ansi';
import { levelName, type Line } from './line';
import { lineTime, type TimeShown } from './times';

/** The messages alone, or with time, level and logger as they are shown. */
export function asText(
  lines: Line[],
  how: 'messages' | 'lines',
  time: TimeShown = 'local',
  start?: number,
): string {
  return lines
    .map((line) => {
      const message = plain(line.message).trimEnd();
      if (how === 'messages') return message;
      const level = levelName(line.level).toUpperCase().padEnd(8);
      return `${lineTime(line.timestamp, time, start)} ${level} ${line.name}: ${message}`;
    })
    .join('\n');
}

/** Put a text on the clipboard; also where the page is not a secure context. */
export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  // Old, but what there is without TLS.
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('the browser does not allow it without TLS');
}
