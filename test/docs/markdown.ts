import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** A fenced block of shell commands. */
export interface CommandBlock {
  /** Of its first command, from 1. */
  readonly line: number;
  readonly text: string;
  /** Why it isn't run here: `<!-- not run: why -->` before it. */
  readonly notRun: string | undefined;
  /** What it says when it fails, as it is meant to: `<!-- fails: text -->` before it. */
  readonly fails: string | undefined;
}

/** Every page that people read, by its path from the top of the checkout. */
export function pages(): Map<string, string> {
  const files = globSync(['*.md', 'docs/**/*.md', 'bench/*.md', 'helm/**/*.md'], { cwd: ROOT }).toSorted();
  return new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
}

/** Languages of a page's fenced blocks, of which each has to name one: else a command could pass for something else. */
export function blockLanguages(page: string): string[] {
  const fences = [...page.matchAll(/^\s*```(\S*)\s*$/gm)].map((match) => match[1]!);
  return fences.filter((_, index) => index % 2 === 0);
}

/** The ```sh blocks of a page; those in lists are indented. */
export function commandBlocks(page: string): CommandBlock[] {
  const lines = page.split('\n');
  const blocks: CommandBlock[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const indent = /^(\s*)```sh\s*$/.exec(lines[at]!)?.[1];
    if (indent === undefined) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === '```');
    if (end < 0) throw new Error(`the block that begins at line ${at + 1} has no end`);
    const before = lines.slice(0, at).findLast((line) => line.trim() !== '') ?? '';
    blocks.push({
      line: at + 2,
      text: lines
        .slice(at + 1, end)
        .map((line) => line.slice(indent.length))
        .join('\n'),
      notRun: /^\s*<!-- not run: (.+) -->$/.exec(before)?.[1],
      fails: /^\s*<!-- fails: (.+) -->$/.exec(before)?.[1],
    });
    at = end;
  }
  return blocks;
}

/** Link targets of a page, without those into the web. */
export function localLinks(page: string): string[] {
  const text = page.replace(/^\s*```[\s\S]*?^\s*```/gm, '').replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** Anchors that GitHub gives the headings of a page. */
export function anchors(page: string): Set<string> {
  const text = page.replace(/^\s*```[\s\S]*?^\s*```/gm, '');
  return new Set(
    [...text.matchAll(/^#+\s+(.+?)\s*$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
