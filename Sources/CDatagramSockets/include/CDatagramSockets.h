// What the system offers for datagrams, in a shape that Swift can call with little: plain structures, no macros, no
// variable arguments, errors as negative errno. The safe face is the target DatagramSockets.
#ifndef C_DATAGRAM_SOCKETS_H
#define C_DATAGRAM_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

// An address and a port in host order. family is 4, 6, or 0 for none. An IPv4 address is the low 32 bits of `low`.
typedef struct {
  uint64_t high;
  uint64_t low;
  uint16_t port;
  uint8_t family;
} tl_endpoint;

typedef struct {
  const uint8_t *bytes;
  size_t count;
  tl_endpoint source;
  // Where it was sent to; family 0 where the kernel did not tell.
  tl_endpoint local;
} tl_datagram;

// --- Sockets. Each returns 0 or a descriptor, or a negative errno.

// A non-blocking, close-on-exec UDP socket bound to `local`. A wildcard one learns the destination of each datagram.
int tl_socket_open(tl_endpoint local, int reuse_address, int receive_buffer);
// Lets further sockets that ask for it have this one's port too (SO_REUSEPORT); the kernel deals the senders out among them.
int tl_socket_share(int descriptor);
// As tl_socket_open, beside a socket that shares its port.
int tl_socket_open_beside(tl_endpoint local, int receive_buffer);
int tl_socket_connect(int descriptor, tl_endpoint remote);
int tl_socket_disconnect(int descriptor);
int tl_socket_local(int descriptor, tl_endpoint *local);
void tl_socket_close(int descriptor);
// Sends one datagram: to `remote` (family 0: to where the socket is connected), from `local` (family 0: as the kernel likes).
// Returns 0 or a negative errno.
int tl_socket_send(int descriptor, const uint8_t *bytes, size_t count, tl_endpoint remote, tl_endpoint local);
// Waits until there is something to read: 1, or 0 after the time has passed, or a negative errno.
int tl_socket_wait(int descriptor, int milliseconds);

// --- The routers on the way.

// A socket connected to `remote` whose packets pass no more than `hops` routers.
int tl_path_open(tl_endpoint local, tl_endpoint remote, int hops);
// 1 where a router said that it ended the way of a packet: which one is in `router`. 0: nobody said anything yet; 2: something
// else was said; or a negative errno. Does not wait.
int tl_path_router(int descriptor, tl_endpoint *router);

// --- Receiving a batch.

enum { TL_BATCH = 64, TL_DATAGRAM_SIZE = 65535 };

typedef struct tl_receiver tl_receiver;
// `size`: the longest datagram, at most TL_DATAGRAM_SIZE; what is longer is cut to one byte more than it.
tl_receiver *tl_receiver_make(size_t size);
void tl_receiver_free(tl_receiver *receiver);
// Reads up to `limit` datagrams without waiting. Returns how many (0: none there), or a negative errno.
int tl_receiver_read(tl_receiver *receiver, int descriptor, int limit);
// The datagram at `index` of the last read, valid until the next one.
tl_datagram tl_receiver_get(const tl_receiver *receiver, int index);

// --- Sending a batch.

typedef struct tl_sender tl_sender;
tl_sender *tl_sender_make(void);
void tl_sender_free(tl_sender *sender);
// Copies a datagram into the batch. Returns 1, or 0 where there is no room: flush first.
int tl_sender_add(tl_sender *sender, const uint8_t *bytes, size_t count, tl_endpoint remote, tl_endpoint local);
int tl_sender_count(const tl_sender *sender);
// Sends from the datagram at `from` on. Returns how many left before the first that could not; its errno is in `*error`
// (0: all left).
int tl_sender_send(tl_sender *sender, int descriptor, int from, int *error);
tl_endpoint tl_sender_remote(const tl_sender *sender, int index);
void tl_sender_clear(tl_sender *sender);

// --- Waiting for many.

typedef struct tl_poller tl_poller;
enum { TL_POLLER_WOKEN = 0x7fffffff };
// NULL where the system refuses; *error is then its errno.
tl_poller *tl_poller_make(int *error);
void tl_poller_free(tl_poller *poller);
int tl_poller_add(tl_poller *poller, int descriptor, uint32_t token);
int tl_poller_remove(tl_poller *poller, int descriptor);
void tl_poller_wake(tl_poller *poller);
// Waits at most `nanoseconds` (negative: for ever). Returns how many tokens are ready, or a negative errno. A wake-up is the
// token TL_POLLER_WOKEN, and is taken back by this.
int tl_poller_wait(tl_poller *poller, int64_t nanoseconds);
uint32_t tl_poller_token(const tl_poller *poller, int index);

// --- The rest of the system that shells read.

// CLOCK_BOOTTIME and CLOCK_REALTIME, nanoseconds.
int64_t tl_clock_boot(void);
int64_t tl_clock_wall(void);
// 32 bytes from getrandom. Returns 0 or a negative errno.
int tl_random_seed(uint64_t seed[4]);
// A thread with all signals blocked. Returns 0 or a negative errno.
int tl_thread_start(const char *name, void (*run)(void *), void *context, uint64_t *thread);
void tl_thread_join(uint64_t thread);
uint64_t tl_thread_self(void);
// How many processors this process may use.
int tl_processor_count(void);
// A few words for an errno, into `text`.
void tl_error_text(int error, char *text, size_t count);

typedef struct {
  char name[16];
  tl_endpoint address;
  int prefix_length;
  int is_up;
} tl_interface;
// Fills up to `count` addresses of this host. Returns how many there are, or a negative errno.
int tl_interfaces(tl_interface *list, int count);

#endif
