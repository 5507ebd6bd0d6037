import { describe, expect, it } from 'vitest';

import type { JsonSchema } from '../../parts/schema-form/schema';
import { parametersOf, typeOf } from './parameters';

const root: JsonSchema = {
  type: 'object',
  required: ['sink'],
  properties: {
    limit: { anyOf: [{ type: 'integer' }, { type: 'null' }], default: null, position: 2 },
    sink: { $ref: '#/definitions/Sink', position: 0, description: 'Where to' },
    days: { type: 'array', items: { type: 'string', format: 'date' }, position: 1 },
  },
  definitions: {
    Sink: { title: 'sink', type: 'object', properties: { table: { type: 'string' } } },
  },
};

describe('parameters', () => {
  it('come in the order of the signature, with what the deployment gives', () => {
    expect(parametersOf(root, { sink: { table: 'a' }, more: 1 })).toEqual([
      {
        name: 'sink',
        type: 'Sink',
        required: true,
        description: 'Where to',
        default: undefined,
        given: '{"table":"a"}',
      },
      {
        name: 'days',
        type: 'list of date',
        required: false,
        description: undefined,
        default: undefined,
        given: undefined,
      },
      {
        name: 'limit',
        type: 'integer or null',
        required: false,
        description: undefined,
        default: 'null',
        given: undefined,
      },
      {
        name: 'more',
        type: '',
        required: false,
        description: undefined,
        default: undefined,
        given: '1',
      },
    ]);
  });

  it.each<[JsonSchema, string]>([
    [{ enum: ['full', 'delta'] }, '"full" or "delta"'],
    [{}, 'anything'],
    [{ type: 'object' }, 'mapping'],
    [{ type: 'boolean' }, 'boolean'],
  ])('%j is %s', (schema, name) => {
    expect(typeOf(schema, root)).toBe(name);
  });
});
