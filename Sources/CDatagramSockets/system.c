#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t tl_clock_boot(void) { return read_clock(CLOCK_BOOTTIME); }

int64_t tl_clock_wall(void) { return read_clock(CLOCK_REALTIME); }

int tl_random_seed(uint64_t seed[4]) {
  size_t wanted = 4 * sizeof *seed;
  // Up to 256 bytes come whole once the pool is ready; before that a signal may interrupt the wait.
  for (;;) {
    ssize_t count = getrandom(seed, wanted, 0);
    if (count == (ssize_t)wanted) return 0;
    if (count < 0 && errno != EINTR) return -errno;
  }
}

typedef struct {
  void (*run)(void *);
  void *context;
  char name[16];
} start;

static void *begin(void *pointer) {
  start chosen = *(start *)pointer;
  free(pointer);
  pthread_setname_np(pthread_self(), chosen.name);
  chosen.run(chosen.context);
  return NULL;
}

int tl_thread_start(const char *name, void (*run)(void *), void *context, uint64_t *thread) {
  start *chosen = malloc(sizeof *chosen);
  if (!chosen) return -ENOMEM;
  chosen->run = run;
  chosen->context = context;
  snprintf(chosen->name, sizeof chosen->name, "%s", name);
  // A thread inherits the mask: signals are for the main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t made;
  int error = pthread_create(&made, NULL, begin, chosen);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) {
    free(chosen);
    return -error;
  }
  *thread = (uint64_t)made;
  return 0;
}

void tl_thread_join(uint64_t thread) { pthread_join((pthread_t)thread, NULL); }

uint64_t tl_thread_self(void) { return (uint64_t)pthread_self(); }

int tl_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

void tl_error_text(int error, char *text, size_t count) {
  // The GNU form: it answers the text and may leave the buffer alone.
  const char *words = strerror_r(error, text, count);
  if (words != text) snprintf(text, count, "%s", words);
}

static int prefix_length(const struct sockaddr *mask) {
  if (!mask) return -1;
  const uint8_t *bytes;
  int count;
  if (mask->sa_family == AF_INET6) {
    bytes = ((const struct sockaddr_in6 *)mask)->sin6_addr.s6_addr;
    count = 16;
  } else {
    bytes = (const uint8_t *)&((const struct sockaddr_in *)mask)->sin_addr;
    count = 4;
  }
  int bits = 0;
  for (int index = 0; index < count; index++) bits += __builtin_popcount(bytes[index]);
  return bits;
}

int tl_interfaces(tl_interface *list, int count) {
  struct ifaddrs *all;
  if (getifaddrs(&all) < 0) return -errno;
  int found = 0;
  for (struct ifaddrs *one = all; one; one = one->ifa_next) {
    if (!one->ifa_addr) continue;
    int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    if (found < count) {
      tl_name name;
      memset(&name, 0, sizeof name);
      memcpy(&name, one->ifa_addr, family == AF_INET ? sizeof name.v4 : sizeof name.v6);
      tl_interface *entry = &list[found];
      memset(entry, 0, sizeof *entry);
      snprintf(entry->name, sizeof entry->name, "%s", one->ifa_name);
      entry->address = tl_endpoint_from(&name);
      int bits = prefix_length(one->ifa_netmask);
      entry->prefix_length = bits >= 0 ? bits : family == AF_INET ? 32 : 128;
      entry->is_up = (one->ifa_flags & IFF_UP) != 0;
    }
    found++;
  }
  freeifaddrs(all);
  return found;
}
