import { once } from 'node:events';
import type { TestContext } from 'node:test';

import {
  type Container,
  type ContainerOptions,
  HARDENED,
  startContainer,
} from '../../local/images/container.ts';
import { type RelayProcess, watchRelay } from '../e2e/relay/relay-process.ts';

/** Free ports on loopback. */
export const LOOPBACK: readonly string[] = [
  '--env=WAVRY_RELAY_LISTEN=127.0.0.1:0',
  '--env=WAVRY_RELAY_HEALTH_LISTEN=127.0.0.1:0',
];

/** OpenShift's: no such user exists in the image, and its group is root's. */
export const ARBITRARY_USER = '--user=1000660000:0';

/** A container that is gone when the test ends. */
export function container(context: TestContext, image: string, options: ContainerOptions = {}): Container {
  const started = startContainer(image, options);
  context.after(() => started.remove());
  return started;
}

/** The relay in a hardened container on loopback. */
export function relayContainer(
  context: TestContext,
  image: string,
  args: readonly string[],
  options: readonly string[] = [],
): RelayProcess & { readonly container: Container } {
  const started = container(context, image, { options: [...HARDENED, ...LOOPBACK, ...options], args });
  return { ...watchRelay(started.child), container: started };
}

/** What a container printed, line by line, and its exit code. */
export async function outcome(
  context: TestContext,
  image: string,
  options: ContainerOptions,
): Promise<{ code: number | null; lines: string[] }> {
  const { child } = container(context, image, options);
  // Apart, as one may come in the middle of a line of the other.
  let [out, errors] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, lines: `${out.trim()}\n${errors.trim()}`.trim().split('\n') };
}
