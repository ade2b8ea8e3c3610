// Load generator and verifying sink in one busy-polling thread: RIFT transport frames in FORWARD packets, both ways,
// from one address a peer. Every packet is checked for content, destination, order, repetition and loss.
// One JSON object on stdout.
#define _GNU_SOURCE
#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#include "leases.h"
#include "sessions.h"
#include "sockets.h"
#include "wire.h"

enum {
  MESSAGES = 64,
  MAX_TRAIN = 64,
  MAX_SEGMENTED_BYTES = 65000,
  RECEIVE_BYTES = 65535,
  RECEIVE_STRIDE = 65536 + 4352,
  SOCKET_BUFFER_BYTES = 64 << 20,
  // session index u32 and the time of sending u64, behind the header and the RIFT header
  INDEX_AT = HEADER_BYTES + RIFT_TRANSPORT_BYTES,
  TIME_AT = INDEX_AT + 4,
  FILLER_AT = TIME_AT + 8,
  CHANNEL_DATA_BYTES = 4,
  FILLER_SIZE = 65536 + MAX_DATAGRAM,
  BUCKET_NS = 100,
  BUCKETS = 1000000,
  FLOOD_MESSAGES = 16,
  SINK_INTERVAL_NS = 100000,
  QUIET_NS = 250000000,
};

static const char USAGE[] =
    "usage: traffic --relay IP --port P --client-port P --server-port P --sessions N --size BYTES --rate PPS\n"
    "         --seconds S [--burst N] [--train N] [--segment] [--gro-sink] [--latency] [--sink-thread]\n"
    "         [--flood-file F --flood-rate PPS] [--turn FILE]\n"
    "  --burst N      packets are released N at a time\n"
    "  --train N      N packets of a session in a row, else sessions take turns\n"
    "  --segment      a train leaves as one segmented send (UDP_SEGMENT)\n"
    "  --gro-sink     receive coalesced trains (UDP_GRO), as a peer behind a segmenting network card would\n"
    "  --latency      poll without pause and report latency to 0.1 us\n"
    "  --turn FILE    speak TURN channels instead: relayed ports, one a line\n";

static struct {
  struct sockaddr_in relay;
  uint32_t sessions;
  uint32_t size;
  double rate;
  double seconds;
  uint32_t burst;
  uint32_t train;
  int segment;
  int gro_sink;
  int latency;
  int sink_thread;
  double flood_rate;
  int turn;
} settings = {.burst = 1, .train = 1};

static uint8_t filler[FILLER_SIZE];
static uint8_t session_ids[MAX_SESSIONS][SESSION_ID_BYTES];
static uint16_t relayed_ports[MAX_SESSIONS];
static int sockets[2];

// ---- the sink

struct arrivals {
  uint64_t highest;
  uint64_t seen; // bit k: `highest - k` has arrived
};

static struct {
  struct arrivals of[2][MAX_SESSIONS]; // by receiving role
  uint64_t first_id;
  uint64_t received;
  uint64_t corrupt;
  uint64_t misdelivered;
  uint64_t reordered;
  uint64_t duplicate;
  uint64_t stale;
  uint32_t *histogram;
  uint64_t slowest_ns;
  volatile int stop;
} sink;

static uint32_t filler_offset(uint32_t session, uint64_t packet_id) {
  return (uint32_t)(session * 7919u + packet_id * 104729u) & 0xffff;
}

