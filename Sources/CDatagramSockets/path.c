#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <unistd.h>

int tl_path_open(tl_endpoint local, tl_endpoint remote, int hops) {
  int descriptor = tl_socket_open(local, 0, 0);
  if (descriptor < 0) return descriptor;
  int isV6 = local.family == 6, on = 1;
  int level = isV6 ? IPPROTO_IPV6 : IPPROTO_IP;
  // With RECVERR the kernel keeps what routers report, for anyone: no privilege is needed.
  if (setsockopt(descriptor, level, isV6 ? IPV6_UNICAST_HOPS : IP_TTL, &hops, sizeof hops) < 0 ||
      setsockopt(descriptor, level, isV6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on) < 0) {
    int error = errno;
    close(descriptor);
    return -error;
  }
  int result = tl_socket_connect(descriptor, remote);
  if (result < 0) {
    close(descriptor);
    return result;
  }
  return descriptor;
}

int tl_path_router(int descriptor, tl_endpoint *router) {
  tl_name name;
  char payload[64];
  union {
    struct cmsghdr header;
    char space[512];
  } control;
  struct iovec vector = {.iov_base = payload, .iov_len = sizeof payload};
  struct msghdr header = {
    .msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &vector, .msg_iovlen = 1,
    .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(descriptor, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
  }
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&header); each; each = CMSG_NXTHDR(&header, each)) {
    int isV4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR;
    int isV6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR;
    if (!isV4 && !isV6) continue;
    struct sock_extended_err *error = (struct sock_extended_err *)CMSG_DATA(each);
    int isTimeExceeded = (isV4 && error->ee_origin == SO_EE_ORIGIN_ICMP && error->ee_type == ICMP_TIME_EXCEEDED) ||
                         (isV6 && error->ee_origin == SO_EE_ORIGIN_ICMP6 && error->ee_type == ICMP6_TIME_EXCEEDED);
    if (!isTimeExceeded) return 2;
    memset(&name, 0, sizeof name);
    memcpy(&name, SO_EE_OFFENDER(error), isV4 ? sizeof name.v4 : sizeof name.v6);
    *router = tl_endpoint_from(&name);
    return 1;
  }
  return 2;
}
