import type { Request, Response } from 'express';

/** A wrong way to answer a relay's call. `status-NNN` answers with that status. */
export type Misbehaviour = Kind | `status-${number}`;

export interface Fault {
  readonly kind: Misbehaviour;
  /** Only this call; both without it. */
  readonly only?: 'register' | 'heartbeat';
  /** How many calls to spoil; all without it. */
  readonly times?: number;
}

/** Every kind with what it does, for `--help` and for tests that go through all of them. */
export function misbehaviours(): { kind: Misbehaviour; does: string }[] {
  return [
    ...Object.entries(WAYS).map(([kind, way]) => ({ kind: kind as Misbehaviour, does: way.does })),
    { kind: 'status-500' as const, does: 'answers with that status (any from 400 to 599)' },
  ];
}

export function isMisbehaviour(kind: string): kind is Misbehaviour {
  return Object.hasOwn(WAYS, kind) || /^status-[45]\d\d$/.test(kind);
}

/** Answers wrongly. `good` is what a right answer would be. */
export function misbehave(kind: Misbehaviour, good: object, request: Request, response: Response): void {
  const way = Object.hasOwn(WAYS, kind) ? WAYS[kind as Kind] : undefined;
  if (way) way.answer(response, good, request);
  else response.sendStatus(Number(kind.slice('status-'.length)));
}

type Kind =
  | 'bad-json'
  | 'empty-body'
  | 'html'
  | 'json-null'
  | 'missing-fields'
  | 'wrong-types'
  | 'short-key'
  | 'long-key'
  | 'key-not-bytes'
  | 'key-not-a-point'
  | 'weak-key'
  | 'long-kid'
  | 'interval-zero'
  | 'interval-huge'
  | 'redirect'
  | 'close'
  | 'never'
  | 'slow-body'
  | 'huge-body';

interface Way {
  readonly does: string;
  readonly answer: (response: Response, good: object, request: Request) => void;
}

const WAYS: Readonly<Record<Kind, Way>> = {
  'bad-json': {
    does: '200 with JSON cut short',
    answer: (r) => r.type('json').send('{"heartbeat_interval_ms": 5000,'),
  },
  'empty-body': { does: '200 with nothing', answer: (r) => r.status(200).end() },
  html: { does: "200 with a proxy's HTML page", answer: (r) => r.type('html').send('<h1>Welcome</h1>') },
  'json-null': { does: '200 with null', answer: (r) => r.type('json').send('null') },
  'missing-fields': { does: '200 with {}', answer: (r) => r.json({}) },
  'wrong-types': {
    does: '200 with every field ill-typed',
    answer: (r) =>
      r.json({ ok: 'maybe', heartbeat_interval_ms: 'soon', master_public_key: 'ab', master_key_id: 7 }),
  },
  'short-key': {
    does: 'a master key of 31 bytes',
    answer: (r, good) => r.json({ ...good, master_public_key: Array(31).fill(1) }),
  },
  'long-key': {
    does: 'a master key of 33 bytes',
    answer: (r, good) => r.json({ ...good, master_public_key: Array(33).fill(1) }),
  },
  'key-not-bytes': {
    does: 'a master key with 256, -1 and 0.5 among its integers',
    answer: (r, good) => r.json({ ...good, master_public_key: [256, -1, 0.5, ...Array<number>(29).fill(1)] }),
  },
  'key-not-a-point': {
    does: 'a master key that is no point of the curve',
    answer: (r, good) => r.json({ ...good, master_public_key: [2, ...Array<number>(31).fill(0)] }),
  },
  'weak-key': {
    does: 'a master key of small order, for which anybody can sign',
    answer: (r, good) => r.json({ ...good, master_public_key: [1, ...Array<number>(31).fill(0)] }),
  },
  'long-kid': {
    does: 'a key id of 100,000 characters',
    answer: (r, good) => r.json({ ...good, master_key_id: 'k'.repeat(100_000) }),
  },
  'interval-zero': {
    does: 'a heartbeat interval of 0',
    answer: (r, good) => r.json({ ...good, heartbeat_interval_ms: 0 }),
  },
  'interval-huge': {
    does: 'a heartbeat interval of 2^53 - 1 ms',
    answer: (r, good) => r.json({ ...good, heartbeat_interval_ms: Number.MAX_SAFE_INTEGER }),
  },
  redirect: { does: '307 to itself', answer: (r, _good, request) => r.redirect(307, request.originalUrl) },
  close: { does: 'closes the connection', answer: (r) => r.socket?.destroy() },
  never: { does: 'never answers', answer: () => {} },
  'slow-body': { does: 'one byte a second, without end', answer: drip },
  'huge-body': { does: 'a body without end', answer: flood },
};

function drip(response: Response): void {
  response.type('json').write('{');
  const timer = setInterval(() => response.write(' '), 1000);
  response.on('close', () => clearInterval(timer));
}

function flood(response: Response): void {
  const chunk = Buffer.alloc(65_536, ' ');
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.type('json').on('drain', more);
  more();
}
