#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

// A link-local IPv6 address means something only on one link, and our endpoints do not carry which. The link on which an
// address was last heard is remembered here, and used when something is sent to it: one word an address, the upper half a
// hash of it, the lower half the interface.
enum { SCOPES = 256 };
static _Atomic uint64_t scopes[SCOPES];

static int is_link_local(const struct in6_addr *address) {
  return address->s6_addr[0] == 0xfe && (address->s6_addr[1] & 0xc0) == 0x80;
}

static uint32_t hash(const struct in6_addr *address) {
  uint32_t value = 2166136261u;
  for (int index = 0; index < 16; index++) value = (value ^ address->s6_addr[index]) * 16777619u;
  return value;
}

socklen_t tl_name_from(tl_endpoint endpoint, tl_name *name) {
  memset(name, 0, sizeof *name);
  if (endpoint.family == 4) {
    name->v4.sin_family = AF_INET;
    name->v4.sin_port = htons(endpoint.port);
    name->v4.sin_addr.s_addr = htonl((uint32_t)endpoint.low);
    return sizeof name->v4;
  }
  if (endpoint.family != 6) return 0;
  name->v6.sin6_family = AF_INET6;
  name->v6.sin6_port = htons(endpoint.port);
  for (int index = 0; index < 8; index++) {
    name->v6.sin6_addr.s6_addr[index] = (uint8_t)(endpoint.high >> (56 - 8 * index));
    name->v6.sin6_addr.s6_addr[index + 8] = (uint8_t)(endpoint.low >> (56 - 8 * index));
  }
  if (is_link_local(&name->v6.sin6_addr)) {
    uint32_t key = hash(&name->v6.sin6_addr);
    uint64_t known = atomic_load_explicit(&scopes[key % SCOPES], memory_order_relaxed);
    if (known >> 32 == key) name->v6.sin6_scope_id = (uint32_t)known;
  }
  return sizeof name->v6;
}

tl_endpoint tl_endpoint_from(const tl_name *name) {
  tl_endpoint endpoint = {0};
  if (name->any.sa_family == AF_INET) {
    endpoint.family = 4;
    endpoint.port = ntohs(name->v4.sin_port);
    endpoint.low = ntohl(name->v4.sin_addr.s_addr);
  } else if (name->any.sa_family == AF_INET6) {
    endpoint.family = 6;
    endpoint.port = ntohs(name->v6.sin6_port);
    for (int index = 0; index < 8; index++) {
      endpoint.high = endpoint.high << 8 | name->v6.sin6_addr.s6_addr[index];
      endpoint.low = endpoint.low << 8 | name->v6.sin6_addr.s6_addr[index + 8];
    }
    if (name->v6.sin6_scope_id != 0 && is_link_local(&name->v6.sin6_addr)) {
      uint32_t key = hash(&name->v6.sin6_addr);
      atomic_store_explicit(
        &scopes[key % SCOPES], (uint64_t)key << 32 | name->v6.sin6_scope_id, memory_order_relaxed);
    }
  }
  return endpoint;
}

void tl_control_set(struct msghdr *header, tl_control *control, tl_endpoint local) {
  if (local.family == 0 || (local.high | local.low) == 0) return;
  tl_name name;
  tl_name_from(local, &name);
  memset(control, 0, sizeof *control);
  header->msg_control = control;
  header->msg_controllen = sizeof *control;
  struct cmsghdr *message = CMSG_FIRSTHDR(header);
  if (local.family == 4) {
    message->cmsg_level = IPPROTO_IP;
    message->cmsg_type = IP_PKTINFO;
    message->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(message);
    info->ipi_spec_dst = name.v4.sin_addr;
    header->msg_controllen = CMSG_SPACE(sizeof *info);
  } else {
    message->cmsg_level = IPPROTO_IPV6;
    message->cmsg_type = IPV6_PKTINFO;
    message->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
    struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(message);
    info->ipi6_addr = name.v6.sin6_addr;
    header->msg_controllen = CMSG_SPACE(sizeof *info);
  }
}

static int open_socket(tl_endpoint local, int option, int receive_buffer) {
  int on = 1;
  int isV6 = local.family == 6;
  int descriptor = socket(isV6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -errno;
  // An IPv6 socket hears IPv6 only, so that both families can be bound to one port and addresses stay what they are.
  int failed = isV6 && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0;
  if (!failed && (local.high | local.low) == 0) {
    failed = setsockopt(
      descriptor, isV6 ? IPPROTO_IPV6 : IPPROTO_IP, isV6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on, sizeof on) < 0;
  }
  if (!failed && option) failed = setsockopt(descriptor, SOL_SOCKET, option, &on, sizeof on) < 0;
  // A wish: the kernel cuts it to net.core.rmem_max, some milliseconds of a busy port, unless an administrator asks.
  if (receive_buffer > 0
      && setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) < 0) {
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  tl_name name;
  socklen_t length = tl_name_from(local, &name);
  if (!failed) failed = bind(descriptor, &name.any, length) < 0;
  if (failed) {
    int error = errno;
    close(descriptor);
    return -error;
  }
  return descriptor;
}

int tl_socket_open(tl_endpoint local, int reuse_address, int receive_buffer) {
  return open_socket(local, reuse_address ? SO_REUSEADDR : 0, receive_buffer);
}

int tl_socket_share(int descriptor) {
  int on = 1;
  return setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ? -errno : 0;
}

int tl_socket_open_beside(tl_endpoint local, int receive_buffer) {
  return open_socket(local, SO_REUSEPORT, receive_buffer);
}

int tl_socket_connect(int descriptor, tl_endpoint remote) {
  tl_name name;
  socklen_t length = tl_name_from(remote, &name);
  return connect(descriptor, &name.any, length) < 0 ? -errno : 0;
}

int tl_socket_disconnect(int descriptor) {
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  return connect(descriptor, &nobody, sizeof nobody) < 0 ? -errno : 0;
}

int tl_socket_local(int descriptor, tl_endpoint *local) {
  tl_name name;
  socklen_t length = sizeof name;
  memset(&name, 0, sizeof name);
  if (getsockname(descriptor, &name.any, &length) < 0) return -errno;
  *local = tl_endpoint_from(&name);
  return 0;
}

void tl_socket_close(int descriptor) { close(descriptor); }

int tl_socket_send(int descriptor, const uint8_t *bytes, size_t count, tl_endpoint remote, tl_endpoint local) {
  tl_name name;
  tl_control control;
  struct iovec vector = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
  if (remote.family != 0) {
    header.msg_name = &name;
    header.msg_namelen = tl_name_from(remote, &name);
  }
  tl_control_set(&header, &control, local);
  // A refusal that an earlier datagram met is told to the next call, which then has sent nothing: hence the second try.
  for (int attempt = 0; attempt < 3; attempt++) {
    if (sendmsg(descriptor, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != ECONNREFUSED && errno != EINTR) break;
  }
  return -errno;
}

int tl_socket_wait(int descriptor, int milliseconds) {
  struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
  int count = poll(&wanted, 1, milliseconds);
  return count < 0 ? -errno : count;
}
