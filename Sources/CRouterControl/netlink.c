#define _GNU_SOURCE
#include "CRouterControl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tl_netlink_open(void) {
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (descriptor < 0) return -errno;
  struct sockaddr_nl name = {
      .nl_family = AF_NETLINK,
      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE};
  if (bind(descriptor, (const struct sockaddr *)&name, sizeof name) < 0) {
    int error = errno;
    close(descriptor);
    return -error;
  }
  return descriptor;
}

long tl_netlink_read(int descriptor, uint8_t *bytes, size_t count) {
  for (;;) {
    struct sockaddr_nl source;
    memset(&source, 0, sizeof source);
    struct iovec place = {.iov_base = bytes, .iov_len = count};
    struct msghdr header = {.msg_name = &source, .msg_namelen = sizeof source, .msg_iov = &place, .msg_iovlen = 1};
    ssize_t got = recvmsg(descriptor, &header, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    }
    // Only the kernel (port 0) tells the truth here; any process may send to our port.
    if (source.nl_pid == 0) return got;
  }
}

void tl_netlink_close(int descriptor) { close(descriptor); }

int tl_multicast_join(int descriptor, uint32_t group, uint32_t local) {
  struct ip_mreq wanted = {.imr_multiaddr.s_addr = htonl(group), .imr_interface.s_addr = htonl(local)};
  return setsockopt(descriptor, IPPROTO_IP, IP_ADD_MEMBERSHIP, &wanted, sizeof wanted) < 0 ? -errno : 0;
}

int tl_multicast_from(int descriptor, uint32_t local, int hops) {
  struct in_addr from = {.s_addr = htonl(local)};
  unsigned char limit = hops < 0 ? 0 : hops > 255 ? 255 : (unsigned char)hops;
  if (setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof from) < 0) return -errno;
  return setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_TTL, &limit, sizeof limit) < 0 ? -errno : 0;
}
