import { ApiError } from './api-error.ts';

type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';

interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors; no requirement selects all. */
export type LabelSelector = readonly Requirement[];

/** Longest selector that is read; what kubectl and the autoscaler send is far shorter. */
const MOST_CHARACTERS = 4096;

const KEY = String.raw`(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?`;
const VALUE = String.raw`(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?`;
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const COMPARED = new RegExp(`^(${KEY})\\s*(==|=|!=|>|<)\\s*(${VALUE})$`);
const PRESENT = new RegExp(`^(!?)\\s*(${KEY})$`);
const WHOLE_VALUE = new RegExp(`^${VALUE}$`);

/** As labels.Parse of k8s.io/apimachinery. Throws ApiError 400 for what isn't a selector. */
export function parseSelector(text: string): LabelSelector {
  if (text.length > MOST_CHARACTERS) throw badSelector('it is too long');
  if (text.trim() === '') return [];
  return text.split(/,(?![^(]*\))/).map((part) => parseRequirement(part.trim()));
}

export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every(({ key, operator, values }) =>
    MATCHES[operator](Object.hasOwn(labels, key) ? labels[key] : undefined, values),
  );
}

const MATCHES: Readonly<Record<Operator, (value: string | undefined, values: readonly string[]) => boolean>> =
  {
    In: (value, values) => value !== undefined && values.includes(value),
    NotIn: (value, values) => value === undefined || !values.includes(value),
    Exists: (value) => value !== undefined,
    DoesNotExist: (value) => value === undefined,
    Gt: (value, [least]) => isWhole(value) && Number(value) > Number(least),
    Lt: (value, [most]) => isWhole(value) && Number(value) < Number(most),
  };

function isWhole(value: string | undefined): boolean {
  return value !== undefined && /^-?\d+$/.test(value);
}

/** The form of metav1.LabelSelector; null for one that selects all. It knows no comparison of numbers. */
export function selectorObject(selector: LabelSelector): unknown {
  const known = selector.filter(({ operator }) => operator !== 'Gt' && operator !== 'Lt');
  if (known.length === 0) return null;
  return {
    matchExpressions: known.map(({ key, operator, values }) => ({
      key,
      operator,
      ...(values.length === 0 ? {} : { values }),
    })),
  };
}

function parseRequirement(part: string): Requirement {
  const set = SET.exec(part);
  if (set) {
    const values = set[3]!.split(',').map((value) => value.trim());
    if (!values.every((value) => WHOLE_VALUE.test(value))) throw badSelector(`"${part}"`);
    return { key: set[1]!, operator: set[2] === 'in' ? 'In' : 'NotIn', values };
  }
  const compared = COMPARED.exec(part);
  if (compared) {
    const [, key, sign, value] = compared as unknown as [string, string, string, string];
    if (sign === '>' || sign === '<') {
      if (!isWhole(value)) throw badSelector(`"${part}" compares with no whole number`);
      return { key, operator: sign === '>' ? 'Gt' : 'Lt', values: [value] };
    }
    return { key, operator: sign === '!=' ? 'NotIn' : 'In', values: [value] };
  }
  const present = PRESENT.exec(part);
  if (present) {
    return { key: present[2]!, operator: present[1] === '!' ? 'DoesNotExist' : 'Exists', values: [] };
  }
  throw badSelector(`"${part.slice(0, 100)}"`);
}

function badSelector(what: string): ApiError {
  return new ApiError(400, 'BadRequest', `unable to parse the label selector: ${what}`);
}
