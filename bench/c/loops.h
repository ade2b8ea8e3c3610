// Three ways to call the kernel around the same forward() of forwarding.h.
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "forwarding.h"
#include "sockets.h"

enum {
  BATCH = 64,
  SLOT_BYTES = 2048,
  GRO_BATCH = 32,
  // Not 64 KiB exactly: slots that far apart share their cache sets.
  GRO_SLOT_BYTES = 65536 + 4352,
  GRO_BUFFER_BYTES = 65535,
  MAX_TRAINS = 256,
  MAX_SEGMENTS = 64,
  MAX_TRAIN_BYTES = 65000,
};

struct worker {
  int fd;
  struct table table;
  volatile int *stop;
  uint64_t received;
  uint64_t forwarded;
  uint64_t dropped;
  uint64_t refused; // by the kernel, on sending
  uint64_t receive_calls;
  uint64_t send_calls;
};

static inline void *slots_of(size_t bytes) {
  void *slots = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!slots) {
    fail("packet buffers");
  }
  memset(slots, 0, bytes);
  return slots;
}

// One system call a packet each way.
static inline void loop_single(struct worker *worker) {
  static __thread uint8_t datagram[SLOT_BYTES];
  while (!*worker->stop) {
    struct sockaddr_in from;
    socklen_t from_length = sizeof from;
    ssize_t length = recvfrom(worker->fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &from_length);
    if (length < 0) {
      continue;
    }
    worker->receive_calls++;
    worker->received++;
    const struct sockaddr_in *to =
        forward(&worker->table, datagram, (uint32_t)length, &from, (double)now_ns() * 1e-9);
    if (!to) {
      worker->dropped++;
      continue;
    }
    worker->send_calls++;
    if (sendto(worker->fd, datagram, (size_t)length, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to) < 0) {
      worker->refused++;
    } else {
      worker->forwarded++;
    }
  }
}

static inline void send_batch(struct worker *worker, struct mmsghdr *messages, int count, uint64_t packets) {
  if (count == 0) {
    return;
  }
  worker->send_calls++;
  int sent = send_all(worker->fd, messages, count);
  worker->refused += (uint64_t)(count - sent);
  worker->forwarded += packets - (uint64_t)(count - sent);
}

