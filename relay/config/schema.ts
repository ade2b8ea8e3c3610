import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';

import type { Option, OptionKey } from './options.ts';
import { OPTION_ROWS } from './options.ts';
import { TEXT_FORMATS } from './text-formats.ts';

/** An option's value as JSON: what was written, read as its kind, or the text itself when that failed. */
export type OptionValue = string | number | boolean | readonly string[];

const LIST_LIMIT = 64;

/** JSON Schema (draft-07) of the options, keyed as in the table. */
const CONFIG_SCHEMA: object = {
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(OPTION_ROWS.map(([key, option]) => [key, optionSchema(option)])),
};

/** The options that are wrong, in no particular order; empty when all is well. */
export function wrongOptions(values: Readonly<Partial<Record<OptionKey, OptionValue>>>): Set<OptionKey> {
  const check = compiled();
  if (check(values)) return new Set();
  return new Set((check.errors ?? []).map((error) => error.instancePath.split('/')[1] as OptionKey));
}

/** What to write for this option; completes "write …". */
export function wanted({ kind }: Option): string {
  if (kind.type === 'integer') {
    const range = `a whole number from ${kind.least} to ${kind.most}`;
    return kind.word === undefined ? range : `${kind.word} or ${range}`;
  }
  if (kind.type === 'boolean') return '1, true, yes or on, or 0, false, no or off';
  if (kind.type === 'choice') return new Intl.ListFormat('en', { type: 'disjunction' }).format(kind.choices);
  return TEXT_FORMATS[kind.format].wanted + (kind.list ? `; at most ${LIST_LIMIT} of them` : '');
}

let validate: ValidateFunction | undefined;

function compiled(): ValidateFunction {
  if (validate) return validate;
  const ajv = new Ajv({ strict: true, allErrors: true });
  for (const [name, format] of Object.entries(TEXT_FORMATS)) {
    ajv.addFormat(name, { type: 'string', validate: format.accepts });
  }
  return (validate = ajv.compile(CONFIG_SCHEMA));
}

function optionSchema({ kind, help }: Option): object {
  if (kind.type === 'integer') {
    return { type: 'integer', minimum: kind.least, maximum: kind.most, description: help };
  }
  if (kind.type === 'boolean') return { type: 'boolean', description: help };
  if (kind.type === 'choice') return { type: 'string', enum: kind.choices, description: help };
  const one = { type: 'string', format: kind.format };
  return kind.list
    ? { type: 'array', items: one, maxItems: LIST_LIMIT, description: help }
    : { ...one, description: help };
}
