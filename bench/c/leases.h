// Prepared LEASE_PRESENT datagrams, made by bench/datapath/leases.ts: a file of records
// kind u8 · session index u32 · length u16 · datagram (big-endian).
#ifndef BENCH_LEASES_H
#define BENCH_LEASES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sessions.h"
#include "sockets.h"
#include "wire.h"

enum {
  LEASE_CLIENT = 0,
  LEASE_SERVER = 1,
  LEASE_BAD = 2,          // sent as it is
  LEASE_BAD_INVENTED = 3, // gets another session id each time
  LEASE_RECORD_BYTES = 7,
};

struct lease {
  uint8_t kind;
  uint32_t session;
  uint16_t length;
  const uint8_t *datagram;
};

struct leases {
  struct lease *of;
  uint32_t count;
};

static inline void leases_read(struct leases *leases, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    fail(path);
  }
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  uint8_t *bytes = malloc((size_t)size + 1);
  if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
    fail(path);
  }
  fclose(file);
  leases->of = calloc((size_t)size / LEASE_RECORD_BYTES + 1, sizeof *leases->of);
  leases->count = 0;
  long at = 0;
  while (at + LEASE_RECORD_BYTES <= size) {
    struct lease *lease = &leases->of[leases->count];
    lease->kind = bytes[at];
    lease->session = read_u32(bytes + at + 1);
    lease->length = read_u16(bytes + at + 5);
    lease->datagram = bytes + at + LEASE_RECORD_BYTES;
    at += LEASE_RECORD_BYTES + lease->length;
    if (at > size || lease->length > MAX_DATAGRAM || lease->length < MIN_DATAGRAM) {
      fprintf(stderr, "%s is cut off or broken at byte %ld\n", path, at);
      exit(1);
    }
    leases->count++;
  }
  if (leases->count == 0) {
    fprintf(stderr, "%s holds no lease\n", path);
    exit(1);
  }
}

// One lease picked by `random`, copied to `out`. Returns its length in bytes.
static inline uint16_t leases_copy(const struct leases *leases, uint64_t random, uint8_t *out) {
  const struct lease *lease = &leases->of[random % leases->count];
  memcpy(out, lease->datagram, lease->length);
  if (lease->kind == LEASE_BAD_INVENTED) {
    uint64_t half = splitmix64(random);
    memcpy(out + SESSION_ID_OFFSET, &random, 8);
    memcpy(out + SESSION_ID_OFFSET + 8, &half, 8);
  }
  return lease->length;
}

#endif