static void check_arrival(const uint8_t *datagram, uint32_t length, int role, uint32_t destination, uint64_t now) {
  if (settings.turn && role == CLIENT) {
    if (length < CHANNEL_DATA_BYTES) {
      sink.corrupt++;
      return;
    }
    datagram += CHANNEL_DATA_BYTES;
    length -= CHANNEL_DATA_BYTES;
  }
  if (length >= HEADER_BYTES && datagram[2] != TYPE_FORWARD && datagram[0] == MAGIC) {
    sink.stale++; // an answer to a lease presented before
    return;
  }
  if (length != settings.size || read_u32(datagram) != (MAGIC << 24 | WIRE_VERSION << 16 | TYPE_FORWARD << 8)) {
    sink.corrupt++;
    return;
  }
  const uint8_t *rift = datagram + HEADER_BYTES;
  uint32_t index;
  memcpy(&index, datagram + INDEX_AT, sizeof index);
  if (index >= settings.sessions || memcmp(session_ids[index], datagram + SESSION_ID_OFFSET, SESSION_ID_BYTES) != 0 ||
      crc16_kermit(rift, 16) != read_u16(rift + 16)) {
    sink.corrupt++;
    return;
  }
  uint64_t packet_id = read_u64(rift + 8);
  if (memcmp(datagram + FILLER_AT, filler + filler_offset(index, packet_id), length - FILLER_AT) != 0) {
    sink.corrupt++;
    return;
  }
  if (destination != peer_ip(index, role)) {
    sink.misdelivered++;
    return;
  }
  if (packet_id < sink.first_id) {
    sink.stale++;
    return;
  }
  struct arrivals *arrivals = &sink.of[role][index];
  if (packet_id > arrivals->highest) {
    uint64_t ahead = packet_id - arrivals->highest;
    arrivals->seen = ahead >= 64 ? 1 : arrivals->seen << ahead | 1;
    arrivals->highest = packet_id;
  } else {
    uint64_t behind = arrivals->highest - packet_id;
    if (behind < 64 && arrivals->seen >> behind & 1) {
      sink.duplicate++;
      return;
    }
    sink.reordered++;
    if (behind < 64) {
      arrivals->seen |= 1ull << behind;
    }
  }
  sink.received++;
  if (now) {
    uint64_t sent;
    memcpy(&sent, datagram + TIME_AT, sizeof sent);
    uint64_t took = now - sent;
    uint64_t bucket = took / BUCKET_NS;
    sink.histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (took > sink.slowest_ns) {
      sink.slowest_ns = took;
    }
  }
}

static int drain(int role) {
  static uint8_t *slots;
  static struct mmsghdr messages[MESSAGES];
  static struct iovec parts[MESSAGES];
  static uint8_t control[MESSAGES][128];
  if (!slots) {
    slots = calloc(MESSAGES, RECEIVE_STRIDE);
    if (!slots) {
      fail("receive buffers");
    }
    for (int i = 0; i < MESSAGES; i++) {
      parts[i].iov_base = slots + (size_t)i * RECEIVE_STRIDE;
      parts[i].iov_len = RECEIVE_BYTES;
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i];
    }
  }
  for (int i = 0; i < MESSAGES; i++) {
    messages[i].msg_hdr.msg_controllen = sizeof control[i];
  }
  int count = recvmmsg(sockets[role], messages, MESSAGES, MSG_DONTWAIT, NULL);
  if (count <= 0) {
    return 0;
  }
  uint64_t now = settings.latency ? now_ns() : 0;
  for (int i = 0; i < count; i++) {
    uint32_t destination = 0;
    uint32_t total = messages[i].msg_len;
    uint32_t segment = total;
    struct msghdr *message = &messages[i].msg_hdr;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
      if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(header), sizeof info);
        destination = info.ipi_addr.s_addr;
      }
      if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
        int size;
        memcpy(&size, CMSG_DATA(header), sizeof size);
        segment = (uint32_t)size;
      }
    }
    uint32_t at = 0;
    do {
      uint32_t length = total - at < segment ? total - at : segment;
      check_arrival((uint8_t *)parts[i].iov_base + at, length, role, destination, now);
      at += segment;
    } while (at < total);
  }
  return count;
}

static int drain_both(void) {
  int got = 0;
  for (int role = 0; role < 2; role++) {
    for (int turn = 0; turn < 16; turn++) {
      int count = drain(role);
      got += count;
      if (count < MESSAGES) {
        break;
      }
    }
  }
  return got;
}

static void *run_sink(void *unused) {
  (void)unused;
  while (!sink.stop) {
    drain_both();
  }
  return NULL;
}

