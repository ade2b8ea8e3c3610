import { dumpYaml } from '@kubernetes/client-node';

import type { Format } from './arguments.ts';
import type { FleetObject } from './fleets.ts';

/** As `kubectl get` prints objects: one by itself, several as a List. Without managedFields, as nobody reads them. */
export function printObjects(fleets: readonly FleetObject[], format: Format, single: boolean): string {
  if (format === 'name') {
    return fleets.map((fleet) => `wavryrelay.wavry.dev/${fleet.metadata.name}\n`).join('');
  }
  const items = fleets.map(({ metadata, ...rest }) => {
    const { managedFields: _, ...kept } = metadata;
    return { apiVersion: rest.apiVersion, kind: rest.kind, metadata: kept, ...rest };
  });
  return printValue(
    single && items.length === 1
      ? items[0]
      : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items },
    format === 'json' ? 'json' : 'yaml',
  );
}

export function printValue(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? `${JSON.stringify(value, null, 4)}\n` : dumpYaml(value, { lineWidth: -1 });
}
