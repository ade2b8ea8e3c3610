import type { Table } from '../table.ts';
import type { DatapathResults, Scenario, Sections, SubjectId } from './results.ts';
import { SUBJECT_IDS, SUBJECT_LABELS } from './results.ts';
import { scenarioLabel } from './scenarios.ts';
import { median } from './statistics.ts';
import {
  formatQuartiles,
  lossOf,
  megabytes,
  percent,
  residentByWorkers,
  samplesOf,
  saturationOf,
} from './summary.ts';

/** Everything measured, as tables; the same in the terminal and in bench/README.md. */
export function resultTables(results: DatapathResults): Table[] {
  const { sections } = results;
  return [
    targetTable(results),
    ...cpuTables(results),
    ...saturationTables(sections),
    ...memoryTables(sections),
    ...floodTables(sections),
  ];
}

/** One line each: what the figures were taken on. */
export function machineLines({ machine, sections }: DatapathResults): string[] {
  const waited = waitedShares(sections);
  return [
    `${machine.cores} core(s) of ${machine.cpu}, ${machine.kernel}, Node ${machine.node}, ${machine.compiler}`,
    `relays on core(s) ${machine.relayCores}, generator on ${machine.generatorCores}; ` +
      `${Math.round(machine.idle * 100)} % of the machine was idle just before`,
    ...(waited.length > 0
      ? [
          `something else had the relays' core for ${percent(median(waited))} of the time (median of all samples)`,
        ]
      : []),
    ...(machine.cores < 3
      ? ['two workers shared one core with each other, since the generator needs the second one for itself']
      : []),
  ];
}

function targetTable({ targets }: DatapathResults): Table {
  const verdict = (holds: boolean | undefined): string =>
    holds === undefined ? 'open' : holds ? 'holds' : 'MISSED';
  return {
    title: 'Targets',
    note: 'Medians of pairs, quartiles in brackets; of several scenarios the worst one counts.',
    head: ['target', 'measured', ''],
    rows: targets.map(({ text, measured, holds }) => [text, measured, verdict(holds)]),
  };
}

function cpuTables({ sections: { cpu }, ratios }: DatapathResults): Table[] {
  if (!cpu) return [];
  const ids = SUBJECT_IDS.filter((id) => !cpu.absent.includes(id) && id !== 'c-batch');
  const label = ({ scenario }: { scenario: Scenario }): string => scenarioLabel(scenario);
  const absent = cpu.absent.map((id) => `${id} was NOT installed and is missing here. `).join('');
  const latency = cpu.scenarios.filter(({ pattern }) => pattern === 'latency');
  return [
    {
      title: 'CPU time a forwarded packet, relative to the C relay with recvmmsg/sendmmsg',
      note:
        `${absent}Packet threads only; median of ${cpu.pairs} interleaved pairs, quartiles in brackets. ` +
        `${cpu.scenarios[0]!.rate.toLocaleString('en-US')} packets/s both ways together.`,
      head: ['', ...ids.map((id) => SUBJECT_LABELS[id])],
      rows: ratios.map((row) => [
        label(row),
        ...ids.map((id) => (row.toPlainC[id] ? formatQuartiles(row.toPlainC[id]) : '–')),
      ]),
    },
    {
      title: 'The whole process in place of its packet threads',
      note: 'What compiling, garbage collection and the control plane add; medians of pairs, the same reference.',
      head: ['', ...ids.map((id) => SUBJECT_LABELS[id])],
      rows: cpu.scenarios.map((scenario) => [
        scenarioLabel(scenario),
        ...ids.map((id) => wholeProcessRatio(cpu, scenario, id)),
      ]),
    },
    {
      title: 'Loss',
      note: 'Of all packets of all rounds; packets out of order in brackets when there were any.',
      head: ['', ...[...ids, 'c-batch' as const].map((id) => SUBJECT_LABELS[id])],
      rows: cpu.scenarios.map((scenario) => [
        scenarioLabel(scenario),
        ...[...ids, 'c-batch' as const].map((id) => lossCell(cpu, scenario, id)),
      ]),
    },
    ...latency.map((scenario) => latencyTable(cpu, scenario, [...ids, 'c-batch'])),
  ];
}

/** Of subjects with one packet thread: two of them may have to wait for each other. */
function waitedShares({ cpu, flood }: Sections): number[] {
  const alone = cpu?.samples.filter(({ subject }) => !subject.endsWith('-2')) ?? [];
  return [...alone, ...(flood?.samples ?? [])].map(({ waited }) => waited);
}

type Cpu = NonNullable<Sections['cpu']>;

function wholeProcessRatio(cpu: Cpu, scenario: Scenario, id: SubjectId): string {
  const reference = new Map(
    samplesOf(cpu, scenario, 'c-batch').map((sample) => [sample.round, sample.processNs]),
  );
  const ratios = samplesOf(cpu, scenario, id).flatMap(({ round, processNs }) => {
    const other = reference.get(round);
    return other !== undefined && other > 0 ? [processNs / other] : [];
  });
  return ratios.length > 0 ? median(ratios).toFixed(2) : '–';
}