static double percentile_us(double share) {
  uint64_t total = 0;
  for (int i = 0; i < BUCKETS; i++) {
    total += sink.histogram[i];
  }
  uint64_t below = 0;
  for (int i = 0; i < BUCKETS; i++) {
    below += sink.histogram[i];
    if (total && (double)below >= (double)total * share) {
      if (i == BUCKETS - 1) {
        return (double)sink.slowest_ns / 1000; // the last bucket has no end
      }
      return (i + 0.5) * BUCKET_NS / 1000.0;
    }
  }
  return 0;
}

// ---- the source

struct packet_head {
  uint8_t bytes[CHANNEL_DATA_BYTES + FILLER_AT];
};

static struct {
  uint64_t sent;
  uint64_t refused;
  uint64_t packet_ids[2][MAX_SESSIONS];
  uint32_t session;
  uint32_t in_train;
  int role;
} source;

static uint32_t next_session(void) {
  uint32_t session = source.session;
  source.in_train++;
  if (source.in_train >= settings.train) {
    source.in_train = 0;
    source.session = (source.session + 1) % settings.sessions;
  }
  return session;
}

// Channel number 0x4000, as turn.c binds it for each session's server.
static uint32_t write_head(uint8_t *at, uint32_t session, int role, uint64_t packet_id, uint64_t now) {
  uint32_t before = 0;
  if (settings.turn && role == CLIENT) {
    write_u16(at, 0x4000);
    write_u16(at + 2, (uint16_t)settings.size);
    before = CHANNEL_DATA_BYTES;
    at += before;
  }
  write_header(at, TYPE_FORWARD, session_ids[session]);
  write_rift_transport(at + HEADER_BYTES, session + 1, packet_id);
  memcpy(at + INDEX_AT, &session, sizeof session);
  memcpy(at + TIME_AT, &now, sizeof now);
  return before + FILLER_AT;
}

static void send_packets(uint32_t wanted, uint64_t now) {
  static struct mmsghdr messages[MESSAGES];
  static struct iovec parts[MESSAGES][MAX_TRAIN * 2];
  static struct packet_head heads[MESSAGES][MAX_TRAIN];
  static uint8_t control[MESSAGES][SEND_CONTROL_BYTES];
  static struct sockaddr_in destinations[MESSAGES];
  uint32_t each = settings.segment ? settings.train : 1;
  uint32_t count = wanted / each;
  if (count > MESSAGES) {
    count = MESSAGES;
  }
  int role = source.role;
  source.role = 1 - role;
  for (uint32_t m = 0; m < count; m++) {
    struct msghdr *message = &messages[m].msg_hdr;
    uint32_t session = 0;
    uint32_t head_bytes = 0;
    for (uint32_t p = 0; p < each; p++) {
      session = next_session();
      uint64_t packet_id = ++source.packet_ids[role][session];
      uint8_t *head = heads[m][p].bytes;
      head_bytes = write_head(head, session, role, packet_id, now);
      parts[m][p * 2] = (struct iovec){head, head_bytes};
      parts[m][p * 2 + 1] =
          (struct iovec){filler + filler_offset(session, packet_id), settings.size - FILLER_AT};
    }
    destinations[m] = settings.relay;
    if (settings.turn && role == SERVER) {
      destinations[m].sin_port = htons(relayed_ports[session]);
    }
    message->msg_name = &destinations[m];
    message->msg_namelen = sizeof destinations[m];
    message->msg_iov = parts[m];
    message->msg_iovlen = each * 2;
    uint32_t datagram_bytes = head_bytes + settings.size - FILLER_AT;
    set_source(message, control[m], peer_ip(session, role), each > 1 ? (uint16_t)datagram_bytes : 0);
  }
  uint32_t out = (uint32_t)send_all(sockets[role], messages, (int)count);
  source.sent += (uint64_t)out * each;
  source.refused += (uint64_t)(count - out) * each;
}

// ---- the flood of bad leases beside the traffic

