/**
 * HEALTHCHECK of both images: `check-health.mjs PATH VARIABLE FLAG` asks the program that is PID 1 of this container, at the
 * address that it was given. Exit code 0 or 1, as docker wants it, and one line of what was found.
 */
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import process from 'node:process';

const [path = '/', variable = '', flag = ''] = process.argv.slice(2);
const address = flagOf(readFileSync('/proc/1/cmdline', 'utf8').split('\0')) ?? process.env[variable] ?? '';
// Other brackets than those of an IPv6 address are good for the relay, but not in a URL.
const plain = address.replace(/^\[([\d.]+)\](?=:\d+$)/, '$1');
const url = `http://${plain.replace(/^(0\.0\.0\.0|\[::\]|)(?=:\d+$)/, (any) => (any === '[::]' ? '[::1]' : '127.0.0.1'))}${path}`;

try {
  get(url, { timeout: 5000 }, (response) => {
    console.log(`${url} answers ${response.statusCode}`);
    process.exit(response.statusCode === 200 ? 0 : 1);
  })
    .on('timeout', () => fail('no answer within 5 s'))
    .on('error', (error) => fail(error.message));
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}

/** The last one counts, written with or without "=". @param {readonly string[]} command */
function flagOf(command) {
  return command
    .map((word, index) =>
      word === flag
        ? command[index + 1]
        : word.startsWith(`${flag}=`)
          ? word.slice(flag.length + 1)
          : undefined,
    )
    .findLast((value) => value !== undefined);
}

/** @param {string} reason */
function fail(reason) {
  console.log(`${url}: ${reason}`);
  process.exit(1);
}
