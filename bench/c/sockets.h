// Sockets and small things around them that the programs here have in common.
#ifndef BENCH_SOCKETS_H
#define BENCH_SOCKETS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

// Constants of the kernel's ABI that older libc headers lack.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline struct sockaddr_in address_of(const char *ip, uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
    fprintf(stderr, "%s is not an IPv4 address\n", ip);
    exit(64);
  }
  return address;
}

// As large as the kernel gives: SO_*BUFFORCE goes beyond net.core.*mem_max where the process may.
static inline void grow_buffers(int fd, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
}

static inline int udp_socket(const char *ip, uint16_t port, int buffer_bytes, int reuse_port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    fail("socket");
  }
  if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse_port, sizeof reuse_port) != 0) {
    fail("SO_REUSEPORT");
  }
  grow_buffers(fd, buffer_bytes);
  struct sockaddr_in address = address_of(ip, port);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    fprintf(stderr, "cannot bind udp %s:%u: %s\n", ip, port, strerror(errno));
    exit(1);
  }
  return fd;
}

static inline void enable(int fd, int level, int option, const char *name) {
  int one = 1;
  if (setsockopt(fd, level, option, &one, sizeof one) != 0) {
    fail(name);
  }
}

enum { SEND_CONTROL_BYTES = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)) };

// Makes `message` leave from `source` (any local address: one socket stands for many peers); when `segment` is not 0,
// the kernel cuts it into datagrams of that size.
static inline void set_source(struct msghdr *message, uint8_t *control, uint32_t source, uint16_t segment) {
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo)) + (segment ? CMSG_SPACE(sizeof segment) : 0);
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
  struct in_pktinfo info = {.ipi_spec_dst.s_addr = source};
  memcpy(CMSG_DATA(header), &info, sizeof info);
  if (segment) {
    header = (struct cmsghdr *)((uint8_t *)header + CMSG_SPACE(sizeof(struct in_pktinfo)));
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(header), &segment, sizeof segment);
  }
}

// Sends all messages; one that the kernel refuses is skipped. Returns how many went out.
static inline int send_all(int fd, struct mmsghdr *messages, int count) {
  int at = 0;
  int sent = 0;
  while (at < count) {
    int taken = sendmmsg(fd, messages + at, (unsigned)(count - at), MSG_DONTWAIT);
    if (taken <= 0) {
      at++;
    } else {
      at += taken;
      sent += taken;
    }
  }
  return sent;
}

#endif
