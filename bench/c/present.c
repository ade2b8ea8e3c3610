// Presents the leases of a file to a relay, each from its peer's own address, until every one is acknowledged.
// One JSON object on stdout; exits 1, saying what the relay answered, when some stay without an acknowledgement.
#define _GNU_SOURCE
#include <getopt.h>
#include <poll.h>

#include "leases.h"
#include "sessions.h"
#include "sockets.h"
#include "wire.h"

enum {
  IN_FLIGHT = 256, // well below the relay's queue of leases that wait for their check
  RETRY_NS = 1000000000,
  REASONS = 7,
};

static const char USAGE[] = "usage: present --relay IP --port P --client-port P --server-port P --leases FILE\n"
                            "         [--timeout SECONDS]\n";
static const char *const REASON_NAMES[REASONS] = {
    "unknown", "expired", "invalid signature", "wrong relay", "session full", "banned", "rate limited",
};

struct progress {
  uint64_t sent_at;
  int done;
};

static struct leases leases;
static struct progress *progress;
static int32_t lease_of[2][MAX_SESSIONS];
static int sockets[2];
static struct sockaddr_in relay;
static uint32_t acknowledged;
static uint32_t in_flight;
static uint64_t rejected[REASONS];
static uint64_t datagrams;

static void present(uint32_t index, uint64_t now) {
  struct lease *lease = &leases.of[index];
  uint8_t control[SEND_CONTROL_BYTES];
  struct iovec part = {(void *)lease->datagram, lease->length};
  struct msghdr message = {
      .msg_name = &relay, .msg_namelen = sizeof relay, .msg_iov = &part, .msg_iovlen = 1};
  set_source(&message, control, peer_ip(lease->session, lease->kind), 0);
  if (sendmsg(sockets[lease->kind], &message, MSG_DONTWAIT) < 0 && errno != ECONNREFUSED && errno != EAGAIN) {
    fail("sending a lease");
  }
  progress[index].sent_at = now;
  datagrams++;
}

static void take_answers(int role) {
  for (;;) {
    uint8_t answer[MAX_DATAGRAM];
    uint8_t control[128];
    struct iovec part = {answer, sizeof answer};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(sockets[role], &message, MSG_DONTWAIT);
    if (length < 0) {
      return;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != IP_PKTINFO || length < HEADER_BYTES) {
      continue;
    }
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    uint32_t session = ntohl(info.ipi_addr.s_addr) & 0xffff;
    int32_t index = lease_of[role][session];
    if (index < 0 || info.ipi_addr.s_addr != peer_ip(session, role)) {
      continue;
    }
    uint8_t expected_id[SESSION_ID_BYTES];
    session_id_of(session, expected_id);
    if (memcmp(expected_id, answer + SESSION_ID_OFFSET, SESSION_ID_BYTES) != 0) {
      continue;
    }
    if (answer[2] == TYPE_LEASE_REJECT && length >= HEADER_BYTES + 2) {
      uint16_t reason = read_u16(answer + HEADER_BYTES);
      rejected[reason < REASONS ? reason : 0]++;
    }
    if (answer[2] == TYPE_LEASE_ACK && !progress[index].done) {
      progress[index].done = 1;
      acknowledged++;
      in_flight--;
    }
  }
}

static void report(double seconds) {
  printf("{\"leases\":%u,\"acknowledged\":%u,\"datagrams\":%lu,\"seconds\":%.3f,\"rejected\":{", leases.count,
         acknowledged, datagrams, seconds);
  const char *comma = "";
  for (int reason = 0; reason < REASONS; reason++) {
    if (rejected[reason]) {
      printf("%s\"%s\":%lu", comma, REASON_NAMES[reason], rejected[reason]);
      comma = ",";
    }
  }
  puts("}}");
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"relay", required_argument, 0, 'i'},       {"port", required_argument, 0, 'p'},
      {"client-port", required_argument, 0, 'a'}, {"server-port", required_argument, 0, 'b'},
      {"leases", required_argument, 0, 'l'},      {"timeout", required_argument, 0, 't'},
      {0},
  };
  const char *ip = "127.0.0.1";
  const char *file = NULL;
  uint16_t port = 0;
  uint16_t ports[2] = {0, 0};
  double timeout_s = 30;
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'i': ip = optarg; break;
    case 'p': port = (uint16_t)atoi(optarg); break;
    case 'a': ports[CLIENT] = (uint16_t)atoi(optarg); break;
    case 'b': ports[SERVER] = (uint16_t)atoi(optarg); break;
    case 'l': file = optarg; break;
    case 't': timeout_s = atof(optarg); break;
    default: fputs(USAGE, stderr); return 64;
    }
  }
  if (!port || !ports[CLIENT] || !ports[SERVER] || !file) {
    fputs(USAGE, stderr);
    return 64;
  }
  relay = address_of(ip, port);
  leases_read(&leases, file);
  progress = calloc(leases.count, sizeof *progress);
  if (!progress) {
    fail("progress");
  }
  memset(lease_of, 0xff, sizeof lease_of);
  for (uint32_t i = 0; i < leases.count; i++) {
    if (leases.of[i].kind > LEASE_SERVER || leases.of[i].session >= MAX_SESSIONS) {
      fprintf(stderr, "%s: record %u is no peer's lease\n", file, i);
      return 1;
    }
    lease_of[leases.of[i].kind][leases.of[i].session] = (int32_t)i;
  }
  for (int role = 0; role < 2; role++) {
    sockets[role] = udp_socket("0.0.0.0", ports[role], 8 << 20, 0);
    enable(sockets[role], IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO");
  }
  uint64_t start = now_ns();
  uint64_t deadline = start + (uint64_t)(timeout_s * 1e9);
  uint32_t next = 0;
  uint32_t oldest = 0;
  while (acknowledged < leases.count && now_ns() < deadline) {
    uint64_t now = now_ns();
    while (next < leases.count && in_flight < IN_FLIGHT) {
      present(next++, now);
      in_flight++;
    }
    while (oldest < next && progress[oldest].done) {
      oldest++;
    }
    for (uint32_t i = oldest; i < next; i++) {
      if (!progress[i].done && now - progress[i].sent_at > RETRY_NS) {
        present(i, now);
      }
    }
    struct pollfd wait[2] = {{.fd = sockets[CLIENT], .events = POLLIN}, {.fd = sockets[SERVER], .events = POLLIN}};
    poll(wait, 2, 20);
    take_answers(CLIENT);
    take_answers(SERVER);
  }
  report((double)(now_ns() - start) * 1e-9);
  if (acknowledged < leases.count) {
    fprintf(stderr, "%u of %u leases stayed without an acknowledgement from %s:%u after %.0f s\n",
            leases.count - acknowledged, leases.count, ip, port, timeout_s);
    return 1;
  }
  return 0;
}
