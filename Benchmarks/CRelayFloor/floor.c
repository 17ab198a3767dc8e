#include "CRelayFloor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 256, SIZE = 65536 };

static int *sockets;
static int poller;
static unsigned char buffer[SIZE];

static void *run(void *unused) {
  (void)unused;
  static struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(poller, events, EVENTS, -1);
    for (int place = 0; place < ready; place++) {
      int index = (int)events[place].data.u32;
      ssize_t count = recv(sockets[index], buffer, SIZE, MSG_DONTWAIT);
      if (count >= 0) send(sockets[index ^ 1], buffer, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }
  return NULL;
}

int relay_floor_start(const int *descriptors, int count) {
  sockets = malloc(sizeof *sockets * (size_t)count);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (!sockets || poller < 0) return -1;
  memcpy(sockets, descriptors, sizeof *sockets * (size_t)count);
  for (int index = 0; index < count; index++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)index};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, sockets[index], &event) < 0) return -1;
  }
  pthread_t thread;
  return pthread_create(&thread, NULL, run, NULL) ? -1 : 0;
}
