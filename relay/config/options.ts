/**
 * The one table of options: parsing, `--help`, the ajv schema and the error messages come from it (design-relay 7).
 *
 * Defaults and ranges are those of today's relay where it has the option. What that relay quietly moved into its range
 * is still moved (`outOfRange: 'clamp'`), with a warning: a drop-in must start where the old one did.
 */
export interface Option {
  readonly flag: string;
  readonly variable: string;
  /** Other spellings that mean the same. */
  readonly otherFlags?: readonly string[];
  readonly otherVariables?: readonly string[];
  readonly group: OptionGroup;
  readonly kind: OptionKind;
  /** As one would write it; absent: unset. */
  readonly default?: string;
  /** What being unset means, for the help. */
  readonly unset?: string;
  readonly help: string;
  /** Its value appears in no message. */
  readonly secret?: boolean;
}

type OptionGroup = 'Peers' | 'Master' | 'Limits' | 'Sessions' | 'Data path' | 'Running it' | 'Development';

type OptionKind =
  | {
      readonly type: 'integer';
      /** Empty for what is no quantity. */
      readonly unit: string;
      readonly least: number;
      readonly most: number;
      readonly outOfRange: 'clamp' | 'refuse';
      /** A word that stands for "unset". */
      readonly word?: string;
    }
  | { readonly type: 'boolean' }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | {
      readonly type: 'text';
      readonly placeholder: string;
      readonly format: TextFormat;
      /** Repeatable as a flag; a comma between values in the variable. */
      readonly list?: boolean;
    };

export type TextFormat =
  | 'socket-address'
  | 'endpoint'
  | 'host-port'
  | 'master-url'
  | 'master-key'
  | 'bearer-token'
  | 'relay-id'
  | 'label'
  | 'path'
  | 'log-filter';

const U32 = 4_294_967_295;
const YEAR_SECS = 31_536_000;
/** What the state file holds (relay/control/state-file.ts); far beyond what four workers can feed. */
const MOST_SESSIONS = 262_144;

