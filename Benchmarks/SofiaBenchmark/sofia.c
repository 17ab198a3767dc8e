// CPU time of sofia-sip for the work of SIPParserBenchmark: parse one message, look at the same five values.
//
//   sofia FILE ITERATIONS ROUNDS
//
// Prints one line a round: microseconds of CPU per message.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>

static double cpu_microseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static long parse(msg_mclass_t const *class, void const *bytes, size_t count) {
  msg_t *message = msg_make(class, 0, bytes, count);
  if (!message) return -1;
  sip_t *sip = sip_object(message);
  long sum = -1;
  if (sip && sip->sip_from && sip->sip_from->a_tag && sip->sip_via && sip->sip_via->v_branch && sip->sip_contact &&
      sip->sip_contact->m_url->url_host && sip->sip_cseq && sip->sip_content_length)
    sum = (long)(strlen(sip->sip_from->a_tag) + strlen(sip->sip_via->v_branch) +
                 strlen(sip->sip_contact->m_url->url_host) + sip->sip_cseq->cs_seq + sip->sip_content_length->l_length);
  msg_destroy(message);
  return sum;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: sofia FILE ITERATIONS ROUNDS\n");
    return 64;
  }
  static char bytes[65536];
  FILE *file = fopen(arguments[1], "rb");
  if (!file) {
    perror(arguments[1]);
    return 65;
  }
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  msg_mclass_t const *class = sip_default_mclass();
  if (parse(class, bytes, size) < 0) {
    fprintf(stderr, "the message cannot be read\n");
    return 65;
  }
  long iterations = atol(arguments[2]), rounds = atol(arguments[3]);
  for (long round = 0; round < rounds; round++) {
    double start = cpu_microseconds();
    long sum = 0;
    for (long i = 0; i < iterations; i++) sum += parse(class, bytes, size);
    printf("%.4f %ld\n", (cpu_microseconds() - start) / iterations, sum);
  }
  return 0;
}
