#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 256 };

struct tl_poller {
  int epoll;
  int event;
  struct epoll_event ready[EVENTS];
};

tl_poller *tl_poller_make(int *error) {
  tl_poller *poller = calloc(1, sizeof *poller);
  if (!poller) {
    *error = ENOMEM;
    return NULL;
  }
  poller->epoll = epoll_create1(EPOLL_CLOEXEC);
  poller->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = TL_POLLER_WOKEN};
  if (poller->epoll < 0 || poller->event < 0
      || epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->event, &wanted) < 0) {
    *error = errno;
    tl_poller_free(poller);
    return NULL;
  }
  return poller;
}

void tl_poller_free(tl_poller *poller) {
  if (!poller) return;
  if (poller->epoll >= 0) close(poller->epoll);
  if (poller->event >= 0) close(poller->event);
  free(poller);
}

int tl_poller_add(tl_poller *poller, int descriptor, uint32_t token) {
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = token};
  return epoll_ctl(poller->epoll, EPOLL_CTL_ADD, descriptor, &wanted) < 0 ? -errno : 0;
}

int tl_poller_remove(tl_poller *poller, int descriptor) {
  struct epoll_event unused = {0};
  return epoll_ctl(poller->epoll, EPOLL_CTL_DEL, descriptor, &unused) < 0 ? -errno : 0;
}

void tl_poller_wake(tl_poller *poller) {
  uint64_t one = 1;
  // It fails only when the counter is full, and then the waiter is awake anyway.
  ssize_t written = write(poller->event, &one, sizeof one);
  (void)written;
}

int tl_poller_wait(tl_poller *poller, int64_t nanoseconds) {
  static _Thread_local int without_pwait2;
  int count = -1;
  if (!without_pwait2) {
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    count = epoll_pwait2(poller->epoll, poller->ready, EVENTS, nanoseconds < 0 ? NULL : &limit, NULL);
    // Linux before 5.11, and sandboxes that do not know the call.
    if (count < 0 && (errno == ENOSYS || errno == EPERM)) without_pwait2 = 1;
  }
  if (without_pwait2) {
    // Rounded up, so that nobody wakes before the time and waits again.
    int64_t milliseconds = nanoseconds < 0 ? -1 : nanoseconds / 1000000 + (nanoseconds % 1000000 != 0);
    if (milliseconds > 0x7fffffff) milliseconds = 0x7fffffff;
    count = epoll_wait(poller->epoll, poller->ready, EVENTS, (int)milliseconds);
  }
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int index = 0; index < count; index++) {
    if (poller->ready[index].data.u32 == TL_POLLER_WOKEN) {
      uint64_t wakeups;
      ssize_t read_count = read(poller->event, &wakeups, sizeof wakeups);
      (void)read_count;
    }
  }
  return count;
}

uint32_t tl_poller_token(const tl_poller *poller, int index) { return poller->ready[index].data.u32; }