export const OPTIONS = {
  listen: {
    flag: 'listen',
    variable: 'WAVRY_RELAY_LISTEN',
    group: 'Peers',
    kind: { type: 'text', placeholder: 'IP:PORT', format: 'socket-address' },
    default: '0.0.0.0:4000',
    help: 'UDP address for peers; [::]:4000 serves IPv4 and IPv6, port 0 takes any free one',
  },
  allowPublicBind: {
    flag: 'allow-public-bind',
    variable: 'WAVRY_RELAY_ALLOW_PUBLIC_BIND',
    group: 'Peers',
    kind: { type: 'boolean' },
    default: 'false',
    help: 'allow --listen and --health-listen on addresses other than loopback',
  },
  advertise: {
    flag: 'advertise',
    variable: 'WAVRY_RELAY_ADVERTISE',
    group: 'Peers',
    kind: { type: 'text', placeholder: 'IP:PORT', format: 'endpoint', list: true },
    unset: 'control directory, else STUN, else --listen when that is a specific address',
    help: 'address under which peers reach this relay, registered with Master; repeatable, IPv4 first',
  },
  stunServer: {
    flag: 'stun-server',
    variable: 'WAVRY_RELAY_STUN_SERVER',
    group: 'Peers',
    kind: { type: 'text', placeholder: 'HOST[:PORT]', format: 'host-port' },
    unset: 'none',
    help: 'STUN server that tells the address to register',
  },
  masterUrl: {
    flag: 'master-url',
    variable: 'WAVRY_MASTER_URL',
    otherVariables: ['WAVRY_RELAY_MASTER_URL'],
    group: 'Master',
    kind: { type: 'text', placeholder: 'URL', format: 'master-url' },
    default: 'http://localhost:8080',
    help: 'where Master is',
  },
  masterPublicKeys: {
    flag: 'master-public-key',
    variable: 'WAVRY_RELAY_MASTER_PUBLIC_KEY',
    group: 'Master',
    kind: { type: 'text', placeholder: 'HEX | KID=HEX', format: 'master-key', list: true },
    unset: "the key in Master's answer to the registration",
    help: 'Ed25519 public key that Master signs leases with, 64 hex digits, with its key id if known; repeatable',
    secret: true,
  },
  masterKeysFile: {
    flag: 'master-keys-file',
    variable: 'WAVRY_RELAY_MASTER_KEYS_FILE',
    group: 'Master',
    kind: { type: 'text', placeholder: 'FILE', format: 'path' },
    unset: 'none',
    help: 'file with more such keys, one a line; read again when it changes',
  },
  masterToken: {
    flag: 'master-token',
    otherFlags: ['master-auth-token'],
    variable: 'WAVRY_RELAY_MASTER_TOKEN',
    group: 'Master',
    kind: { type: 'text', placeholder: 'TOKEN', format: 'bearer-token' },
    unset: 'none',
    help: 'bearer token for registration and heartbeats; a flag shows in the process list, prefer the file',
    secret: true,
  },
  masterTokenFile: {
    flag: 'master-token-file',
    variable: 'WAVRY_RELAY_MASTER_TOKEN_FILE',
    group: 'Master',
    kind: { type: 'text', placeholder: 'FILE', format: 'path' },
    unset: 'none',
    help: 'file with that token; read at each call',
  },
  relayId: {
    flag: 'relay-id',
    variable: 'WAVRY_RELAY_ID',
    group: 'Master',
    kind: { type: 'text', placeholder: 'ID', format: 'relay-id' },
    unset: 'kept in --state-dir, else random',
    help: 'identity at Master; leases name it',
  },
  region: {
    flag: 'region',
    variable: 'WAVRY_RELAY_REGION',
    group: 'Master',
    kind: { type: 'text', placeholder: 'NAME', format: 'label' },
    unset: 'none',
    help: 'geographic region told to Master, such as us-east-1',
  },
  asn: {
    flag: 'asn',
    variable: 'WAVRY_RELAY_ASN',
    group: 'Master',
    kind: { type: 'integer', unit: '', least: 0, most: U32, outOfRange: 'refuse' },
    unset: 'none',
    help: 'autonomous system number told to Master',
  },
  maxBitrateKbps: {
    flag: 'max-bitrate-kbps',
    variable: 'WAVRY_RELAY_MAX_BITRATE',
    otherVariables: ['WAVRY_RELAY_MAX_BITRATE_KBPS'],
    group: 'Master',
    kind: { type: 'integer', unit: 'kbps', least: 10_000, most: U32, outOfRange: 'refuse' },
    default: '20000',
    help: 'maximum supported bitrate told to Master (which takes no less than 10000)',
  },
  maxSessions: {
    flag: 'max-sessions',
    variable: 'WAVRY_RELAY_MAX_SESSIONS',
    group: 'Limits',
    kind: { type: 'integer', unit: 'sessions', least: 1, most: MOST_SESSIONS, outOfRange: 'clamp' },
    default: '100',
    help: 'sessions held at once, waiting ones included',
  },
  maxThroughputMbps: {
    flag: 'max-throughput-mbps',
    variable: 'WAVRY_RELAY_MAX_THROUGHPUT_MBPS',
    group: 'Limits',
    kind: { type: 'integer', unit: 'Mbps', least: 1, most: 10_000_000, outOfRange: 'refuse' },
    unset: 'no limit',
    help: 'forwarded traffic of all sessions at whose shed threshold new ones are refused',
  },
  loadShedThresholdPct: {
    flag: 'load-shed-threshold-pct',
    variable: 'WAVRY_RELAY_LOAD_SHED_THRESHOLD_PCT',
    group: 'Limits',
    kind: { type: 'integer', unit: '%', least: 50, most: 100, outOfRange: 'clamp' },
    default: '95',
    help: 'share of --max-sessions (and --max-throughput-mbps) from which new sessions are refused',
  },
  ipRateLimitPps: {
    flag: 'ip-rate-limit-pps',
    variable: 'WAVRY_RELAY_IP_RATE_LIMIT_PPS',
    group: 'Limits',
    kind: { type: 'integer', unit: 'packets/s', least: 1, most: 1_000_000_000, outOfRange: 'clamp' },
    default: '1000',
    help: 'per source IP (IPv6: per /64) and worker, for packets of no active session and leases to verify',
  },
  identityRateLimitPps: {
    flag: 'identity-rate-limit-pps',
    variable: 'WAVRY_RELAY_IDENTITY_RATE_LIMIT_PPS',
    group: 'Limits',
    kind: { type: 'integer', unit: 'leases/s', least: 1, most: 1_000_000_000, outOfRange: 'clamp' },
    default: '200',
    help: 'lease packets per identity and worker',
  },
  packetQueueCapacity: {
    flag: 'packet-queue-capacity',
    variable: 'WAVRY_RELAY_PACKET_QUEUE_CAPACITY',
    group: 'Limits',
    kind: { type: 'integer', unit: 'packets', least: 2, most: 65_536, outOfRange: 'clamp' },
    default: '2048',
    help: 'lease packets that may wait for their signature check, per worker',
  },
  idleTimeoutMs: {
    flag: 'idle-timeout',
    variable: 'WAVRY_RELAY_IDLE_TIMEOUT',
    group: 'Sessions',
    kind: { type: 'integer', unit: 'seconds', least: 1, most: YEAR_SECS, outOfRange: 'clamp' },
    default: '60',
    help: 'a session without any packet ends after this',
  },
  leaseDurationMs: {
    flag: 'lease-duration-secs',
    variable: 'WAVRY_RELAY_LEASE_DURATION_SECS',
    group: 'Sessions',
    kind: { type: 'integer', unit: 'seconds', least: 1, most: YEAR_SECS, outOfRange: 'clamp' },
    default: '300',
    help: "a session lives this long after each accepted lease or renewal, or until its token's end if that is later",
  },
  cleanupIntervalMs: {
    flag: 'cleanup-interval-secs',
    variable: 'WAVRY_RELAY_CLEANUP_INTERVAL_SECS',
    group: 'Sessions',
    kind: { type: 'integer', unit: 'seconds', least: 1, most: 86_400, outOfRange: 'clamp' },
    default: '10',
    help: 'how often ended sessions are removed',
  },
  renewOnTraffic: {
    flag: 'renew-on-traffic',
    variable: 'WAVRY_RELAY_RENEW_ON_TRAFFIC',
    group: 'Sessions',
    kind: { type: 'boolean' },
    default: 'true',
    help: 'traffic of both peers renews their session',
  },
  rebindOnForward: {
    flag: 'rebind-on-forward',
    variable: 'WAVRY_RELAY_REBIND_ON_FORWARD',
    group: 'Sessions',
    kind: { type: 'choice', choices: ['port', 'off'] },
    default: 'port',
    help: 'follow a peer whose NAT gave it another port in the middle of its traffic',
  },
  workers: {
    flag: 'workers',
    variable: 'WAVRY_RELAY_WORKERS',
    group: 'Data path',
    kind: { type: 'integer', unit: 'threads', least: 1, most: 64, outOfRange: 'refuse', word: 'auto' },
    default: 'auto',
    help: 'threads that forward; auto is one for each core granted to the process, at most 4',
  },
  datapath: {
    flag: 'datapath',
    variable: 'WAVRY_RELAY_DATAPATH',
    group: 'Data path',
    kind: { type: 'choice', choices: ['auto', 'mmsg', 'dgram'] },
    default: 'auto',
    help: 'mmsg is recvmmsg/sendmmsg (Linux), dgram is node:dgram (anywhere, slower)',
  },
  healthListen: {
    flag: 'health-listen',
    variable: 'WAVRY_RELAY_HEALTH_LISTEN',
    group: 'Running it',
    kind: { type: 'text', placeholder: 'IP:PORT', format: 'socket-address' },
    default: '127.0.0.1:9091',
    help: 'HTTP address of /health, /ready, /metrics and /metrics/prometheus',
  },
  stateDir: {
    flag: 'state-dir',
    variable: 'WAVRY_RELAY_STATE_DIR',
    group: 'Running it',
    kind: { type: 'text', placeholder: 'DIR', format: 'path' },
    unset: 'nothing is kept',
    help: 'where identity and sessions are kept, so that they survive a restart',
  },
  controlDir: {
    flag: 'control-dir',
    variable: 'WAVRY_RELAY_CONTROL_DIR',
    group: 'Running it',
    kind: { type: 'text', placeholder: 'DIR', format: 'path' },
    unset: 'none',
    help: 'directory of the files draining (true or false) and endpoints (one ip:port a line), watched',
  },
  drainTimeoutMs: {
    flag: 'drain-timeout-secs',
    variable: 'WAVRY_RELAY_DRAIN_TIMEOUT_SECS',
    group: 'Running it',
    kind: { type: 'integer', unit: 'seconds', least: 0, most: YEAR_SECS, outOfRange: 'refuse' },
    default: '3600',
    help: 'after SIGTERM or SIGINT, how long sessions may go on before the process ends; a second signal ends it at once',
  },
  statsLogIntervalMs: {
    flag: 'stats-log-interval-secs',
    variable: 'WAVRY_RELAY_STATS_LOG_INTERVAL_SECS',
    group: 'Running it',
    kind: { type: 'integer', unit: 'seconds', least: 5, most: 86_400, outOfRange: 'clamp' },
    default: '30',
    help: 'how often a line of statistics is logged',
  },
  logLevel: {
    flag: 'log-level',
    variable: 'WAVRY_RELAY_LOG_LEVEL',
    otherVariables: ['RUST_LOG'],
    group: 'Running it',
    kind: { type: 'text', placeholder: 'LEVEL', format: 'log-filter' },
    default: 'info',
    help: 'error, warn, info, debug or off; filters like wavry_relay=debug,hyper=warn are understood',
  },
  logFormat: {
    flag: 'log-format',
    variable: 'WAVRY_RELAY_LOG_FORMAT',
    group: 'Running it',
    kind: { type: 'choice', choices: ['text', 'json'] },
    default: 'text',
    help: 'one line of text or one JSON object for each event, on stdout',
  },
  allowInsecureDev: {
    flag: 'allow-insecure-dev',
    variable: 'WAVRY_RELAY_ALLOW_INSECURE_DEV',
    group: 'Development',
    kind: { type: 'boolean' },
    default: 'false',
    help: 'take leases without checking their signature; never in production',
  },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionKey = keyof typeof OPTIONS;

/** The table's rows with their keys, in the order of the help. */
export const OPTION_ROWS: readonly (readonly [OptionKey, Option])[] = Object.entries(OPTIONS) as [
  OptionKey,
  Option,
][];

/** Variables of today's relay that are no longer needed: set or not, they change nothing (wire reference 5, fault 17). */
export const IGNORED_VARIABLES: readonly string[] = [
  'WAVRY_RELAY_ALLOW_HOST_PROD_BIND',
  'WAVRY_ALLOW_INSECURE_RELAY',
];
