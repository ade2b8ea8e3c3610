import type { Config } from '../../../relay/config/config.ts';
import { MessageType } from '../../../relay/protocol/header.ts';
import { forwardOf, newSessionId, presentBoth, startRig, TestPeer } from './datapath-rig.ts';

/** To be run where the loopback has fe80::1, fe80::2 and fe80::3. Prints which of the peers' packets arrived. */
const arrived: Record<string, boolean> = {};
for (const datapath of ['mmsg', 'dgram'] as const) {
  for (const host of ['fe80::1%lo', 'fe80::1%1', '::']) {
    const listen: Config['listen'] = { host, port: 0, family: 6 };
    const rig = await startRig({ datapath, listen });
    const client = await TestPeer.open(rig.datapath, 'fe80::2%lo', 'fe80::1%lo');
    const server = await TestPeer.open(rig.datapath, 'fe80::3%lo', 'fe80::1%lo');
    const id = newSessionId();
    await presentBoth(client, server, id);
    await client.send(forwardOf(id, 1));
    await server.send(forwardOf(id, 2));
    arrived[`${datapath} on ${host}`] =
      (await server.take(MessageType.Forward)).equals(forwardOf(id, 1)) &&
      (await client.take(MessageType.Forward)).equals(forwardOf(id, 2));
    client.close();
    server.close();
    await rig.stop();
  }
}
console.log(JSON.stringify(arrived));
