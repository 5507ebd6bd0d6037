import { describe, expect, it } from 'vitest';

import { below, here, plain, total } from './complaints';
import {
  alternativeOf,
  beginning,
  type JsonSchema,
  kindOf,
  ordered,
  resolved,
  shows,
  startingValues,
} from './schema';

const root: JsonSchema = {
  type: 'object',
  properties: {
    b: { type: 'integer', position: 1, default: 3 },
    a: { type: 'string', position: 0 },
    box: { allOf: [{ $ref: '#/definitions/Box' }], title: 'The box' },
    tree: { $ref: '#/definitions/Tree' },
  },
  required: ['a', 'box'],
  definitions: {
    Box: { type: 'object', title: 'Box', properties: { width: { type: 'number', default: 1.5 } } },
    Tree: { type: 'object', properties: { left: { $ref: '#/definitions/Tree' } } },
  },
};

describe('a schema', () => {
  it('is followed where it refers to another, and keeps its own title', () => {
    expect(resolved(root.properties!.box!, root)).toMatchObject({
      title: 'The box',
      type: 'object',
    });
    expect(resolved({ $ref: '#/definitions/Nowhere' }, root)).toEqual({});
    expect(resolved({ $ref: 'https://example.org/x.json' }, root)).toEqual({});
  });

  it.each<[JsonSchema, string]>([
    [{ type: 'string' }, 'text'],
    [{ type: 'string', format: 'date-time' }, 'datetime'],
    [{ type: 'string', format: 'password' }, 'secret'],
    [{ enum: ['a', 'b'], type: 'string' }, 'enum'],
    [{ const: 'x' }, 'enum'],
    [{ type: ['string', 'null'] }, 'choice'],
    [{ anyOf: [{ type: 'integer' }, { type: 'null' }] }, 'choice'],
    [{ type: 'array', items: { type: 'string' } }, 'list'],
    [{ type: 'array', prefixItems: [{ type: 'string' }] }, 'tuple'],
    [{ type: 'array' }, 'json'],
    [{ type: 'object', additionalProperties: { type: 'integer' } }, 'mapping'],
    [{ type: 'object' }, 'json'],
    [{}, 'json'],
  ])('%j is shown as %s', (schema, kind) => {
    expect(kindOf(schema)).toBe(kind);
  });

  it('gives a form its beginning: defaults, and what is given over them', () => {
    expect(startingValues(root, { b: 4 })).toMatchObject({ b: 4, box: { width: 1.5 } });
    expect(startingValues(root)).not.toHaveProperty('a');
  });

  it('that contains itself ends', () => {
    expect(JSON.stringify(beginning({ $ref: '#/definitions/Tree' }, root)).length).toBeLessThan(
      300,
    );
  });

  it('has its properties in the order of the signature', () => {
    expect(ordered(root).map(([name]) => name)).toEqual(['a', 'b', 'box', 'tree']);
  });

  it('knows which alternative a value is of', () => {
    const either: JsonSchema = {
      anyOf: [{ type: 'integer' }, { type: 'string' }, { type: 'null' }],
    };
    expect(alternativeOf(either, 3, root)).toBe(0);
    expect(alternativeOf(either, 'x', root)).toBe(1);
    expect(alternativeOf(either, null, root)).toBe(2);
    expect(alternativeOf(either, [], root)).toBe(-1);
  });

  it('cannot show a template in a plain field', () => {
    const template = { __prefect_kind: 'jinja', template: '{{ x }}' };
    expect(shows({ type: 'string' }, template, root)).toBe(false);
    expect(shows(resolved(root.properties!.box!, root), template, root)).toBe(false);
  });
});

describe('complaints', () => {
  const tree = [
    'as a whole',
    { property: 'list', errors: [{ index: 1, errors: ["'x' is not of type 'integer'"] }] },
  ];

  it('are found at the field they are about', () => {
    expect(here(tree)).toEqual(['as a whole']);
    expect(below(below(tree, 'list'), 1)).toEqual(["'x' is not of type 'integer'"]);
    expect(below(below(tree, 'list'), 0)).toEqual([]);
    expect(total(tree)).toBe(2);
  });

  it('do not repeat the value', () => {
    expect(plain("'x' is not of type 'integer'")).toBe('Is not of type integer');
    expect(plain("'name' is a required property")).toBe('Required');
  });
});
