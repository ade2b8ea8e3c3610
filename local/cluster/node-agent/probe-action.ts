import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { ContainerProcess } from './container-process.ts';
import type { Container, HttpGet, Probe } from './resources.ts';

export interface ProbeResult {
  success: boolean;
  /** Why not, for an event. */
  message: string;
}

/** Does once what a probe says, as the kubelet's prober does it. `address` is the pod's. */
export async function runProbe(
  probe: Probe,
  container: Container,
  address: string,
  process: ContainerProcess | undefined,
): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.httpGet) return httpGet(probe.httpGet, container, address, timeoutMs);
  if (probe.tcpSocket) {
    const { host = address, port } = probe.tcpSocket;
    return tcpConnect(host, portNumber(container, port), timeoutMs);
  }
  if (probe.exec && process) {
    const { exitCode, output } = await process.exec(probe.exec.command, timeoutMs);
    if (exitCode === undefined)
      return { success: false, message: `command timed out after ${timeoutMs / 1000}s` };
    return { success: exitCode === 0, message: output.trim() || `command ended with exit code ${exitCode}` };
  }
  return { success: true, message: '' };
}

/** A GET whose status tells success: 200 to 399. Certificates aren't checked. */
export function httpGet(
  action: HttpGet,
  container: Container,
  address: string,
  timeoutMs: number,
): Promise<ProbeResult> {
  const https = action.scheme === 'HTTPS';
  const url = new URL(action.path ?? '/', 'http://pod');
  const options: RequestOptions & { rejectUnauthorized?: boolean } = {
    host: action.host ?? address,
    port: portNumber(container, action.port),
    path: url.pathname + url.search,
    // No connection is kept: it would hide that the port has closed.
    agent: false,
    headers: { 'user-agent': 'kube-probe/1.36', accept: '*/*', ...headers(action) },
    signal: AbortSignal.timeout(timeoutMs),
    ...(https ? { rejectUnauthorized: false } : {}),
  };
  return new Promise((resolve) => {
    const fail = (error: Error): void =>
      resolve({
        success: false,
        message: error.name === 'AbortError' ? `no answer within ${timeoutMs / 1000}s` : error.message,
      });
    const request = (https ? httpsRequest : httpRequest)(options, (response) => {
      response.on('error', fail);
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        resolve({
          success: status >= 200 && status < 400,
          message: `HTTP probe failed with statuscode: ${status}`,
        });
      });
      response.resume();
    });
    request.on('error', fail);
    request.end();
  });
}

function headers(action: HttpGet): Record<string, string> {
  return Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name.toLowerCase(), value]));
}

function tcpConnect(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (success: boolean, message: string): void => {
      socket.destroy();
      resolve({ success, message });
    };
    socket.setTimeout(timeoutMs, () => finish(false, `no connection within ${timeoutMs / 1000}s`));
    socket.once('connect', () => finish(true, ''));
    socket.once('error', (error) => finish(false, error.message));
  });
}

function portNumber(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  return container.ports?.find((candidate) => candidate.name === port)?.containerPort ?? Number(port);
}
