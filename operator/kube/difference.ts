/**
 * Whether applying `wanted` to `live` would set anything: every field of `wanted` is there with the same value.
 * Fields that only the server or others set don't count; lists are compared whole, item by item.
 */
export function isApplied(wanted: unknown, live: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(live) &&
      live.length === wanted.length &&
      wanted.every((item, index) => isApplied(item, live[index]))
    );
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof live !== 'object' || live === null || Array.isArray(live)) return false;
    return Object.entries(wanted).every(
      ([field, value]) => value === undefined || isApplied(value, (live as Record<string, unknown>)[field]),
    );
  }
  return Object.is(wanted, live);
}

/**
 * Whether a spec is still what was once written, however the server writes it down: it leaves empty fields out, fills
 * defaults in and has its own form of quantities.
 */
export function isKept(written: unknown, live: unknown): boolean {
  if (isEmpty(written) && (live === undefined || isEmpty(live))) return true;
  if (Array.isArray(written)) {
    return (
      Array.isArray(live) &&
      live.length === written.length &&
      written.every((item, index) => isKept(item, live[index]))
    );
  }
  if (isRecord(written)) {
    return isRecord(live) && Object.entries(written).every(([field, value]) => isKept(value, live[field]));
  }
  return Object.is(written, live) || isSameQuantity(written, live);
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object') return value === null || Object.keys(value).length === 0;
  return value === undefined || value === '' || value === 0 || value === false;
}

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
function isSameQuantity(a: unknown, b: unknown): boolean {
  const [first, second] = [quantity(a), quantity(b)];
  return first !== undefined && second !== undefined && Math.abs(first - second) <= 1e-9 * Math.abs(first);
}

const SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];

function quantity(value: unknown): number | undefined {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE])|([KMGTPE])i)?$/.exec(
    String(value),
  );
  if (!match || typeof value === 'boolean') return undefined;
  const [, digits, exponent = '', decimal = '', binary] = match;
  const number = Number(`${digits}${exponent}`);
  if (binary !== undefined) return number * 1024 ** ('KMGTPE'.indexOf(binary) + 1);
  return number * 1000 ** (SUFFIXES.indexOf(decimal) - 3);
}

/**
 * Whether a field manager owns fields that `wanted` lacks, which applying `wanted` would take away.
 * `fields` is a FieldsV1 (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System):
 * `f:name` is a field, `k:{…}` the item of a list with these keys, `v:…` a value in a set, `.` the thing itself.
 */
export function ownsMore(fields: unknown, wanted: unknown): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  return Object.entries(fields).some(([path, below]) => {
    const rest = path.slice(2);
    if (path.startsWith('f:')) {
      const value = isRecord(wanted) ? wanted[rest] : undefined;
      return value === undefined || ownsMore(below, value);
    }
    if (path.startsWith('k:') || path.startsWith('v:')) {
      const key = parsed(rest);
      // What can't be read is nobody's reason to write again and again.
      if (key === undefined || !Array.isArray(wanted)) return false;
      // The keys may be values that the server defaulted, such as the protocol of a port.
      const item: unknown = path.startsWith('k:')
        ? wanted.find((entry) => isRecord(entry) && isRecord(key) && hasKeys(entry, key))
        : wanted.find((entry) => entry === key);
      return item === undefined || ownsMore(below, item);
    }
    return false;
  });
}

function hasKeys(entry: Record<string, unknown>, key: Record<string, unknown>): boolean {
  return Object.entries(key).every(([name, value]) => entry[name] === undefined || entry[name] === value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
