import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** Every page that people read, by its path from the top of the checkout. */
export function pages(): Map<string, string> {
  const files = globSync(['*.md', 'docs/**/*.md', 'bench/*.md', 'helm/**/*.md'], { cwd: ROOT }).toSorted();
  return new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
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
