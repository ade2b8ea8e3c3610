// A relay for nothing but the comparison: sessions preset, FORWARD only, one thread a worker.
// Prints READY on stdout when it serves, its counts on stderr when SIGTERM or SIGINT ends it.
#define _GNU_SOURCE
#include <getopt.h>
#include <linux/filter.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "loops.h"

// The relay's own (relay/datapath/socket-options.ts): buffers of 8 MiB, fragments allowed.
enum { MAX_WORKERS = 16, SOCKET_BUFFER_BYTES = 8 << 20 };

static const char USAGE[] = "usage: reference-relay --calls single|batch|gro --listen IP --port P --sessions N\n"
                            "         --client-port P --server-port P [--workers N]\n";

static volatile int stop;
static struct worker workers[MAX_WORKERS];
static void (*loop)(struct worker *);

static void on_signal(int signal) {
  (void)signal;
  stop = 1;
}

static void *run(void *worker) {
  loop(worker);
  return NULL;
}

// Both peers of a session meet on one worker: the last word of the session id decides (design-relay 1). A runt gets an
// index out of range, which means the kernel's own choice.
static void steer(int fd, uint32_t count) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, HEADER_BYTES, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HEADER_BYTES - 4),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
      BPF_STMT(BPF_RET | BPF_A, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  struct sock_fprog attached = {.len = sizeof program / sizeof *program, .filter = program};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached) != 0) {
    fail("SO_ATTACH_REUSEPORT_CBPF");
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"calls", required_argument, 0, 'c'},       {"listen", required_argument, 0, 'l'},
      {"port", required_argument, 0, 'p'},        {"sessions", required_argument, 0, 'n'},
      {"client-port", required_argument, 0, 'a'}, {"server-port", required_argument, 0, 'b'},
      {"workers", required_argument, 0, 'w'},     {0},
  };
  const char *listen = "127.0.0.1";
  uint16_t port = 0;
  uint16_t client_port = 0;
  uint16_t server_port = 0;
  uint32_t sessions = 0;
  uint32_t count = 1;
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'c':
      loop = !strcmp(optarg, "single") ? loop_single
             : !strcmp(optarg, "batch") ? loop_batch
             : !strcmp(optarg, "gro")   ? loop_gro
                                        : NULL;
      break;
    case 'l': listen = optarg; break;
    case 'p': port = (uint16_t)atoi(optarg); break;
    case 'n': sessions = (uint32_t)atoi(optarg); break;
    case 'a': client_port = (uint16_t)atoi(optarg); break;
    case 'b': server_port = (uint16_t)atoi(optarg); break;
    case 'w': count = (uint32_t)atoi(optarg); break;
    default: fputs(USAGE, stderr); return 64;
    }
  }
  if (!loop || !port || !sessions || sessions > MAX_SESSIONS || !client_port || !server_port || count < 1 ||
      count > MAX_WORKERS) {
    fputs(USAGE, stderr);
    return 64;
  }
  crc16_init();
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  for (uint32_t i = 0; i < count; i++) {
    workers[i].fd = udp_socket(listen, port, SOCKET_BUFFER_BYTES, count > 1);
    workers[i].stop = &stop;
    struct timeval timeout = {.tv_usec = 100000};
    setsockopt(workers[i].fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    int discovery = IP_PMTUDISC_DONT;
    setsockopt(workers[i].fd, IPPROTO_IP, IP_MTU_DISCOVER, &discovery, sizeof discovery);
    table_init(&workers[i].table, sessions, client_port, server_port);
  }
  if (count > 1) {
    steer(workers[0].fd, count);
  }
  pthread_t threads[MAX_WORKERS];
  for (uint32_t i = 0; i < count; i++) {
    errno = pthread_create(&threads[i], NULL, run, &workers[i]);
    if (errno) {
      fail("pthread_create");
    }
  }
  puts("READY");
  fflush(stdout);
  struct worker total = {0};
  for (uint32_t i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
    total.received += workers[i].received;
    total.forwarded += workers[i].forwarded;
    total.dropped += workers[i].dropped;
    total.refused += workers[i].refused;
    total.receive_calls += workers[i].receive_calls;
    total.send_calls += workers[i].send_calls;
  }
  fprintf(stderr,
          "{\"received\":%lu,\"forwarded\":%lu,\"dropped\":%lu,\"refused\":%lu,\"receiveCalls\":%lu,\"sendCalls\":%lu}\n",
          total.received, total.forwarded, total.dropped, total.refused, total.receive_calls, total.send_calls);
  return 0;
}