static struct {
  struct leases leases;
  int fd;
  uint64_t sent;
  uint64_t random;
} flood;

static void send_flood(uint32_t wanted) {
  static struct mmsghdr messages[FLOOD_MESSAGES];
  static struct iovec parts[FLOOD_MESSAGES];
  static uint8_t datagrams[FLOOD_MESSAGES][MAX_DATAGRAM];
  static uint8_t control[FLOOD_MESSAGES][SEND_CONTROL_BYTES];
  uint32_t count = wanted < FLOOD_MESSAGES ? wanted : FLOOD_MESSAGES;
  for (uint32_t m = 0; m < count; m++) {
    flood.random = splitmix64(flood.random);
    struct msghdr *message = &messages[m].msg_hdr;
    parts[m].iov_base = datagrams[m];
    parts[m].iov_len = leases_copy(&flood.leases, flood.random, datagrams[m]);
    message->msg_name = &settings.relay;
    message->msg_namelen = sizeof settings.relay;
    message->msg_iov = &parts[m];
    message->msg_iovlen = 1;
    set_source(message, control[m], stranger_ip(flood.random >> 32), 0);
  }
  flood.sent += (uint64_t)send_all(flood.fd, messages, (int)count);
}

// ----

static void read_relayed_ports(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    fail(path);
  }
  for (uint32_t i = 0; i < settings.sessions; i++) {
    if (fscanf(file, "%hu", &relayed_ports[i]) != 1) {
      fprintf(stderr, "%s has fewer than %u relayed ports\n", path, settings.sessions);
      exit(1);
    }
  }
  fclose(file);
}

static double run(void) {
  uint64_t start = now_ns();
  uint64_t end = start + (uint64_t)(settings.seconds * 1e9);
  uint64_t drained = start;
  for (;;) {
    uint64_t now = now_ns();
    if (now >= end) {
      return (double)(now - start) * 1e-9;
    }
    double elapsed = (double)(now - start) * 1e-9;
    double due = settings.rate * elapsed - (double)(source.sent + source.refused);
    if (due >= settings.burst) {
      uint32_t bursts = (uint32_t)due / settings.burst;
      send_packets(bursts * settings.burst, now);
    }
    if (flood.fd) {
      double flood_due = settings.flood_rate * elapsed - (double)flood.sent;
      if (flood_due >= 1) {
        send_flood((uint32_t)flood_due);
      }
    }
    if (!settings.sink_thread && (settings.latency || now - drained >= SINK_INTERVAL_NS)) {
      drained = now;
      drain_both();
    }
  }
}

