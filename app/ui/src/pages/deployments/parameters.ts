/** Parameters of a flow as a table shows them, out of their schema. */
import {
  alternatives,
  nameOf,
  ordered,
  resolved,
  type Json,
  type JsonSchema,
} from '../../parts/schema-form/schema';

export interface Parameter {
  name: string;
  type: string;
  required: boolean;
  description: string | undefined;
  /** As JSON; undefined when there is none. */
  default: string | undefined;
  /** What the deployment gives, as JSON; undefined when it gives none. */
  given: string | undefined;
}

const json = (value: Json | undefined) => (value === undefined ? undefined : JSON.stringify(value));

/** In the order of the signature; those that the deployment gives beside the schema come last. */
export function parametersOf(schema: JsonSchema, given: Record<string, Json>): Parameter[] {
  const known = ordered(schema).map(([name, property]) => {
    const at = resolved(property, schema);
    return {
      name,
      type: typeOf(property, schema),
      required: schema.required?.includes(name) ?? false,
      description: at.description,
      default: json(at.default),
      given: json(given[name]),
    };
  });
  const others = Object.keys(given)
    .filter((name) => !Object.hasOwn(schema.properties ?? {}, name))
    .map((name) => ({
      name,
      type: '',
      required: false,
      description: undefined,
      default: undefined,
      given: json(given[name]),
    }));
  return [...known, ...others];
}

/** `integer`, `list of string`, `Sink`, `integer or null`, `"full" or "delta"`. */
export function typeOf(schema: JsonSchema, root: JsonSchema): string {
  const at = resolved(schema, root);
  const among = alternatives(at);
  if (among) return [...new Set(among.map((each) => typeOf(each, root)))].join(' or ');
  if (at.const !== undefined) return JSON.stringify(at.const);
  if (at.enum?.length) return at.enum.map((each) => JSON.stringify(each)).join(' or ');
  const type = Array.isArray(at.type) ? at.type[0] : at.type;
  if (type === 'array')
    return at.items && !Array.isArray(at.items) ? `list of ${typeOf(at.items, root)}` : 'list';
  // A model is known by its own name; the title is that of the parameter.
  const model = schema.$ref ?? schema.allOf?.[0]?.$ref;
  if (type === 'object')
    return at.properties ? (model?.split('/').at(-1) ?? nameOf(at)) : 'mapping';
  if (at.format) return at.format;
  return type ?? 'anything';
}
