import {
  AF_INET,
  attribute,
  message,
  nested,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  number32,
  text,
} from './message.ts';

export interface Backend {
  address: string;
  port: number;
}

/** Datagrams and connections to one address and port go to one of the backends, in turn by chance. */
export interface NatRule {
  protocol: 'TCP' | 'UDP';
  address: string;
  port: number;
  backends: readonly Backend[];
  /** Whether the backend sees this namespace's address instead of the sender's, so that its answer comes back here. */
  masquerade: boolean;
}

/**
 * The nf_tables transaction that replaces all rules of ours in a namespace at once, as `nft -f` would send it:
 *
 * ```
 * table ip wavry {
 *   chain prerouting { type nat hook prerouting priority -100; jump services }
 *   chain output { type nat hook output priority -100; jump services }
 *   chain postrouting { type nat hook postrouting priority 100; meta mark 0x4000 masquerade }
 *   chain services { ip daddr ADDRESS meta l4proto udp th dport PORT [numgen random mod N == 0] dnat to BACKEND … }
 * }
 * ```
 *
 * Source of all numbers: include/uapi/linux/netfilter/nf_tables.h.
 */
export function natTransaction(rules: readonly NatRule[]): Buffer {
  return Buffer.concat([
    batch(NFNL_MSG_BATCH_BEGIN),
    // Made first, so that deleting never fails.
    request(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, text(NFTA_TABLE_NAME, TABLE)),
    request(NFT_MSG_DELTABLE, 0, text(NFTA_TABLE_NAME, TABLE)),
    request(NFT_MSG_NEWTABLE, NLM_F_CREATE, text(NFTA_TABLE_NAME, TABLE)),
    chain(SERVICES),
    chain('prerouting', NF_INET_PRE_ROUTING, -100),
    chain('output', NF_INET_LOCAL_OUT, -100),
    chain('postrouting', NF_INET_POST_ROUTING, 100),
    rule('prerouting', jump(SERVICES)),
    rule('output', jump(SERVICES)),
    rule('postrouting', ...whenMarked(), expression('masq')),
    ...rules.flatMap((nat) => serviceRules(nat)),
    batch(NFNL_MSG_BATCH_END),
  ]);
}

const TABLE = 'wavry';
const SERVICES = 'services';
const MASQUERADE_MARK = 0x4000;

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NF_INET_PRE_ROUTING = 0;
const NF_INET_LOCAL_OUT = 3;
const NF_INET_POST_ROUTING = 4;
const NFTA_TABLE_NAME = 1;
const NFT_REG_1 = 1;
const NFT_REG_2 = 2;
const NFT_JUMP = -3;
const NFT_META_MARK = 3;
const NFT_META_L4PROTO = 16;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17 };

function batch(kind: number): Buffer {
  return message({ subsystem: 0, message: kind, flags: 0, family: 0, resource: NFNL_SUBSYS_NFTABLES });
}

function request(kind: number, flags: number, ...attributes: Buffer[]): Buffer {
  return message({ subsystem: NFNL_SUBSYS_NFTABLES, message: kind, flags }, ...attributes);
}

function chain(name: string, hook?: number, priority?: number): Buffer {
  const based =
    hook === undefined || priority === undefined
      ? []
      : [
          nested(4 /* HOOK */, number32(1 /* HOOKNUM */, hook), number32(2 /* PRIORITY */, priority)),
          text(7 /* TYPE */, 'nat'),
        ];
  return request(
    NFT_MSG_NEWCHAIN,
    NLM_F_CREATE,
    text(1 /* TABLE */, TABLE),
    text(3 /* NAME */, name),
    ...based,
  );
}

function rule(chain: string, ...expressions: Buffer[]): Buffer {
  return request(
    NFT_MSG_NEWRULE,
    NLM_F_CREATE | NLM_F_APPEND,
    text(1 /* TABLE */, TABLE),
    text(2 /* CHAIN */, chain),
    nested(4 /* EXPRESSIONS */, ...expressions),
  );
}

function serviceRules({ protocol, address, port, backends, masquerade }: NatRule): Buffer[] {
  const match = [
    payload(NETWORK_HEADER, 16, 4),
    equals(ipv4(address)),
    meta(NFT_META_L4PROTO),
    equals(Buffer.from([PROTOCOL_NUMBERS[protocol]])),
    payload(TRANSPORT_HEADER, 2, 2),
    equals(uint16(port)),
  ];
  return backends.map((backend, index) => {
    const remaining = backends.length - index;
    return rule(
      SERVICES,
      ...match,
      ...(remaining > 1 ? [oneOf(remaining), equals(native32(0))] : []),
      ...(masquerade ? [immediate(NFT_REG_1, native32(MASQUERADE_MARK)), setMark()] : []),
      immediate(NFT_REG_1, ipv4(backend.address)),
      immediate(NFT_REG_2, uint16(backend.port)),
      destinationNat(),
    );
  });
}

/** List element, expression, name, data. */
function expression(name: string, ...attributes: Buffer[]): Buffer {
  return nested(1 /* LIST_ELEM */, text(1 /* EXPR_NAME */, name), nested(2 /* EXPR_DATA */, ...attributes));
}

function payload(base: number, offset: number, length: number): Buffer {
  return expression(
    'payload',
    number32(1, NFT_REG_1),
    number32(2, base),
    number32(3, offset),
    number32(4, length),
  );
}

function equals(value: Buffer): Buffer {
  return expression('cmp', number32(1, NFT_REG_1), number32(2, 0 /* EQ */), nested(3, attribute(1, value)));
}

function meta(key: number): Buffer {
  return expression('meta', number32(1 /* DREG */, NFT_REG_1), number32(2, key));
}

function setMark(): Buffer {
  return expression('meta', number32(2, NFT_META_MARK), number32(3 /* SREG */, NFT_REG_1));
}

function whenMarked(): Buffer[] {
  return [meta(NFT_META_MARK), equals(native32(MASQUERADE_MARK))];
}

function oneOf(count: number): Buffer {
  return expression('numgen', number32(1, NFT_REG_1), number32(2, count), number32(3, 1 /* RANDOM */));
}

function immediate(register: number, value: Buffer): Buffer {
  return expression('immediate', number32(1, register), nested(2, attribute(1, value)));
}

function jump(target: string): Buffer {
  const verdict = nested(2 /* VERDICT */, number32(1, NFT_JUMP), text(2, target));
  return expression('immediate', number32(1, 0 /* VERDICT register */), nested(2, verdict));
}

function destinationNat(): Buffer {
  return expression(
    'nat',
    number32(1, 1 /* DNAT */),
    number32(2, AF_INET),
    number32(3, NFT_REG_1),
    number32(5, NFT_REG_2),
  );
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** Numbers in registers are in the machine's order. */
function native32(value: number): Buffer {
  return Buffer.from(new Uint32Array([value]).buffer);
}
