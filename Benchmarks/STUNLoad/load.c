// Asks a STUN server and counts what its answers cost.
//
//   load flows PORT PID FLOWS WINDOW COUNT   COUNT answers on FLOWS sockets, each with WINDOW requests on their way
//   load new PORT PID COUNT                  COUNT requests, each from an address of its own, as real clients come
//   load rate PORT PID FLOWS RATE SECONDS    RATE requests a second, whatever becomes of them
//
// The server is process PID on 127.0.0.1. Prints "CPU SENT ANSWERED RATE": CPU microseconds of the server's process for each
// answer, all its threads together, and answers a second. An answer counts that is a Binding success with the ID that was
// sent.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FLOWS = 256, REQUEST = 20, ROOM = 512 };

static struct sockaddr_in server = {.sin_family = AF_INET};
static uint8_t id[12];
static uint8_t requests[BATCH][REQUEST], answers[BATCH][ROOM];
static struct iovec out_vectors[BATCH], in_vectors[BATCH];
static struct mmsghdr out[BATCH], in[BATCH];
static long sent, answered;

static void give_up(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// Nanoseconds that all threads of a process have run.
static double run_time(int pid) {
  char path[300];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *folder = opendir(path);
  if (!folder) give_up(path);
  double sum = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
    FILE *file = fopen(path, "r");
    double value;
    if (!file) continue;
    if (fscanf(file, "%lf", &value) == 1) sum += value;
    fclose(file);
  }
  closedir(folder);
  return sum;
}

static void prepare(void) {
  FILE *source = fopen("/dev/urandom", "r");
  if (!source || fread(id, sizeof id, 1, source) != 1) give_up("/dev/urandom");
  fclose(source);
  static const uint8_t head[8] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  for (int i = 0; i < BATCH; i++) {
    memcpy(requests[i], head, sizeof head);
    memcpy(requests[i] + 8, id, sizeof id);
    out_vectors[i] = (struct iovec){requests[i], REQUEST};
    in_vectors[i] = (struct iovec){answers[i], ROOM};
    out[i].msg_hdr = (struct msghdr){.msg_iov = &out_vectors[i], .msg_iovlen = 1};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &in_vectors[i], .msg_iovlen = 1};
  }
}

// Where a client is: anywhere in 127/8 where `number` is not 0. With one address alone, ports would come again after some
// 28,000 clients, and a server that keeps its clients in a table would know them.
static int new_client(uint32_t number) {
  int client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (client < 0) give_up("socket");
  if (number) {
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xff000000u) | number)};
    if (bind(client, (struct sockaddr *)&source, sizeof source)) give_up("bind");
  }
  if (connect(client, (struct sockaddr *)&server, sizeof server)) give_up("connect");
  return client;
}

static long send_some(int client, long count) {
  long done = 0;
  while (done < count) {
    int now_sent = sendmmsg(client, out, count - done < BATCH ? count - done : BATCH, 0);
    if (now_sent <= 0) break;
    done += now_sent;
  }
  sent += done;
  return done;
}

// How many answers waited on a socket.
static long take(int client) {
  long total = 0;
  for (;;) {
    int count = recvmmsg(client, in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
      total += in[i].msg_len >= REQUEST && answers[i][0] == 1 && answers[i][1] == 1
        && !memcmp(answers[i] + 8, id, sizeof id);
    }
    if (count < BATCH) break;
  }
  answered += total;
  return total;
}

