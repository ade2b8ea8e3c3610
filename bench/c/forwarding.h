// The relay's packet path in C: what it decides about one FORWARD datagram, in the order of the wire reference
// (session, active, sender, payload and CRC, replay, hard limit). Sessions are there from the start; leases are not
// spoken, since the comparison is about forwarding.
#ifndef BENCH_FORWARDING_H
#define BENCH_FORWARDING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sessions.h"
#include "wire.h"

struct window {
  unsigned __int128 seen; // bit k: the sequence `highest - k` was accepted
  uint64_t highest;
  int open;
};

struct session {
  uint64_t id[2];
  struct sockaddr_in peers[2];
  struct window windows[2];
  double tokens; // bytes
  double refilled_s;
  double heard_s[2];
  double handshakes[2];
  uint64_t packets;
  uint64_t bytes;
};

struct table {
  uint32_t mask;
  int32_t *slots;
  struct session *sessions;
};

static const double HARD_LIMIT_BYTES_PER_S = 500e6; // what the generator's leases grant, never reached
static const double BUCKET_BYTES = 125e6;           // 250 ms of it
static const double HANDSHAKES_PER_S = 20;

static inline uint32_t hash_id(const uint64_t *id) {
  uint64_t mixed = (id[0] ^ 0x2545f4914f6cdd1dull) * 0x9e3779b97f4a7c15ull ^ id[1];
  return (uint32_t)(mixed * 0xbf58476d1ce4e5b9ull >> 32);
}

static inline void table_init(struct table *table, uint32_t count, uint16_t client_port, uint16_t server_port) {
  uint32_t slots = 16;
  while (slots < count * 2) {
    slots *= 2;
  }
  table->mask = slots - 1;
  table->slots = malloc(slots * sizeof *table->slots);
  table->sessions = calloc(count, sizeof *table->sessions);
  if (!table->slots || !table->sessions) {
    fputs("out of memory for the session table\n", stderr);
    exit(1);
  }
  memset(table->slots, 0xff, slots * sizeof *table->slots);
  for (uint32_t index = 0; index < count; index++) {
    struct session *session = &table->sessions[index];
    session_id_of(index, (uint8_t *)session->id);
    session->tokens = BUCKET_BYTES;
    for (int role = 0; role < 2; role++) {
      session->peers[role].sin_family = AF_INET;
      session->peers[role].sin_addr.s_addr = peer_ip(index, role);
      session->peers[role].sin_port = htons(role == CLIENT ? client_port : server_port);
      session->handshakes[role] = HANDSHAKES_PER_S;
    }
    uint32_t slot = hash_id(session->id) & table->mask;
    while (table->slots[slot] >= 0) {
      slot = (slot + 1) & table->mask;
    }
    table->slots[slot] = (int32_t)index;
  }
}

static inline struct session *table_find(const struct table *table, const uint8_t *session_id) {
  uint64_t id[2];
  memcpy(id, session_id, sizeof id);
  uint32_t slot = hash_id(id) & table->mask;
  for (;;) {
    int32_t index = table->slots[slot];
    if (index < 0) {
      return NULL;
    }
    struct session *session = &table->sessions[index];
    if (session->id[0] == id[0] && session->id[1] == id[1]) {
      return session;
    }
    slot = (slot + 1) & table->mask;
  }
}

static inline int same_address(const struct sockaddr_in *a, const struct sockaddr_in *b) {
  return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

// The sequence of a FORWARD payload; 0 when the payload is invalid. `handshake` says that packet id 0 is RIFT's.
static inline int forward_sequence(const uint8_t *payload, uint32_t length, uint64_t *sequence, int *rift) {
  *rift = 0;
  if (length < 8) {
    return 0;
  }
  if (payload[0] != 'R' || payload[1] != 'I') {
    *sequence = read_u64(payload);
    return 1;
  }
  *rift = 1;
  if (length < RIFT_TRANSPORT_BYTES || read_u16(payload + 2) != 1) {
    return 0;
  }
  if (read_u32(payload + 4) == 0 && length >= RIFT_HANDSHAKE_BYTES) {
    *sequence = read_u64(payload + 20);
    return crc16_kermit(payload, 28) == read_u16(payload + 28);
  }
  *sequence = read_u64(payload + 8);
  return crc16_kermit(payload, 16) == read_u16(payload + 16);
}

static inline int window_accept(struct window *window, uint64_t sequence) {
  if (!window->open) {
    window->open = 1;
    window->highest = sequence;
    window->seen = 1;
    return 1;
  }
  if (sequence > window->highest) {
    uint64_t ahead = sequence - window->highest;
    window->seen = ahead >= 128 ? 1 : window->seen << ahead | 1;
    window->highest = sequence;
    return 1;
  }
  uint64_t behind = window->highest - sequence;
  if (behind >= 128) {
    return 0;
  }
  unsigned __int128 bit = (unsigned __int128)1 << behind;
  if (window->seen & bit) {
    return 0;
  }
  window->seen |= bit;
  return 1;
}

static inline int take_tokens(struct session *session, double now_s, uint32_t bytes) {
  double tokens = session->tokens + (now_s - session->refilled_s) * HARD_LIMIT_BYTES_PER_S;
  if (tokens > BUCKET_BYTES) {
    tokens = BUCKET_BYTES;
  }
  session->refilled_s = now_s;
  if (tokens < bytes) {
    session->tokens = tokens;
    return 0;
  }
  session->tokens = tokens - bytes;
  return 1;
}

// Where the datagram goes, or NULL when it is dropped.
static inline const struct sockaddr_in *forward(const struct table *table, const uint8_t *datagram, uint32_t length,
                                                const struct sockaddr_in *from, double now_s) {
  if (length < MIN_DATAGRAM || length > MAX_DATAGRAM) {
    return NULL;
  }
  if (datagram[0] != MAGIC || datagram[1] != WIRE_VERSION || datagram[2] != TYPE_FORWARD) {
    return NULL;
  }
  struct session *session = table_find(table, datagram + SESSION_ID_OFFSET);
  if (!session) {
    return NULL;
  }
  int role = CLIENT;
  if (!same_address(from, &session->peers[CLIENT])) {
    if (!same_address(from, &session->peers[SERVER])) {
      return NULL;
    }
    role = SERVER;
  }
  uint64_t sequence;
  int rift;
  if (!forward_sequence(datagram + HEADER_BYTES, length - HEADER_BYTES, &sequence, &rift)) {
    return NULL;
  }
  if (rift && sequence == 0) {
    double allowed = session->handshakes[role] + (now_s - session->heard_s[role]) * HANDSHAKES_PER_S;
    session->handshakes[role] = allowed > HANDSHAKES_PER_S ? HANDSHAKES_PER_S : allowed;
    if (session->handshakes[role] < 1) {
      return NULL;
    }
    session->handshakes[role] -= 1;
  } else if (!window_accept(&session->windows[role], sequence)) {
    return NULL;
  }
  if (!take_tokens(session, now_s, length)) {
    return NULL;
  }
  session->heard_s[role] = now_s;
  session->packets++;
  session->bytes += length;
  return &session->peers[1 - role];
}

#endif
