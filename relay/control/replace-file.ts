import { open, rename } from 'node:fs/promises';

/** Writes a file of mode 0600 that is there whole or not at all, whenever the machine stops. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
