import type { Table } from '../table.ts';
import { type OperatorResults, type Phase, PROGRAMS } from './results.ts';

/** One line each: what the figures were taken on. */
export function machineLines({ machine }: OperatorResults): string[] {
  return [
    `${machine.cores} core(s) of ${machine.cpu}, ${machine.kernel}, Node ${machine.node}, shared by the whole control plane, the node agent, the operator and the stand-in for the relays`,
    `${Math.round(machine.idle * 100)} % of the machine was idle just before`,
  ];
}

export function resultTables(results: OperatorResults): Table[] {
  return [targetTable(results), convergenceTable(results), shareTable(results), requestTable(results)];
}

function targetTable({ resources, converging, idle, restart }: OperatorResults): Table {
  const held = (holds: boolean): string => (holds ? 'holds' : 'MISSED');
  const writes = (phase: Phase): string =>
    phase.writes.length === 0
      ? 'no write but its Lease'
      : phase.writes.map(([what, count]) => `${count} ${what}`).join(', ');
  return {
    title: 'Targets',
    note: '',
    head: ['target', 'measured', ''],
    rows: [
      [
        `${thousands(resources)} WavryRelays converge`,
        `all, in ${Math.round(converging.seconds)} s`,
        'holds',
      ],
      [
        'at rest the operator writes nothing but its Lease',
        `${writes(idle)} in ${Math.round(idle.seconds)} s`,
        held(idle.writes.length === 0),
      ],
      [
        'a restarted operator finds nothing to do',
        `${writes(restart)} in ${Math.round(restart.seconds)} s`,
        held(restart.writes.length === 0),
      ],
    ],
  };
}

function convergenceTable(results: OperatorResults): Table {
  const { each, converging, idle } = results;
  const perResource = (count: number): string => (count / results.resources).toFixed(2);
  const writes = total(converging.writes);
  return {
    title: `${thousands(results.resources)} WavryRelays with ${results.replicas} relay(s) each, made in ${results.createdSeconds.toFixed(1)} s`,
    note: '',
    head: ['', ''],
    rows: [
      ['from the first creation to the last convergence', `${converging.seconds.toFixed(1)} s`],
      [
        'each, from creation to convergence',
        `${each.median.toFixed(1)} s (${each.low.toFixed(1)}–${each.high.toFixed(1)}), worst ${each.worst.toFixed(1)} s`,
      ],
      ['last write after that', `${results.tailSeconds.toFixed(1)} s later`],
      ['requests of the operator a WavryRelay', perResource(total(converging.requests))],
      ['of them writes', perResource(writes)],
      [
        'answered with 4xx or 5xx',
        converging.refused.map(([what, n]) => `${n} × ${what}`).join(', ') || 'none',
      ],
      ['operator’s memory at most', megabytes(results.peakResident)],
      ['operator’s memory at rest', megabytes(idle.spent.operator.resident)],
      [
        'operator’s requests a minute at rest',
        ((total(idle.requests) * 60) / Math.max(1, idle.seconds)).toFixed(1),
      ],
    ],
  };
}

function shareTable({ converging, idle }: OperatorResults): Table {
  const to = (phase: Phase, program: (typeof PROGRAMS)[number]): string => {
    const reference = phase.spent['kube-controller-manager'].cpu;
    return reference > 0 ? (phase.spent[program].cpu / reference).toFixed(2) : '–';
  };
  const core = (phase: Phase, cpu: number): string =>
    `${((100 * cpu) / Math.max(1, phase.seconds)).toFixed(1)} %`;
  const memory = (program: (typeof PROGRAMS)[number]): string =>
    (idle.spent[program].resident / idle.spent['kube-controller-manager'].resident).toFixed(2);
  return {
    title: 'Beside the control plane',
    note: 'CPU time and memory, relative to kube-controller-manager, which does its part for the same objects. At rest the operator asks every relay for its health every two seconds.',
    head: ['', 'CPU while converging', 'CPU at rest', 'of a core at rest', 'memory at rest'],
    rows: PROGRAMS.map((program) => [
      program,
      to(converging, program),
      to(idle, program),
      core(idle, idle.spent[program].cpu),
      memory(program),
    ]),
  };
}

function requestTable({ converging, idle, restart }: OperatorResults): Table {
  const names = [
    ...new Set([converging, idle, restart].flatMap(({ requests }) => requests.map(([what]) => what))),
  ];
  const count = (phase: Phase, what: string): string =>
    thousands(phase.requests.find(([name]) => name === what)?.[1] ?? 0);
  return {
    title: 'Requests of the operator',
    note: 'From the API server’s audit log.',
    head: ['', 'converging', 'at rest', 'after its restart'],
    rows: [
      ...names.map((what) => [what, count(converging, what), count(idle, what), count(restart, what)]),
      ['all', ...[converging, idle, restart].map(({ requests }) => thousands(total(requests)))],
    ],
  };
}

function total(counts: readonly (readonly [string, number])[]): number {
  return counts.reduce((sum, [, count]) => sum + count, 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function thousands(value: number): string {
  return value.toLocaleString('en-US');
}
