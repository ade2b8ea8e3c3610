import { attribute, message, nested, NLM_F_ACK, NLM_F_DUMP, parseAttributes } from './message.ts';
import type { NatRule } from './nat-rules.ts';
import { NetlinkError, type NetlinkSocket } from './netlink-socket.ts';

/**
 * Forgets the UDP flows of a namespace that a change of rules leaves pointing at the wrong place: for as long as its
 * sender goes on, the kernel sends a flow's datagrams where the first one went, be it a pod that has gone or no pod at
 * all. (Real kube-proxies and port mappers do the same.)
 */
export function forgetStaleFlows(socket: NetlinkSocket, rules: readonly NatRule[]): void {
  const backends = new Map<string, Set<string>>();
  for (const rule of rules)
    if (rule.protocol === 'UDP')
      backends.set(
        `${rule.address}:${rule.port}`,
        new Set(rule.backends.map((to) => `${to.address}:${to.port}`)),
      );
  const dump = message({ subsystem: NFNL_SUBSYS_CTNETLINK, message: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP });
  for (const { payload } of socket.request(dump, 'listing the tracked flows')) {
    const flow = parseAttributes(payload.subarray(4));
    const original = flow.get(CTA_TUPLE_ORIG);
    const reply = flow.get(CTA_TUPLE_REPLY);
    if (!original || !reply) continue;
    const from = ends(original);
    const back = ends(reply);
    if (from.protocol !== UDP) continue;
    const wanted = backends.get(from.destination);
    // Also a flow that was translated to where no rule leads any more.
    const translated = back.source !== from.destination;
    if (wanted ? wanted.has(back.source) : !translated) continue;
    try {
      socket.request(
        message(
          { subsystem: NFNL_SUBSYS_CTNETLINK, message: IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK },
          nested(CTA_TUPLE_ORIG, original),
          ...(flow.has(CTA_ID) ? [attribute(CTA_ID, flow.get(CTA_ID)!)] : []),
        ),
        'forgetting a tracked flow',
      );
    } catch (error) {
      // ENOENT: it has ended meanwhile.
      if (!(error instanceof NetlinkError && error.errno === 2)) throw error;
    }
  }
}

// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const UDP = 17;

function ends(tuple: Buffer): { protocol: number; source: string; destination: string } {
  const attributes = parseAttributes(tuple);
  const ip = parseAttributes(attributes.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const protocol = parseAttributes(attributes.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const end = (address: number, port: number): string =>
    `${[...(ip.get(address) ?? [])].join('.')}:${protocol.get(port)?.readUInt16BE(0) ?? 0}`;
  return {
    protocol: protocol.get(CTA_PROTO_NUM)?.readUInt8(0) ?? 0,
    source: end(CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT),
    destination: end(CTA_IP_V4_DST, CTA_PROTO_DST_PORT),
  };
}
