// The relay header and the RIFT framing inside FORWARD packets (wire reference 1), for the reference relays and the
// generator alike.
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdint.h>
#include <string.h>

enum {
  HEADER_BYTES = 20,
  MIN_DATAGRAM = 20,
  MAX_DATAGRAM = 1500,
  SESSION_ID_OFFSET = 4,
  SESSION_ID_BYTES = 16,
  MAGIC = 0x57,
  WIRE_VERSION = 1,
  TYPE_LEASE_PRESENT = 0x01,
  TYPE_LEASE_ACK = 0x02,
  TYPE_LEASE_REJECT = 0x03,
  TYPE_LEASE_RENEW = 0x04,
  TYPE_FORWARD = 0x10,
  RIFT_TRANSPORT_BYTES = 18,
  RIFT_HANDSHAKE_BYTES = 30,
};

static inline uint16_t read_u16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t read_u32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return __builtin_bswap32(value);
}

static inline uint64_t read_u64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return __builtin_bswap64(value);
}

static inline void write_u16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static inline void write_u32(uint8_t *at, uint32_t value) {
  value = __builtin_bswap32(value);
  memcpy(at, &value, 4);
}

static inline void write_u64(uint8_t *at, uint64_t value) {
  value = __builtin_bswap64(value);
  memcpy(at, &value, 8);
}

// CRC-16/KERMIT, four bytes at a time, as the relay computes it: the comparison is of languages, not of algorithms.
static uint16_t crc_tables[4][256];

static inline void crc16_init(void) {
  for (int byte = 0; byte < 256; byte++) {
    uint16_t crc = (uint16_t)byte;
    for (int bit = 0; bit < 8; bit++) {
      crc = crc & 1 ? (uint16_t)(crc >> 1 ^ 0x8408) : (uint16_t)(crc >> 1);
    }
    crc_tables[0][byte] = crc;
  }
  for (int table = 1; table < 4; table++) {
    for (int byte = 0; byte < 256; byte++) {
      uint16_t crc = crc_tables[table - 1][byte];
      crc_tables[table][byte] = (uint16_t)(crc >> 8 ^ crc_tables[0][crc & 0xff]);
    }
  }
}

// `length` is a multiple of four: RIFT's headers are 16 and 28 bytes before their CRC.
static inline uint16_t crc16_kermit(const uint8_t *bytes, int length) {
  uint16_t crc = 0;
  for (int at = 0; at < length; at += 4) {
    uint16_t mixed = (uint16_t)(crc ^ bytes[at] ^ bytes[at + 1] << 8);
    crc = (uint16_t)(crc_tables[3][mixed & 0xff] ^ crc_tables[2][mixed >> 8] ^ crc_tables[1][bytes[at + 2]] ^
                     crc_tables[0][bytes[at + 3]]);
  }
  return crc;
}

static inline void write_header(uint8_t *at, uint8_t type, const uint8_t *session_id) {
  at[0] = MAGIC;
  at[1] = WIRE_VERSION;
  at[2] = type;
  at[3] = 0;
  memcpy(at + SESSION_ID_OFFSET, session_id, SESSION_ID_BYTES);
}

static inline void write_rift_transport(uint8_t *at, uint32_t alias, uint64_t packet_id) {
  at[0] = 'R';
  at[1] = 'I';
  write_u16(at + 2, 1);
  write_u32(at + 4, alias);
  write_u64(at + 8, packet_id);
  write_u16(at + 16, crc16_kermit(at, 16));
}

#endif
