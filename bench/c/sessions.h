// Which sessions and peers a measurement has. The same formulas stand in bench/datapath/sessions.ts, which mints the
// leases: a session's id follows from its index, and every peer has a loopback address of its own.
#ifndef BENCH_SESSIONS_H
#define BENCH_SESSIONS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

enum {
  CLIENT = 0,
  SERVER = 1,
  MAX_SESSIONS = 65536,
};

static inline uint64_t splitmix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

static inline void session_id_of(uint32_t index, uint8_t *out) {
  uint64_t first = __builtin_bswap64(splitmix64(index * 2ull + 1));
  uint64_t second = __builtin_bswap64(splitmix64(index * 2ull + 2));
  __builtin_memcpy(out, &first, 8);
  __builtin_memcpy(out + 8, &second, 8);
}

// 127.64.x.y for clients, 127.65.x.y for servers, in network order.
static inline uint32_t peer_ip(uint32_t index, int role) {
  return htonl(127u << 24 | (64u + (uint32_t)role) << 16 | (index & 0xffff));
}

// 127.128.0.0/9: where floods come from, disjoint from the peers and from the relay.
static inline uint32_t stranger_ip(uint64_t random) {
  return htonl(127u << 24 | 1u << 23 | ((uint32_t)random & 0x7fffff));
}

#endif
