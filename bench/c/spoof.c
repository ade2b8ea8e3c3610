// A flood by a stranger who can spoof: every datagram from another address of 127.128.0.0/9 and about another session.
// Nine kinds in turn, so that everything a relay could be made to remember is offered to it.
// One JSON object on stdout.
#define _GNU_SOURCE
#include <getopt.h>

#include "leases.h"
#include "sessions.h"
#include "sockets.h"
#include "wire.h"

enum { MESSAGES = 64, KINDS = 9 };

static const char USAGE[] = "usage: spoof --relay IP --port P --leases FILE --packets N --rate PPS [--sessions N] [--seed N]\n"
                            "  --leases FILE  bad leases to send\n"
                            "  --sessions N   sessions that exist, for packets that name one of them\n";

static struct leases leases;
static uint32_t sessions = 1;

static void random_id(uint64_t random, uint8_t *out) {
  uint64_t half = splitmix64(random);
  memcpy(out, &random, 8);
  memcpy(out + 8, &half, 8);
}

// Returns the datagram's length in bytes.
static uint16_t make(uint64_t random, uint32_t kind, uint8_t *out) {
  uint8_t id[SESSION_ID_BYTES];
  random_id(random, id);
  switch (kind) {
  case 0: // another session each time, sound frame
    write_header(out, TYPE_FORWARD, id);
    write_rift_transport(out + HEADER_BYTES, (uint32_t)random | 1, random);
    return 100;
  case 1: // a session that exists, sound frame, somebody else's address
    session_id_of((uint32_t)(random % sessions), id);
    write_header(out, TYPE_FORWARD, id);
    write_rift_transport(out + HEADER_BYTES, (uint32_t)random | 1, random);
    return 1200;
  case 2: // a session that exists, broken frame
    session_id_of((uint32_t)(random % sessions), id);
    write_header(out, TYPE_FORWARD, id);
    write_rift_transport(out + HEADER_BYTES, (uint32_t)random | 1, random);
    out[HEADER_BYTES + 16] ^= 1;
    return 100;
  case 3: // renewal of a session that does not exist
    write_header(out, TYPE_LEASE_RENEW, id);
    return HEADER_BYTES;
  case 4: // renewal of one that does
    session_id_of((uint32_t)(random % sessions), id);
    write_header(out, TYPE_LEASE_RENEW, id);
    return HEADER_BYTES;
  case 5: // noise
    for (int at = 0; at < 64; at += 8) {
      random = splitmix64(random);
      memcpy(out + at, &random, 8);
    }
    return 64;
  case 6: // a runt
    out[0] = MAGIC;
    return (uint16_t)(random % HEADER_BYTES);
  default: // a lease that is garbage or wrongly signed
    return leases_copy(&leases, random, out);
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"relay", required_argument, 0, 'i'},    {"port", required_argument, 0, 'p'},
      {"leases", required_argument, 0, 'l'},   {"packets", required_argument, 0, 'k'},
      {"rate", required_argument, 0, 'r'},     {"sessions", required_argument, 0, 'n'},
      {"seed", required_argument, 0, 's'},     {0},
  };
  const char *ip = "127.0.0.1";
  const char *file = NULL;
  uint16_t port = 0;
  uint64_t packets = 0;
  uint64_t seed = now_ns();
  double rate = 0;
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'i': ip = optarg; break;
    case 'p': port = (uint16_t)atoi(optarg); break;
    case 'l': file = optarg; break;
    case 'k': packets = strtoull(optarg, NULL, 10); break;
    case 'r': rate = atof(optarg); break;
    case 'n': sessions = (uint32_t)atoi(optarg); break;
    case 's': seed = strtoull(optarg, NULL, 10); break;
    default: fputs(USAGE, stderr); return 64;
    }
  }
  if (!port || !file || !packets || rate <= 0 || !sessions) {
    fputs(USAGE, stderr);
    return 64;
  }
  crc16_init();
  leases_read(&leases, file);
  struct sockaddr_in relay = address_of(ip, port);
  int fd = udp_socket("0.0.0.0", 0, 8 << 20, 0);
  static struct mmsghdr messages[MESSAGES];
  static struct iovec parts[MESSAGES];
  static uint8_t datagrams[MESSAGES][MAX_DATAGRAM];
  static uint8_t control[MESSAGES][SEND_CONTROL_BYTES];
  uint64_t made = 0;
  uint64_t sent = 0;
  uint64_t start = now_ns();
  while (made < packets) {
    double due = rate * (double)(now_ns() - start) * 1e-9 - (double)made;
    if (due < MESSAGES) {
      continue;
    }
    for (int m = 0; m < MESSAGES; m++) {
      uint64_t random = splitmix64(seed + made);
      parts[m].iov_base = datagrams[m];
      parts[m].iov_len = make(splitmix64(random), (uint32_t)(made % KINDS), datagrams[m]);
      struct msghdr *message = &messages[m].msg_hdr;
      message->msg_name = &relay;
      message->msg_namelen = sizeof relay;
      message->msg_iov = &parts[m];
      message->msg_iovlen = 1;
      set_source(message, control[m], stranger_ip(random), 0);
      made++;
    }
    sent += (uint64_t)send_all(fd, messages, MESSAGES);
  }
  printf("{\"sent\":%lu,\"seconds\":%.3f}\n", sent, (double)(now_ns() - start) * 1e-9);
  return 0;
}
