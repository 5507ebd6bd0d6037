/** What an artifact's data holds. */

export interface Table {
  columns: string[];
  rows: unknown[][];
}

/** A table: a list of objects or of lists, or lists by column; as JSON text or as it is. */
export function tableOf(data: unknown): Table | undefined {
  let value = data;
  if (typeof data === 'string') {
    try {
      value = JSON.parse(data);
    } catch {
      return undefined;
    }
  }
  if (Array.isArray(value)) {
    if (value.every(Array.isArray)) {
      const width = Math.max(0, ...value.map((row: unknown[]) => row.length));
      return { columns: Array.from({ length: width }, (_, at) => String(at + 1)), rows: value };
    }
    if (!value.every(isObject)) return undefined;
    const columns = [...new Set(value.flatMap((row) => Object.keys(row)))];
    return { columns, rows: value.map((row) => columns.map((column) => row[column])) };
  }
  if (isObject(value) && Object.values(value).every(Array.isArray)) {
    const columns = Object.keys(value);
    const lists = Object.values(value) as unknown[][];
    const length = Math.max(0, ...lists.map((list) => list.length));
    return {
      columns,
      rows: Array.from({ length }, (_, at) => lists.map((list) => list[at])),
    };
  }
  return undefined;
}

/** Where an image is, and whether it is this host's: no other is asked for anything. */
export function imageOf(
  data: unknown,
  here = location.origin,
): { url: string; local: boolean } | undefined {
  if (typeof data !== 'string' || !URL.canParse(data, here)) return undefined;
  const url = new URL(data, here);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined;
  return { url: url.href, local: url.origin === here };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