// recvmmsg and sendmmsg.
static inline void loop_batch(struct worker *worker) {
  uint8_t *slots = slots_of((size_t)BATCH * SLOT_BYTES);
  struct mmsghdr in[BATCH] = {0};
  struct iovec in_parts[BATCH];
  struct sockaddr_in from[BATCH];
  struct mmsghdr out[BATCH] = {0};
  struct iovec out_parts[BATCH];
  for (int i = 0; i < BATCH; i++) {
    in_parts[i].iov_base = slots + (size_t)i * SLOT_BYTES;
    in_parts[i].iov_len = SLOT_BYTES;
    in[i].msg_hdr.msg_name = &from[i];
    in[i].msg_hdr.msg_iov = &in_parts[i];
    in[i].msg_hdr.msg_iovlen = 1;
    out[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
    out[i].msg_hdr.msg_iov = &out_parts[i];
    out[i].msg_hdr.msg_iovlen = 1;
  }
  while (!*worker->stop) {
    for (int i = 0; i < BATCH; i++) {
      in[i].msg_hdr.msg_namelen = sizeof from[i];
    }
    int received = recvmmsg(worker->fd, in, BATCH, MSG_WAITFORONE, NULL);
    if (received <= 0) {
      continue;
    }
    worker->receive_calls++;
    double now_s = (double)now_ns() * 1e-9;
    int count = 0;
    for (int i = 0; i < received; i++) {
      uint8_t *datagram = in_parts[i].iov_base;
      worker->received++;
      const struct sockaddr_in *to = forward(&worker->table, datagram, in[i].msg_len, &from[i], now_s);
      if (!to) {
        worker->dropped++;
        continue;
      }
      out_parts[count].iov_base = datagram;
      out_parts[count].iov_len = in[i].msg_len;
      out[count].msg_hdr.msg_name = (void *)to;
      count++;
    }
    send_batch(worker, out, count, (uint64_t)count);
  }
}

struct train {
  const struct sockaddr_in *to;
  uint32_t segment;
  uint32_t last;
  uint32_t count;
  uint32_t bytes;
};

// Packets that leave as one segmented send: same destination and size, only the last one shorter.
struct trains {
  struct train of[MAX_TRAINS];
  struct mmsghdr messages[MAX_TRAINS];
  struct iovec parts[MAX_TRAINS][MAX_SEGMENTS];
  uint8_t control[MAX_TRAINS][CMSG_SPACE(sizeof(uint16_t))];
  int count;
  uint64_t packets;
};

static inline void trains_init(struct trains *trains) {
  memset(trains, 0, sizeof *trains);
  for (int i = 0; i < MAX_TRAINS; i++) {
    struct cmsghdr *header = (struct cmsghdr *)trains->control[i];
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    trains->messages[i].msg_hdr.msg_namelen = sizeof(struct sockaddr_in);
    trains->messages[i].msg_hdr.msg_iov = trains->parts[i];
  }
}

static inline void trains_flush(struct trains *trains, struct worker *worker) {
  for (int i = 0; i < trains->count; i++) {
    struct msghdr *message = &trains->messages[i].msg_hdr;
    if (trains->of[i].count == 1) {
      message->msg_control = NULL;
      message->msg_controllen = 0;
      continue;
    }
    uint16_t segment = (uint16_t)trains->of[i].segment;
    memcpy(CMSG_DATA((struct cmsghdr *)trains->control[i]), &segment, sizeof segment);
    message->msg_control = trains->control[i];
    message->msg_controllen = sizeof trains->control[i];
  }
  send_batch(worker, trains->messages, trains->count, trains->packets);
  trains->count = 0;
  trains->packets = 0;
}

static inline void trains_add(struct trains *trains, struct worker *worker, const struct sockaddr_in *to,
                              uint8_t *datagram, uint32_t length) {
  int last = trains->count - 1;
  if (last >= 0) {
    struct train *train = &trains->of[last];
    if (train->to == to && train->last == train->segment && length <= train->segment &&
        train->count < MAX_SEGMENTS && train->bytes + length <= MAX_TRAIN_BYTES) {
      struct msghdr *message = &trains->messages[last].msg_hdr;
      struct iovec *part = &trains->parts[last][message->msg_iovlen - 1];
      if ((uint8_t *)part->iov_base + part->iov_len == datagram) {
        part->iov_len += length;
      } else {
        part[1].iov_base = datagram;
        part[1].iov_len = length;
        message->msg_iovlen++;
      }
      train->count++;
      train->bytes += length;
      train->last = length;
      trains->packets++;
      return;
    }
  }
  if (trains->count == MAX_TRAINS) {
    trains_flush(trains, worker);
  }
  int index = trains->count++;
  trains->of[index] = (struct train){.to = to, .segment = length, .last = length, .count = 1, .bytes = length};
  trains->parts[index][0].iov_base = datagram;
  trains->parts[index][0].iov_len = length;
  trains->messages[index].msg_hdr.msg_name = (void *)to;
  trains->messages[index].msg_hdr.msg_iovlen = 1;
  trains->packets++;
}

static inline uint32_t gro_segment_size(struct msghdr *message, uint32_t length) {
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  if (header && header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
    int segment;
    memcpy(&segment, CMSG_DATA(header), sizeof segment);
    return segment > 0 ? (uint32_t)segment : length;
  }
  return length;
}

// recvmmsg and sendmmsg with UDP_GRO on the way in and UDP_SEGMENT on the way out.
static inline void loop_gro(struct worker *worker) {
  uint8_t *slots = slots_of((size_t)GRO_BATCH * GRO_SLOT_BYTES);
  struct mmsghdr in[GRO_BATCH] = {0};
  struct iovec in_parts[GRO_BATCH];
  struct sockaddr_in from[GRO_BATCH];
  uint8_t control[GRO_BATCH][64];
  struct trains *trains = slots_of(sizeof *trains);
  trains_init(trains);
  enable(worker->fd, SOL_UDP, UDP_GRO, "UDP_GRO");
  for (int i = 0; i < GRO_BATCH; i++) {
    in_parts[i].iov_base = slots + (size_t)i * GRO_SLOT_BYTES;
    in_parts[i].iov_len = GRO_BUFFER_BYTES;
    in[i].msg_hdr.msg_name = &from[i];
    in[i].msg_hdr.msg_iov = &in_parts[i];
    in[i].msg_hdr.msg_iovlen = 1;
    in[i].msg_hdr.msg_control = control[i];
  }
  while (!*worker->stop) {
    for (int i = 0; i < GRO_BATCH; i++) {
      in[i].msg_hdr.msg_namelen = sizeof from[i];
      in[i].msg_hdr.msg_controllen = sizeof control[i];
    }
    int received = recvmmsg(worker->fd, in, GRO_BATCH, MSG_WAITFORONE, NULL);
    if (received <= 0) {
      continue;
    }
    worker->receive_calls++;
    double now_s = (double)now_ns() * 1e-9;
    for (int i = 0; i < received; i++) {
      uint8_t *buffer = in_parts[i].iov_base;
      uint32_t total = in[i].msg_len;
      uint32_t segment = gro_segment_size(&in[i].msg_hdr, total);
      uint32_t at = 0;
      do {
        uint32_t length = total - at < segment ? total - at : segment;
        worker->received++;
        const struct sockaddr_in *to = forward(&worker->table, buffer + at, length, &from[i], now_s);
        if (to) {
          trains_add(trains, worker, to, buffer + at, length);
        } else {
          worker->dropped++;
        }
        at += segment;
      } while (at < total);
    }
    trains_flush(trains, worker);
  }
}

#endif