static void wait_for_stragglers(void) {
  uint64_t quiet = now_ns() + QUIET_NS;
  while (now_ns() < quiet && sink.received < source.sent) {
    if (drain_both()) {
      quiet = now_ns() + QUIET_NS;
    }
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"relay", required_argument, 0, 'i'},       {"port", required_argument, 0, 'p'},
      {"client-port", required_argument, 0, 'a'}, {"server-port", required_argument, 0, 'b'},
      {"sessions", required_argument, 0, 'n'},    {"size", required_argument, 0, 's'},
      {"rate", required_argument, 0, 'r'},        {"seconds", required_argument, 0, 'd'},
      {"burst", required_argument, 0, 'u'},       {"train", required_argument, 0, 't'},
      {"segment", no_argument, 0, 'g'},           {"gro-sink", no_argument, 0, 'G'},
      {"latency", no_argument, 0, 'L'},           {"sink-thread", no_argument, 0, 'T'},
      {"flood-file", required_argument, 0, 'F'},  {"flood-rate", required_argument, 0, 'R'},
      {"turn", required_argument, 0, 'c'},        {0},
  };
  const char *relay = "127.0.0.1";
  const char *flood_file = NULL;
  const char *turn_file = NULL;
  uint16_t port = 0;
  uint16_t ports[2] = {0, 0};
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'i': relay = optarg; break;
    case 'p': port = (uint16_t)atoi(optarg); break;
    case 'a': ports[CLIENT] = (uint16_t)atoi(optarg); break;
    case 'b': ports[SERVER] = (uint16_t)atoi(optarg); break;
    case 'n': settings.sessions = (uint32_t)atoi(optarg); break;
    case 's': settings.size = (uint32_t)atoi(optarg); break;
    case 'r': settings.rate = atof(optarg); break;
    case 'd': settings.seconds = atof(optarg); break;
    case 'u': settings.burst = (uint32_t)atoi(optarg); break;
    case 't': settings.train = (uint32_t)atoi(optarg); break;
    case 'g': settings.segment = 1; break;
    case 'G': settings.gro_sink = 1; break;
    case 'L': settings.latency = 1; break;
    case 'T': settings.sink_thread = 1; break;
    case 'F': flood_file = optarg; break;
    case 'R': settings.flood_rate = atof(optarg); break;
    case 'c': turn_file = optarg; settings.turn = 1; break;
    default: fputs(USAGE, stderr); return 64;
    }
  }
  if (!port || !ports[CLIENT] || !ports[SERVER] || !settings.sessions || settings.sessions > MAX_SESSIONS ||
      settings.size <= FILLER_AT || settings.size > MAX_DATAGRAM || settings.rate <= 0 || settings.seconds <= 0 ||
      settings.train < 1 || settings.train > MAX_TRAIN || settings.burst < 1 ||
      (settings.segment && (settings.train * settings.size > MAX_SEGMENTED_BYTES || settings.burst % settings.train))) {
    fputs(USAGE, stderr);
    return 64;
  }
  crc16_init();
  settings.relay = address_of(relay, port);
  uint64_t random = 1;
  for (int i = 0; i < FILLER_SIZE; i++) {
    random = splitmix64(random);
    filler[i] = (uint8_t)random;
  }
  // Packet ids go on rising from one run to the next, so that the relays' replay windows accept them.
  sink.first_id = now_ns() / 1000;
  for (uint32_t i = 0; i < settings.sessions; i++) {
    session_id_of(i, session_ids[i]);
    source.packet_ids[CLIENT][i] = sink.first_id;
    source.packet_ids[SERVER][i] = sink.first_id;
  }
  sink.histogram = calloc(BUCKETS, sizeof *sink.histogram);
  if (!sink.histogram) {
    fail("histogram");
  }
  if (turn_file) {
    read_relayed_ports(turn_file);
  }
  for (int role = 0; role < 2; role++) {
    sockets[role] = udp_socket("0.0.0.0", ports[role], SOCKET_BUFFER_BYTES, 0);
    enable(sockets[role], IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO");
    if (settings.gro_sink) {
      enable(sockets[role], SOL_UDP, UDP_GRO, "UDP_GRO");
    }
  }
  if (flood_file && settings.flood_rate > 0) {
    leases_read(&flood.leases, flood_file);
    flood.fd = udp_socket("0.0.0.0", 0, 0, 0);
    flood.random = now_ns();
  }
  pthread_t sink_thread;
  if (settings.sink_thread && pthread_create(&sink_thread, NULL, run_sink, NULL) != 0) {
    fail("pthread_create");
  }
  double seconds = run();
  if (settings.sink_thread) {
    sink.stop = 1;
    pthread_join(sink_thread, NULL);
  }
  wait_for_stragglers();
  printf("{\"sent\":%lu,\"received\":%lu,\"corrupt\":%lu,\"misdelivered\":%lu,\"reordered\":%lu,\"duplicate\":%lu,"
         "\"stale\":%lu,\"refused\":%lu,\"seconds\":%.6f,\"floodSent\":%lu",
         source.sent, sink.received, sink.corrupt, sink.misdelivered, sink.reordered, sink.duplicate, sink.stale,
         source.refused, seconds, flood.sent);
  if (settings.latency) {
    printf(",\"latencyUs\":{\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}", percentile_us(0.5),
           percentile_us(0.9), percentile_us(0.99), percentile_us(0.999), (double)sink.slowest_ns / 1000);
  }
  puts("}");
  return 0;
}
