#!/bin/sh
# build.sh [TARGET…]: builds the fuzzers (STUN STUNClient Discovery Uplink SIP SDP RTP PortMapping) to Fuzz/.build, only what is older than its sources.
#
# By the compiler, not as a package: the nested package would fetch and lay out every dependency of the main one to
# build parsers that need none of them (swift-crypto is stood in for, see Crypto/Crypto.swift).
set -eu
cd "$(dirname "$0")"
mkdir -p .build
sources=../Sources
flags="-O -wmo -parse-as-library -sanitize=fuzzer -swift-version 6 -package-name trunkline -I .build
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility"

# is_older FILE PATH…: whether FILE is missing, or anything in the paths is newer.
is_older() {
  file=$1
  shift
  [ ! -e "$file" ] || [ -n "$(find "$@" -newer "$file" -name '*.swift' | head -1)" ]
}

# module NAME FOLDER [DEPENDENCY…]: an object with everything instrumented, and the module to import.
module() {
  name=$1 folder=$2
  shift 2
  for dependency in "$@"; do
    [ ! -e ".build/$name.o" ] || [ ! ".build/$dependency.o" -nt ".build/$name.o" ] || rm ".build/$name.o"
  done
  is_older ".build/$name.o" "$folder" || return 0
  # shellcheck disable=SC2046,SC2086
  swiftc $flags -module-name "$name" -emit-module -emit-module-path ".build/$name.swiftmodule" -emit-object \
    -o ".build/$name.o" $(find "$folder" -name '*.swift')
}

# fuzzer NAME MODULE…: Targets/NAME.swift with its entry and what $extra names, linked with the modules.
extra=""
fuzzer() {
  name=$1
  shift
  objects=""
  for used in "$@"; do objects="$objects .build/$used.o"; done
  for object in $objects; do
    [ ! -e ".build/fuzz-$name" ] || [ ! "$object" -nt ".build/fuzz-$name" ] || rm ".build/fuzz-$name"
  done
  # shellcheck disable=SC2086
  is_older ".build/fuzz-$name" "Targets/$name.swift" Targets/Entry.swift $extra || return 0
  # shellcheck disable=SC2086
  swiftc $flags -module-name "Fuzz$name" -o ".build/fuzz-$name" Targets/Entry.swift "Targets/$name.swift" $extra $objects
}

module NetworkTypes $sources/NetworkTypes
for target in ${*:-STUN STUNClient Discovery Uplink SIP SDP RTP PortMapping}; do
  extra=""
  case $target in
  STUN | STUNClient | Discovery | Uplink)
    module Crypto Crypto
    module STUN $sources/STUN NetworkTypes Crypto
    [ "$target" = STUN ] || extra=Targets/Script.swift
    case $target in
    Discovery)
      module PortMapping $sources/PortMapping NetworkTypes
      module NATDiscovery $sources/NATDiscovery NetworkTypes STUN PortMapping
      fuzzer Discovery NetworkTypes Crypto STUN PortMapping NATDiscovery
      ;;
    Uplink)
      # One machine of LinkManager, which needs nothing else of it.
      module LinkPart $sources/LinkManager/UplinkPort.swift NetworkTypes STUN
      fuzzer Uplink NetworkTypes Crypto STUN LinkPart
      ;;
    *) fuzzer "$target" NetworkTypes Crypto STUN ;;
    esac
    ;;
  SIP)
    module SIPSyntax $sources/SIPSyntax NetworkTypes
    fuzzer SIP NetworkTypes SIPSyntax
    ;;
  SDP | RTP | PortMapping)
    module "$target" "$sources/$target" NetworkTypes
    fuzzer "$target" NetworkTypes "$target"
    ;;
  *)
    echo "build.sh: no target named $target (STUN, STUNClient, Discovery, Uplink, SIP, SDP, RTP, PortMapping)" >&2
    exit 64
    ;;
  esac
done
