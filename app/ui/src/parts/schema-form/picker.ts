/** Between times on the wire and what a browser's date and time field holds. */
const two = (value: number) => String(value).padStart(2, '0');

/** `2026-11-24T19:04:08` on the reader's clock; empty when it is no time. */
export function toPicker(time: string, utc: boolean): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  if (utc) return date.toISOString().slice(0, 19);
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}` +
    `T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

/** The time that a field's text means on the reader's clock, in UTC. */
export function fromPicker(text: string, utc: boolean): string {
  const date = new Date(utc ? `${text}Z` : text);
  return Number.isNaN(date.getTime()) ? text : date.toISOString().replace('.000Z', 'Z');
}
