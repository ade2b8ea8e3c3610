/** What a terminal shows, as a picture: text with the few SGR codes that this project's programs write (ECMA-48, 8.3.117). */
export function terminalPicture(title: string, text: string): string {
  const lines = text.trimEnd().split(/\r?\n/).map(spans);
  const columns = Math.max(60, ...lines.map((line) => line.reduce((sum, span) => sum + span.text.length, 0)));
  const width = Math.ceil(columns * CHARACTER + 2 * MARGIN);
  const height = lines.length * LINE + BAR + 2 * MARGIN;
  const rows = lines.map((line, index) => {
    const y = BAR + MARGIN + index * LINE + SIZE;
    let column = 0;
    const pieces = line.map((span) => {
      const x = MARGIN + column * CHARACTER;
      column += span.text.length;
      return span.text.trim() === ''
        ? ''
        : `<tspan x="${x.toFixed(1)}" textLength="${(span.text.length * CHARACTER).toFixed(1)}"${span.style}>${escape(span.text)}</tspan>`;
    });
    return `<text y="${y}">${pieces.join('')}</text>`;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${width}" height="${height}" rx="8" fill="#16181d"/>`,
    ...['#ff5f57', '#febc2e', '#28c840'].map(
      (colour, index) => `<circle cx="${20 + index * 20}" cy="17" r="6" fill="${colour}"/>`,
    ),
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${SIZE}" fill="#d7dae0" xml:space="preserve">`,
    ...rows,
    '</g>',
    '</svg>',
  ].join('\n')}\n`;
}

const SIZE = 13;
const CHARACTER = 7.8;
const LINE = 19;
const MARGIN = 16;
const BAR = 28;

interface Span {
  readonly text: string;
  readonly style: string;
}

const STYLES: Readonly<Record<string, string>> = {
  '1': ' font-weight="bold"',
  '2': ' fill="#8b919d"',
  '31': ' fill="#ff7b72"',
  '32': ' fill="#7ee787"',
  '33': ' fill="#e3b341"',
  '36': ' fill="#79c0ff"',
};

/** Words that stand far apart become spans of their own, so that columns line up in any font. */
function spans(line: string): Span[] {
  const found: Span[] = [];
  let style = '';
  const [plain = '', ...coloured] = line.split('\u001b[');
  const pieces = coloured.map((piece) => /^([0-9;]*)m(.*)$/.exec(piece) ?? ['', '', piece]);
  for (const [, code, text] of [['', undefined, plain] as const, ...pieces]) {
    if (code !== undefined) style = STYLES[code] ?? '';
    for (const word of (text ?? '').split(/(^ | {2,})/)) if (word !== '') found.push({ text: word, style });
  }
  return found;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
