// Prepares a TURN server (RFC 8656) for traffic.c: for each session an allocation by the client's address and channel
// 0x4000 to the server's. Writes the relayed ports to a file, one a line. Wants a server without authentication.
#define _GNU_SOURCE
#include <getopt.h>
#include <poll.h>

#include "sessions.h"
#include "sockets.h"
#include "wire.h"

enum {
  STUN_HEADER_BYTES = 20,
  ALLOCATE = 0x0003,
  ALLOCATE_SUCCESS = 0x0103,
  CHANNEL_BIND = 0x0009,
  CHANNEL_BIND_SUCCESS = 0x0109,
  ATTRIBUTE_CHANNEL_NUMBER = 0x000c,
  ATTRIBUTE_LIFETIME = 0x000d,
  ATTRIBUTE_XOR_PEER_ADDRESS = 0x0012,
  ATTRIBUTE_XOR_RELAYED_ADDRESS = 0x0016,
  ATTRIBUTE_REQUESTED_TRANSPORT = 0x0019,
  TRIES = 10,
  TRY_MS = 200,
};

static const uint32_t MAGIC_COOKIE = 0x2112a442;
static const char USAGE[] =
    "usage: turn --relay IP --port P --client-port P --server-port P --sessions N --out FILE\n";

static struct sockaddr_in server;
static int fd;

static void begin(uint8_t *message, uint16_t type, uint64_t transaction) {
  write_u16(message, type);
  write_u16(message + 2, 0);
  write_u32(message + 4, MAGIC_COOKIE);
  write_u32(message + 8, 0);
  write_u64(message + 12, splitmix64(transaction));
}

static uint8_t *attribute(uint8_t *message, uint16_t type, uint16_t length) {
  uint16_t before = read_u16(message + 2);
  uint8_t *at = message + STUN_HEADER_BYTES + before;
  write_u16(at, type);
  write_u16(at + 2, length);
  memset(at + 4, 0, length);
  write_u16(message + 2, (uint16_t)(before + 4 + length));
  return at + 4;
}

// Sends the request from the client's address until the answer is there; returns the answer's length.
static ssize_t ask(uint32_t session, const uint8_t *request, uint8_t *answer, size_t size, uint16_t success) {
  for (int attempt = 0; attempt < TRIES; attempt++) {
    uint8_t control[SEND_CONTROL_BYTES];
    struct iovec part = {(void *)request, STUN_HEADER_BYTES + read_u16(request + 2)};
    struct msghdr message = {.msg_name = &server, .msg_namelen = sizeof server, .msg_iov = &part, .msg_iovlen = 1};
    set_source(&message, control, peer_ip(session, CLIENT), 0);
    if (sendmsg(fd, &message, 0) < 0) {
      fail("asking the TURN server");
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, TRY_MS) > 0) {
      ssize_t length = recv(fd, answer, size, 0);
      if (length < STUN_HEADER_BYTES || memcmp(answer + 8, request + 8, 12) != 0) {
        continue;
      }
      if (read_u16(answer) != success) {
        fprintf(stderr, "the TURN server answered session %u with %04x\n", session, read_u16(answer));
        exit(1);
      }
      return length;
    }
  }
  fprintf(stderr, "the TURN server does not answer session %u\n", session);
  exit(1);
}

static uint16_t relayed_port(const uint8_t *answer, ssize_t length) {
  ssize_t at = STUN_HEADER_BYTES;
  while (at + 4 <= length) {
    uint16_t size = read_u16(answer + at + 2);
    if (read_u16(answer + at) == ATTRIBUTE_XOR_RELAYED_ADDRESS && at + 8 <= length) {
      return (uint16_t)(read_u16(answer + at + 6) ^ MAGIC_COOKIE >> 16);
    }
    at += 4 + (size + 3) / 4 * 4;
  }
  fputs("the TURN server's answer names no relayed address\n", stderr);
  exit(1);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"relay", required_argument, 0, 'i'},       {"port", required_argument, 0, 'p'},
      {"client-port", required_argument, 0, 'a'}, {"server-port", required_argument, 0, 'b'},
      {"sessions", required_argument, 0, 'n'},    {"out", required_argument, 0, 'o'},
      {0},
  };
  const char *ip = "127.0.0.1";
  const char *out = NULL;
  uint16_t port = 0;
  uint16_t ports[2] = {0, 0};
  uint32_t sessions = 0;
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'i': ip = optarg; break;
    case 'p': port = (uint16_t)atoi(optarg); break;
    case 'a': ports[CLIENT] = (uint16_t)atoi(optarg); break;
    case 'b': ports[SERVER] = (uint16_t)atoi(optarg); break;
    case 'n': sessions = (uint32_t)atoi(optarg); break;
    case 'o': out = optarg; break;
    default: fputs(USAGE, stderr); return 64;
    }
  }
  if (!port || !ports[CLIENT] || !ports[SERVER] || !sessions || sessions > MAX_SESSIONS || !out) {
    fputs(USAGE, stderr);
    return 64;
  }
  server = address_of(ip, port);
  fd = udp_socket("0.0.0.0", ports[CLIENT], 8 << 20, 0);
  FILE *file = fopen(out, "w");
  if (!file) {
    fail(out);
  }
  for (uint32_t session = 0; session < sessions; session++) {
    uint8_t request[128];
    uint8_t answer[1024];
    begin(request, ALLOCATE, now_ns());
    attribute(request, ATTRIBUTE_REQUESTED_TRANSPORT, 4)[0] = IPPROTO_UDP;
    write_u32(attribute(request, ATTRIBUTE_LIFETIME, 4), 3600);
    ssize_t length = ask(session, request, answer, sizeof answer, ALLOCATE_SUCCESS);
    fprintf(file, "%u\n", relayed_port(answer, length));
    begin(request, CHANNEL_BIND, now_ns());
    write_u16(attribute(request, ATTRIBUTE_CHANNEL_NUMBER, 4), 0x4000);
    uint8_t *peer = attribute(request, ATTRIBUTE_XOR_PEER_ADDRESS, 8);
    peer[1] = 1;
    write_u16(peer + 2, (uint16_t)(ports[SERVER] ^ MAGIC_COOKIE >> 16));
    write_u32(peer + 4, ntohl(peer_ip(session, SERVER)) ^ MAGIC_COOKIE);
    ask(session, request, answer, sizeof answer, CHANNEL_BIND_SUCCESS);
  }
  fclose(file);
  printf("{\"allocations\":%u}\n", sessions);
  return 0;
}
