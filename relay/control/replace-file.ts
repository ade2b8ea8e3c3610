import { open, rename, rm } from 'node:fs/promises';

/** Writes a file of mode 0600 that is there whole or not at all, whenever the machine stops. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  // Left over, or a link that somebody put there to have another file overwritten.
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
