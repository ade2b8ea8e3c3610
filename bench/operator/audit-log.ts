import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type AuditedRequest, readAuditLine } from './audit.ts';

/** Requests of one user in the audit log of a cluster, in the order of their answers. */
export async function auditedRequests(directory: string, user: string): Promise<AuditedRequest[]> {
  const found: AuditedRequest[] = [];
  // Beyond 100 MB the API server goes on in a new file and keeps the old ones, named after the time.
  const files = readdirSync(directory).filter((name) => /^audit.*\.log$/.test(name));
  for (const file of files.toSorted(
    (a, b) => Number(a === 'audit.log') - Number(b === 'audit.log') || (a < b ? -1 : 1),
  )) {
    for await (const line of createInterface({ input: createReadStream(join(directory, file)) })) {
      // Reading every line as JSON takes long: most are of others.
      if (!line.includes(user)) continue;
      const request = readAuditLine(line);
      if (request?.user === user) found.push(request);
    }
  }
  return found;
}
