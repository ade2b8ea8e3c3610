import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * The whole text of a small file, or undefined when there is none.
 *
 * Somebody else writes these files, so: never more than `maxBytes` are read, nothing but a regular file is (O_NONBLOCK
 * keeps a named pipe from holding up the thread pool), and the text has to be UTF-8. Throws an error that starts with
 * the path otherwise.
 */
export async function readBoundedFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw new Error('not a regular file');
      const bytes = Buffer.alloc(maxBytes + 1);
      let length = 0;
      while (length <= maxBytes) {
        const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      if (length > maxBytes) throw new Error(`longer than ${maxBytes} bytes`);
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const reason = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'not UTF-8 text' : (code ?? message);
    throw new Error(`${path}: ${reason}`, { cause: error });
  }
}
