#!/bin/sh
# sip-parser.sh [--smoke]: CPU time of our SIP parser and of sofia-sip for one INVITE (invite.sip), in one run.
#
# Both index or parse the message and look at From's tag, Via's branch, Contact's host, CSeq and Content-Length. Rounds
# alternate, each a process of its own, so that both meet the same machine. Prints the medians and the median of the
# ratios, and exits 1 where that is not below 0.4. --smoke takes fewer rounds, and only wants 0.6: the machine may be busy.
# BENCHMARK_BINARY names a built SIPParserBenchmark to take instead of building it.
set -eu
cd "$(dirname "$0")"

rounds=15 iterations=50000 bound=0.4
[ "${1:-}" != --smoke ] || rounds=9 iterations=20000 bound=0.6

headers=$(ls -d /usr/include/sofia-sip-* 2>/dev/null | tail -1)
if [ -z "$headers" ]; then
  echo "sip-parser: skipped, sofia-sip is not installed (libsofia-sip-ua-dev)"
  exit 0
fi
mkdir -p .build
if [ ! -e .build/sofia ] || [ SofiaBenchmark/sofia.c -nt .build/sofia ]; then
  cc -O2 -I"$headers" -o .build/sofia SofiaBenchmark/sofia.c -lsofia-sip-ua
fi
if [ -n "${BENCHMARK_BINARY:-}" ]; then
  ours=$BENCHMARK_BINARY
else
  swift build --package-path .. -c release --product SIPParserBenchmark >.build/log 2>&1 || {
    cat .build/log >&2
    exit 1
  }
  ours=$(swift build --package-path .. -c release --show-bin-path)/SIPParserBenchmark
fi

: >.build/rounds
round=0
while [ $round -lt $rounds ]; do
  own=$("$ours" invite.sip $iterations 1)
  peer=$(.build/sofia invite.sip $iterations 1)
  if [ "${own#* }" != "${peer#* }" ]; then
    echo "sip-parser: the two do not read the same values (sums ${own#* } and ${peer#* })" >&2
    exit 1
  fi
  echo "${own%% *} ${peer%% *}" >>.build/rounds
  round=$((round + 1))
done

# median: the middle one of an odd number of lines.
median() { sort -g | sed -n "$(((rounds + 1) / 2))p"; }
own=$(cut -d' ' -f1 .build/rounds | median)
peer=$(cut -d' ' -f2 .build/rounds | median)
ratio=$(awk '{ print $1 / $2 }' .build/rounds | median)
size=$(($(wc -c <invite.sip)))
echo "$own $peer $ratio $size $rounds" | awk -v bound=$bound '{
  printf "sip-parser: %.2f µs, sofia-sip %.2f µs of CPU for an INVITE of %d bytes; ratio %.2f (median of %d rounds)\n", $1, $2, $4, $3, $5
  if ($3 >= bound) { print "sip-parser: the ratio has to be below " bound; exit 1 }
}'
