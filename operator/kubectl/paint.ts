import { styleText } from 'node:util';

export type Colour = 'green' | 'yellow' | 'red' | 'bold' | 'dim';
export type Paint = (colour: Colour, text: string) => string;

/** Colours where a person looks: never in a pipe or a file, nor where NO_COLOR forbids it (https://no-color.org). */
export function paintFor(
  stream: NodeJS.WritableStream,
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const coloured =
    (stream as { isTTY?: boolean }).isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return (colour, text) => (coloured ? styleText(colour, text, { validateStream: false }) : text);
}
