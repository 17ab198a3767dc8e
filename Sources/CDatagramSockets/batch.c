#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tl_receiver {
  struct mmsghdr headers[TL_BATCH];
  struct iovec vectors[TL_BATCH];
  tl_name names[TL_BATCH];
  tl_control controls[TL_BATCH];
  // The descriptor's own address, for a socket that is not bound to a wildcard, is known to the caller.
  uint8_t *bytes;
  size_t stride;
};

tl_receiver *tl_receiver_make(size_t size) {
  if (size > TL_DATAGRAM_SIZE) size = TL_DATAGRAM_SIZE;
  tl_receiver *receiver = calloc(1, sizeof *receiver);
  if (!receiver) return NULL;
  // Short datagrams lie close together. The odd cache line keeps the beginnings of long ones from competing for the same
  // places in the cache; what was never filled of them is never mapped.
  receiver->stride = ((size / 64 + 1) | 1) * 64;
  receiver->bytes = malloc(receiver->stride * TL_BATCH);
  if (!receiver->bytes) {
    free(receiver);
    return NULL;
  }
  for (int index = 0; index < TL_BATCH; index++) {
    receiver->vectors[index].iov_base = receiver->bytes + (size_t)index * receiver->stride;
    receiver->vectors[index].iov_len = size < TL_DATAGRAM_SIZE ? size + 1 : size;
    struct msghdr *header = &receiver->headers[index].msg_hdr;
    header->msg_iov = &receiver->vectors[index];
    header->msg_iovlen = 1;
    header->msg_name = &receiver->names[index];
    header->msg_namelen = sizeof receiver->names[index];
    header->msg_control = &receiver->controls[index];
    header->msg_controllen = sizeof receiver->controls[index];
  }
  return receiver;
}

void tl_receiver_free(tl_receiver *receiver) {
  if (!receiver) return;
  free(receiver->bytes);
  free(receiver);
}

int tl_receiver_read(tl_receiver *receiver, int descriptor, int limit) {
  if (limit > TL_BATCH) limit = TL_BATCH;
  if (limit < 1) return 0;
  for (int index = 0; index < limit; index++) {
    struct msghdr *header = &receiver->headers[index].msg_hdr;
    header->msg_namelen = sizeof receiver->names[index];
    header->msg_controllen = sizeof receiver->controls[index];
  }
  int count = recvmmsg(descriptor, receiver->headers, (unsigned)limit, MSG_DONTWAIT, NULL);
  if (count >= 0) return count;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

tl_datagram tl_receiver_get(const tl_receiver *receiver, int index) {
  const struct mmsghdr *message = &receiver->headers[index];
  struct msghdr header = message->msg_hdr;
  tl_datagram datagram = {
    .bytes = receiver->bytes + (size_t)index * receiver->stride,
    .count = message->msg_len,
    .source = tl_endpoint_from(&receiver->names[index]),
  };
  for (struct cmsghdr *control = CMSG_FIRSTHDR(&header); control; control = CMSG_NXTHDR(&header, control)) {
    tl_name name;
    memset(&name, 0, sizeof name);
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
      // Not the destination but the address to answer from: the two differ for broadcasts and multicasts.
      name.v4.sin_family = AF_INET;
      name.v4.sin_addr = ((const struct in_pktinfo *)CMSG_DATA(control))->ipi_spec_dst;
      datagram.local = tl_endpoint_from(&name);
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
      name.v6.sin6_family = AF_INET6;
      name.v6.sin6_addr = ((const struct in6_pktinfo *)CMSG_DATA(control))->ipi6_addr;
      if (name.v6.sin6_addr.s6_addr[0] != 0xff) datagram.local = tl_endpoint_from(&name);
    }
  }
  return datagram;
}

// Room for 64 datagrams of the usual size, and for the longest one.
enum { ARENA = TL_BATCH * 2048 + 65536 };

struct tl_sender {
  struct mmsghdr headers[TL_BATCH];
  struct iovec vectors[TL_BATCH];
  tl_name names[TL_BATCH];
  tl_control controls[TL_BATCH];
  tl_endpoint remotes[TL_BATCH];
  int count;
  size_t used;
  uint8_t bytes[ARENA];
};

tl_sender *tl_sender_make(void) { return calloc(1, sizeof(tl_sender)); }

void tl_sender_free(tl_sender *sender) { free(sender); }

int tl_sender_add(tl_sender *sender, const uint8_t *bytes, size_t count, tl_endpoint remote, tl_endpoint local) {
  if (sender->count == TL_BATCH || count > ARENA - sender->used) return 0;
  int index = sender->count++;
  uint8_t *copy = sender->bytes + sender->used;
  if (count > 0) memcpy(copy, bytes, count);
  sender->used += count;
  sender->vectors[index] = (struct iovec){.iov_base = copy, .iov_len = count};
  sender->remotes[index] = remote;
  struct msghdr *header = &sender->headers[index].msg_hdr;
  memset(header, 0, sizeof *header);
  header->msg_iov = &sender->vectors[index];
  header->msg_iovlen = 1;
  if (remote.family != 0) {
    header->msg_name = &sender->names[index];
    header->msg_namelen = tl_name_from(remote, &sender->names[index]);
  }
  tl_control_set(header, &sender->controls[index], local);
  return 1;
}

int tl_sender_count(const tl_sender *sender) { return sender->count; }

int tl_sender_send(tl_sender *sender, int descriptor, int from, int *error) {
  int left = 0;
  int refusals = 0;
  *error = 0;
  while (from + left < sender->count) {
    int count = sendmmsg(
      descriptor, sender->headers + from + left, (unsigned)(sender->count - from - left), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      left += count;
      refusals = 0;
    } else if ((errno != ECONNREFUSED && errno != EINTR) || ++refusals == 3) {
      // As in tl_socket_send: a refusal may belong to an earlier datagram.
      *error = errno;
      break;
    }
  }
  return left;
}

tl_endpoint tl_sender_remote(const tl_sender *sender, int index) { return sender->remotes[index]; }

void tl_sender_clear(tl_sender *sender) {
  sender->count = 0;
  sender->used = 0;
}
