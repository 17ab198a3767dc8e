#ifndef C_DATAGRAM_SOCKETS_INTERNAL_H
#define C_DATAGRAM_SOCKETS_INTERNAL_H

#include "CDatagramSockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} tl_name;

// Room for one IP_PKTINFO or IPV6_PKTINFO.
typedef union {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
} tl_control;

// The length of the name, 0 for family 0.
socklen_t tl_name_from(tl_endpoint endpoint, tl_name *name);
tl_endpoint tl_endpoint_from(const tl_name *name);
// Prepares a header to be sent from `local`; leaves it alone for family 0 and for wildcards.
void tl_control_set(struct msghdr *header, tl_control *control, tl_endpoint local);

#endif