static void open_flows(struct pollfd *polls, int flows) {
  int size = 4 << 20;
  for (int i = 0; i < flows; i++) {
    polls[i] = (struct pollfd){.fd = new_client(0), .events = POLLIN};
    if (setsockopt(polls[i].fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) {
      setsockopt(polls[i].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
  }
}

static void flows_mode(int flows, int window, long count) {
  static struct pollfd polls[FLOWS];
  static long waiting[FLOWS];
  static double heard[FLOWS];
  open_flows(polls, flows);
  while (answered < count) {
    double time = now();
    for (int i = 0; i < flows; i++) {
      // What was lost is not waited for.
      if (waiting[i] && time - heard[i] > 0.2) waiting[i] = 0;
      if (!waiting[i]) {
        waiting[i] = send_some(polls[i].fd, window);
        heard[i] = time;
      }
    }
    if (poll(polls, flows, 50) <= 0) continue;
    time = now();
    for (int i = 0; i < flows; i++) {
      if (!(polls[i].revents & POLLIN)) continue;
      long got = take(polls[i].fd);
      waiting[i] -= got < waiting[i] ? got : waiting[i];
      heard[i] = time;
      waiting[i] += send_some(polls[i].fd, got);
    }
  }
  // What is still on its way is part of the server's work.
  for (double end = now() + 0.2; now() < end && answered < sent;) {
    if (poll(polls, flows, 20) > 0) {
      for (int i = 0; i < flows; i++) take(polls[i].fd);
    }
  }
}

static void new_mode(long count) {
  struct pollfd polls[BATCH];
  uint32_t number;
  memcpy(&number, id, sizeof number);
  while (sent < count) {
    for (int i = 0; i < BATCH; i++) {
      polls[i] = (struct pollfd){.fd = new_client(1 + number++ % 0xfffffd), .events = POLLIN};
      send_some(polls[i].fd, 1);
    }
    int left = BATCH;
    for (double end = now() + 0.5; left && now() < end;) {
      if (poll(polls, BATCH, 50) <= 0) continue;
      for (int i = 0; i < BATCH; i++) {
        if (polls[i].fd < 0 || !(polls[i].revents & POLLIN) || !take(polls[i].fd)) continue;
        close(polls[i].fd);
        polls[i].fd = -1;
        left--;
      }
    }
    for (int i = 0; i < BATCH; i++) {
      if (polls[i].fd >= 0) close(polls[i].fd);
    }
  }
}

static void rate_mode(int flows, double rate, double seconds) {
  static struct pollfd polls[FLOWS];
  open_flows(polls, flows);
  double start = now();
  int next = 0;
  for (double time = start; time < start + seconds; time = now()) {
    long due = (long)((time - start) * rate) - sent;
    // A loader that was not let run catches up evenly, not by a burst that no client would send.
    if (due > 500) {
      start += (due - 500) / rate;
      due = 500;
    }
    for (; due > 0; due--, next = (next + 1) % flows) send_some(polls[next].fd, 1);
    for (int i = 0; i < flows; i++) take(polls[i].fd);
    struct timespec pause = {.tv_nsec = 200000};
    nanosleep(&pause, NULL);
  }
  for (double end = now() + 0.5; now() < end && answered < sent;) {
    if (poll(polls, flows, 20) > 0) {
      for (int i = 0; i < flows; i++) take(polls[i].fd);
    }
  }
}

int main(int count, char **words) {
  if (count < 5) {
    fprintf(stderr, "usage: load flows|new|rate PORT PID …; see the head of the source\n");
    return 64;
  }
  server.sin_port = htons(atoi(words[2]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int pid = atoi(words[3]);
  prepare();
  double began = now(), before = run_time(pid);
  if (!strcmp(words[1], "flows") && count == 7 && atoi(words[4]) <= FLOWS) {
    flows_mode(atoi(words[4]), atoi(words[5]), atol(words[6]));
  } else if (!strcmp(words[1], "new") && count == 5) {
    new_mode(atol(words[4]));
  } else if (!strcmp(words[1], "rate") && count == 7 && atoi(words[4]) <= FLOWS) {
    rate_mode(atoi(words[4]), atof(words[5]), atof(words[6]));
  } else {
    return 64;
  }
  double took = now() - began;
  // The kernel books a running thread's time when it pauses.
  usleep(100000);
  double used = run_time(pid) - before;
  printf("%.3f %ld %ld %.0f\n", answered ? used / 1000 / answered : 0, sent, answered, answered / took);
  return answered == 0;
}