function lossCell(cpu: Cpu, scenario: Scenario, id: SubjectId): string {
  const samples = samplesOf(cpu, scenario, id);
  if (samples.length === 0) return '–';
  const reordered = samples.reduce((sum, sample) => sum + sample.traffic.reordered, 0);
  return percent(lossOf(samples)) + (reordered > 0 ? ` (${reordered})` : '');
}

function latencyTable(cpu: Cpu, scenario: Scenario, ids: readonly SubjectId[]): Table {
  const column = (id: SubjectId, which: 'p50' | 'p99' | 'p999'): string => {
    const values = samplesOf(cpu, scenario, id).flatMap((sample) => sample.traffic.latencyUs?.[which] ?? []);
    const reference = samplesOf(cpu, scenario, 'c-batch').flatMap(
      (sample) => sample.traffic.latencyUs?.[which] ?? [],
    );
    if (values.length === 0 || reference.length === 0) return '–';
    return (median(values) / median(reference)).toFixed(2);
  };
  return {
    title: `Latency, relative to the C relay with batch calls: ${scenarioLabel(scenario)}`,
    note: 'Medians of the rounds; loopback, both ways.',
    head: ['', 'median', '99 %', '99.9 %'],
    rows: ids.map((id) => [SUBJECT_LABELS[id], column(id, 'p50'), column(id, 'p99'), column(id, 'p999')]),
  };
}

function saturationTables({ saturation }: Sections): Table[] {
  if (!saturation) return [];
  const ids = SUBJECT_IDS.filter((id) => saturation.samples.some((sample) => sample.subject === id));
  return [
    {
      title: 'Most packets a second, relative to the C relay with batch calls',
      note:
        `Less than ${percent(saturation.lossLimit)} lost over ${saturation.seconds} s; median of ${saturation.rounds} searches ` +
        `in turns, quartiles in brackets, thousands of packets a second beside. ≥: the generator could offer no more, and ` +
        `the packet threads were that busy.`,
      head: ['', ...ids.map((id) => SUBJECT_LABELS[id])],
      rows: saturation.scenarios.map((scenario) => {
        const reference = saturationOf(saturation, scenario, 'c-batch');
        return [
          scenarioLabel(scenario),
          ...ids.map((id) => {
            const found = saturationOf(saturation, scenario, id);
            if (!found || !reference) return '–';
            const scaled = (value: number): number => value / reference.rate.median;
            const { low, median, high, count } = found.rate;
            const ratio = { low: scaled(low), median: scaled(median), high: scaled(high), count };
            const atLeast = found.generatorLimited ? '≥ ' : '';
            const busy = found.generatorLimited ? `, ${Math.round(found.busy * 100)} % busy` : '';
            return `${atLeast}${formatQuartiles(ratio)} ${Math.round(median / 1000)}k${busy}`;
          }),
        ];
      }),
    },
  ];
}

function memoryTables({ memory }: Sections): Table[] {
  if (!memory) return [];
  const { flood } = memory;
  const [before, ...parts] = flood.rss;
  const after = parts.at(-1)!;
  return [
    {
      title: `Memory with ${memory.sessions.toLocaleString('en-US')} sessions`,
      note:
        `Resident, after real traffic on all sessions and a rest; median of the starts. The flood is what a stranger sends in ` +
        `${flood.hours} h at ${flood.packetsPerSecond} packets/s (forwards, renewals, bad leases, noise and runts, each from ` +
        `another address and about another session), offered as fast as one worker takes it.`,
      head: ['', 'resident'],
      rows: [
        ...residentByWorkers(memory).map(({ workers, bytes }) => [`${workers} worker(s)`, megabytes(bytes)]),
        ['before the flood', megabytes(before!)],
        [
          `after ${flood.receivedByRelay.toLocaleString('en-US')} packets of it, in ${flood.seconds.toFixed(0)} s`,
          megabytes(after),
        ],
        [
          'growth in its first half, in its second half',
          `${growth(flood.rss, 0, 5)}, ${growth(flood.rss, 5, 10)}`,
        ],
        ['sessions before and after', `${flood.sessionsBefore}, ${flood.sessionsAfter}`],
      ],
    },
  ];
}

function growth(rss: readonly number[], from: number, to: number): string {
  return megabytes(rss[to]! - rss[from]!);
}

function floodTables({ flood }: Sections): Table[] {
  if (!flood) return [];
  return [
    {
      title: `${flood.packetsPerSecond.toLocaleString('en-US')} packets/s beside a flood of bad leases`,
      note: `${flood.seconds} s each, ${flood.pairs} pairs; half of the leases are wrongly signed, half are garbage of the same size, from many addresses.`,
      head: ['', 'bad leases/s', 'lost', 'p50', 'p99', 'worst', 'core held by others'],
      rows: [false, true].map((flooded) => {
        const samples = flood.samples.filter((sample) => sample.flooded === flooded);
        const us = (which: 'p50' | 'p99' | 'max'): string =>
          `${(median(samples.map((sample) => sample.traffic.latencyUs![which])) / 1000).toFixed(2)} ms`;
        return [
          flooded ? 'with' : 'without',
          `${Math.round(median(samples.map((sample) => sample.leasesPerSecond)))}`,
          percent(lossOf(samples)),
          us('p50'),
          us('p99'),
          us('max'),
          percent(median(samples.map((sample) => sample.waited))),
        ];
      }),
    },
  ];
}
