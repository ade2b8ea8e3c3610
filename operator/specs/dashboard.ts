import { createHash } from 'node:crypto';

import { dashboardRows, type Panel } from './dashboard-panels.ts';
import type { Fleet } from './fleet.ts';
import { dashboardName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** Grafana's grid has 24 columns: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ */
const COLUMNS = 24;
const SIZES: Readonly<Record<Panel['kind'], { readonly w: number; readonly h: number }>> = {
  gauge: { w: 4, h: 6 },
  stat: { w: 5, h: 6 },
  timeseries: { w: 12, h: 8 },
};
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

/**
 * The fleet's Grafana dashboard. The label is the one that the sidecar of Grafana's charts looks for; all files it finds
 * go into one folder, so the key names the fleet.
 */
export function dashboard(fleet: Fleet): AppliedObject | undefined {
  if (!fleet.spec.monitoring.dashboard) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: dashboardName(fleet.name),
      namespace: fleet.namespace,
      labels: { ...fleetLabels(fleet), grafana_dashboard: '1' },
      ownerReferences: [ownedBy(fleet)],
    },
    data: {
      [`wavry-relay-${fleet.namespace}-${fleet.name}.json`]: `${JSON.stringify(dashboardModel(fleet), undefined, 1)}\n`,
    },
  };
}

function dashboardModel(fleet: Fleet): Record<string, unknown> {
  return {
    // At most 40 characters, and the same again when the fleet is made anew.
    uid: createHash('sha256').update(`${fleet.namespace}/${fleet.name}`).digest('hex').slice(0, 32),
    title: `WavryRelay ${fleet.namespace}/${fleet.name}`,
    tags: ['wavry'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
    },
    panels: layOut(fleet),
  };
}

function layOut(fleet: Fleet): Record<string, unknown>[] {
  const panels: Record<string, unknown>[] = [];
  let y = 0;
  for (const row of dashboardRows(fleet)) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y += 1;
    let x = 0;
    let lowest = y;
    for (const panel of row.panels) {
      const { w, h } = SIZES[panel.kind];
      if (x + w > COLUMNS) {
        x = 0;
        y = lowest;
      }
      panels.push({ id: panels.length + 1, ...panelModel(panel), gridPos: { x, y, w, h } });
      x += w;
      lowest = Math.max(lowest, y + h);
    }
    y = lowest;
  }
  return panels;
}

function panelModel(panel: Panel): Record<string, unknown> {
  const [warning, error] = panel.thresholds ?? [];
  return {
    type: panel.kind,
    title: panel.title,
    ...(panel.description === undefined ? {} : { description: panel.description }),
    datasource: DATASOURCE,
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(panel.kind === 'timeseries' ? {} : { instant: true, range: false }),
    })),
    fieldConfig: {
      defaults: {
        unit: panel.unit,
        ...(panel.kind === 'gauge' ? { min: 0, max: 1 } : {}),
        ...(panel.kind === 'timeseries' ? { min: 0 } : {}),
        ...(warning === undefined || error === undefined
          ? {}
          : {
              thresholds: {
                mode: 'absolute',
                steps: [
                  { color: 'green', value: null },
                  { color: 'orange', value: warning },
                  { color: 'red', value: error },
                ],
              },
            }),
        ...(panel.stacked ? { custom: { stacking: { mode: 'normal' }, fillOpacity: 20 } } : {}),
      },
      overrides: [],
    },
  };
}
