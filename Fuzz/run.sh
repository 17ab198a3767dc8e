#!/bin/sh
# run.sh SECONDS [TARGET…]: builds the fuzzers (STUN STUNClient Discovery Uplink SIP SDP RTP PortMapping) and runs each for so many seconds, two at a time.
#
# Prints a line each and exits 1 where one found something; the input is then in Fuzz/Cases/TARGET, where every later
# run takes it first. Corpus/TARGET holds what a run begins with; what it learns stays in Fuzz/.build.
set -eu
cd "$(dirname "$0")"

case ${1:-} in
'' | *[!0-9]*)
  echo "usage: run.sh SECONDS [TARGET…]   (STUN, STUNClient, Discovery, Uplink, SIP, SDP, RTP, PortMapping)" >&2
  exit 64
  ;;
esac

# Within: run.sh SECONDS --one TARGET.
if [ "${2:-}" = --one ]; then
  target=$3
  mkdir -p ".build/learned/$target" "Cases/$target"
  log=.build/$target.log
  dictionary=""
  [ ! -f "$target.dict" ] || dictionary="-dict=$target.dict"
  status=0
  # Swift's own backtrace would take the trap away from libFuzzer. The second bound is for a fuzzer that hangs.
  # shellcheck disable=SC2086
  SWIFT_BACKTRACE=enable=no timeout -k 5 $(($1 + 60)) ".build/fuzz-$target" ".build/learned/$target" "Corpus/$target" "Cases/$target" \
    -max_total_time="$1" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 $dictionary \
    -artifact_prefix="Cases/$target/" >"$log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  if [ $status = 0 ]; then
    echo "fuzz $target: nothing found in $1 s, ${runs:-0} inputs, ${coverage:-0} edges"
    exit 0
  fi
  found=$(sed -n 's/.*Test unit written to //p' "$log")
  reason=$(sed -n 's/.*Fatal error: //p; s/^SUMMARY: //p' "$log" | head -1)
  echo "fuzz $target: FOUND ${found:-nothing kept, status $status} (${reason:-no reason given}); Fuzz/$log says more"
  exit 1
fi

seconds=$1
shift
[ $# -gt 0 ] || set -- STUN STUNClient Discovery Uplink SIP SDP RTP PortMapping
./build.sh "$@"
printf '%s\n' "$@" | xargs -P 2 -I '{}' ./run.sh "$seconds" --one '{}'
