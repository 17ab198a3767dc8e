#!/bin/sh
# rtp-relay.sh [--smoke]: what relaying an RTP packet costs in user space.
#
# Mallocs (counted by a preloaded library) and retains and releases (callgrind's call counts) of a whole process, for N and
# for 2N packets: the difference is what N packets cost, and has to be none. Timers fire meanwhile, once a second a port, so
# that a few a thousand packets are let pass. Then the CPU time a packet takes on the relaying thread, beside a bare loop
# of epoll, recv and send: medians of alternating rounds. --smoke takes fewer rounds and packets. BENCHMARK_BINARY names a
# built benchmark, beside which RTPRelayBenchmark is then looked for.
set -eu
cd "$(dirname "$0")"

rounds=9 packets=200000
[ "${1:-}" != --smoke ] || rounds=3 packets=60000
calls=16

mkdir -p .build
ours=${BENCHMARK_BINARY:+${BENCHMARK_BINARY%/*}/RTPRelayBenchmark}
if [ -z "$ours" ] || [ ! -x "$ours" ]; then
  swift build --package-path .. -c release --product RTPRelayBenchmark >.build/log 2>&1 || {
    cat .build/log >&2
    exit 1
  }
  ours=$(swift build --package-path .. -c release --show-bin-path)/RTPRelayBenchmark
fi
if [ ! -e .build/malloc.so ] || [ MallocCount/malloc.c -nt .build/malloc.so ]; then
  cc -O2 -shared -fPIC -o .build/malloc.so MallocCount/malloc.c
fi

run() { "$@" || { echo "rtp-relay: the benchmark failed" >&2; exit 1; }; }

# verdict WHAT SMALL LARGE: what each packet of the difference cost; exits 1 where that is something.
verdict() {
  echo "$1 $2 $3" | awk -v packets="$packets" '{
    cost = ($3 - $2) / packets
    if (cost < 0.005 && cost > -0.05) cost = 0
    printf "rtp-relay: %.2f %s a packet (%d in a run of %d packets, %d in one of %d)\n", cost, $1, $2, packets, $3, 2 * packets
    if (cost > 0.02) { printf "rtp-relay: %s have to be none\n", $1; exit 1 }
  }'
}

mallocs() {
  run env MALLOC_COUNT=.build/mallocs LD_PRELOAD="$PWD/.build/malloc.so" "$ours" engine "$1" $calls >/dev/null
  sed -n 's/^mallocs //p' .build/mallocs
}
verdict mallocs "$(mallocs $packets)" "$(mallocs $((2 * packets)))"

if command -v valgrind >/dev/null; then
  # Debian's valgrind gives up over the compiler's debug information.
  strip --strip-debug -o .build/relay "$ours"
  references() {
    run valgrind --tool=callgrind --callgrind-out-file=.build/calls --compress-strings=no --compress-pos=no \
      .build/relay engine "$1" $calls >/dev/null 2>.build/log
    awk '
      /^cfn=/ { name = substr($0, 5) }
      /^calls=/ && name ~ /^swift_(bridgeObject|unknownObject)?(retain|release|Retain|Release)(_n)?$/ {
        split(substr($0, 7), field, " ")
        sum += field[1]
      }
      END { print sum + 0 }' .build/calls
  }
  small=$(references $packets)
  if [ "$small" -eq 0 ]; then
    echo "rtp-relay: callgrind saw no retain at all, which cannot be: is the Swift runtime stripped?" >&2
    exit 1
  fi
  verdict retains-and-releases "$small" "$(references $((2 * packets)))"
else
  echo "rtp-relay: retains and releases not counted, valgrind is not installed"
fi

: >.build/rounds
round=0
while [ $round -lt $rounds ]; do
  own=$(run "$ours" engine $packets $calls)
  bare=$(run "$ours" floor $packets $calls)
  echo "${own%% *} ${bare%% *}" >>.build/rounds
  round=$((round + 1))
done

# median: the middle one of an odd number of lines.
median() { sort -g | sed -n "$(((rounds + 1) / 2))p"; }
own=$(cut -d' ' -f1 .build/rounds | median)
bare=$(cut -d' ' -f2 .build/rounds | median)
ratio=$(awk '{ print $1 / $2 }' .build/rounds | median)
echo "$own $bare $ratio $rounds" | awk '{
  printf "rtp-relay: %.2f µs, a bare loop %.2f µs of CPU a packet; ratio %.2f (median of %d rounds)\n", $1, $2, $3, $4
  if ($3 >= 1.5) { print "rtp-relay: the ratio has to be below 1.5"; exit 1 }
}'
