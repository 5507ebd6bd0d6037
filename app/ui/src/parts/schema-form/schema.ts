/** A JSON schema as a form reads it: which field shows which part of it, and what the field begins with. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The keywords that decide how a field looks; everything else is the server's to judge. */
export interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  definitions?: Record<string, JsonSchema>;
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  const?: Json;
  enum?: Json[];
  format?: string;
  position?: number;
  required?: string[];
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema | JsonSchema[];
  prefixItems?: JsonSchema[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  writeOnly?: boolean;
  minItems?: number;
}

export type Kind =
  | 'text'
  | 'secret'
  | 'date'
  | 'time'
  | 'datetime'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'null'
  | 'enum'
  | 'list'
  | 'tuple'
  | 'object'
  | 'mapping'
  | 'choice'
  | 'json';

// A schema may contain itself; deeper than this nothing is filled in ahead.
const DEEPEST = 8;

/** The schema itself where it only refers to another one; its own title, description and default win. */
export function resolved(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let at = schema;
  for (let hops = 0; hops < 32; hops += 1) {
    const only = at.allOf?.length === 1 ? at.allOf[0] : undefined;
    if (only) {
      const { allOf: _, ...own } = at;
      at = { ...only, ...own };
    } else if (at.$ref !== undefined) {
      const { $ref, ...own } = at;
      const target = pointed($ref, root);
      if (!target) return own;
      at = { ...target, ...own };
    } else return at;
  }
  return {};
}

function pointed(reference: string, root: JsonSchema): JsonSchema | undefined {
  if (!reference.startsWith('#')) return undefined;
  let at: unknown = root;
  for (const step of reference.slice(1).split('/').filter(Boolean)) {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return typeof at === 'object' && at !== null ? (at as JsonSchema) : undefined;
}

/** The alternatives of a schema that leaves a choice. */
export function alternatives(schema: JsonSchema): JsonSchema[] | undefined {
  const listed = schema.anyOf ?? schema.oneOf;
  if (listed?.length) return listed;
  if (Array.isArray(schema.type) && schema.type.length > 1)
    return schema.type.map((type) => ({ ...schema, type, default: undefined }));
  return undefined;
}

/** How a (resolved) schema is shown; `json` for whatever has no field of its own. */
export function kindOf(schema: JsonSchema): Kind {
  if (schema.const !== undefined || schema.enum?.length) return 'enum';
  if (alternatives(schema)) return 'choice';
  if (schema.allOf) return 'json';
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      if (schema.writeOnly || schema.format === 'password') return 'secret';
      if (schema.format === 'date-time') return 'datetime';
      if (schema.format === 'date') return 'date';
      if (schema.format === 'time') return 'time';
      return 'text';
    case 'integer':
      return 'integer';
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'null':
      return 'null';
    case 'array':
      if (schema.prefixItems?.length || Array.isArray(schema.items)) return 'tuple';
      return schema.items ? 'list' : 'json';
    case 'object':
      if (schema.properties) return 'object';
      return isSchema(schema.additionalProperties) ? 'mapping' : 'json';
    default:
      return schema.properties ? 'object' : 'json';
  }
}

/** The schemas of a tuple's places. */
export function places(schema: JsonSchema): JsonSchema[] {
  return schema.prefixItems ?? (Array.isArray(schema.items) ? schema.items : []);
}

/** The values that an enum allows. */
export function allowed(schema: JsonSchema): Json[] {
  return schema.const !== undefined ? [schema.const] : (schema.enum ?? []);
}

/** A mapping's values. */
export function valuesOf(schema: JsonSchema): JsonSchema {
  return isSchema(schema.additionalProperties) ? schema.additionalProperties : {};
}

/** Properties in the order of the signature they come from, with the ones that have no place last. */
export function ordered(schema: JsonSchema): [string, JsonSchema][] {
  return Object.entries(schema.properties ?? {}).sort(
    ([, a], [, b]) => (a.position ?? Infinity) - (b.position ?? Infinity) || 0,
  );
}

/**
 * Whether a field of the schema's kind can show the value. A number's field shows any text, since
 * somebody may be typing it; what is wrong with it, the server says.
 */
export function shows(schema: JsonSchema, value: Json | undefined, root: JsonSchema): boolean {
  if (value === undefined) return true;
  const kind = kindOf(schema);
  switch (kind) {
    case 'text':
    case 'secret':
    case 'date':
    case 'time':
    case 'datetime':
      return typeof value === 'string';
    case 'integer':
    case 'number':
      return typeof value === 'number' || typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    case 'null':
      return value === null;
    case 'enum':
      return allowed(schema).some((each) => same(each, value));
    case 'list':
      return Array.isArray(value);
    case 'tuple':
      return Array.isArray(value) && value.length <= places(schema).length;
    case 'object':
    case 'mapping':
      return isObject(value) && !('__prefect_kind' in value);
    case 'choice':
      return alternativeOf(schema, value, root) >= 0;
    case 'json':
      return true;
  }
}

/** Which alternative a value is of: the first that fits it narrowly; -1 when none does. */
export function alternativeOf(
  schema: JsonSchema,
  value: Json | undefined,
  root: JsonSchema,
): number {
  const among = (alternatives(schema) ?? []).map((each) => resolved(each, root));
  const narrow = among.findIndex(
    (each) => shows(each, value, root) && !(isNumeric(each) && typeof value === 'string'),
  );
  return narrow >= 0 ? narrow : among.findIndex((each) => shows(each, value, root));
}

const isNumeric = (schema: JsonSchema) => ['integer', 'number'].includes(kindOf(schema));

/** What a field begins with: the schema's default, else what needs nobody's choice, else nothing. */
export function beginning(schema: JsonSchema, root: JsonSchema, depth = 0): Json | undefined {
  const at = resolved(schema, root);
  if (at.default !== undefined) return at.default;
  if (at.const !== undefined) return at.const;
  if (depth > DEEPEST) return undefined;
  if (kindOf(at) === 'object') {
    const made: Record<string, Json> = {};
    for (const [name, property] of Object.entries(at.properties ?? {})) {
      const value = beginning(property, root, depth + 1);
      if (value !== undefined) made[name] = value;
    }
    return made;
  }
  if (kindOf(at) === 'list' && !at.minItems) return [];
  return undefined;
}

/** A form's values: those given, and the beginnings of all that is not. */
export function startingValues(
  schema: JsonSchema,
  given: Record<string, Json> = {},
): Record<string, Json> {
  const begun = beginning({ ...schema, type: 'object', default: undefined }, schema);
  return { ...(isObject(begun) ? begun : {}), ...given };
}

/** What an alternative is called where one is chosen. */
export function nameOf(schema: JsonSchema): string {
  const kind = kindOf(schema);
  if (kind === 'null') return 'none';
  if (schema.title) return schema.title;
  const names: Partial<Record<Kind, string>> = {
    datetime: 'date and time',
    enum: 'one of',
    mapping: 'mapping',
    json: 'JSON',
    list: 'list',
    tuple: 'list',
  };
  return names[kind] ?? kind;
}

/** Equal as JSON. */
export function same(one: Json, other: Json): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

export function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSchema(value: boolean | JsonSchema | undefined): value is JsonSchema {
  return typeof value === 'object' && Object.keys(value).length > 0;
}
