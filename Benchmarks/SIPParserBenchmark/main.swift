// CPU time of parsing one INVITE: the index, then From's tag, Via's branch, Contact's host, CSeq and Content-Length.
//
//   SIPParserBenchmark FILE ITERATIONS ROUNDS
//
// Prints one line a round: microseconds of CPU per message.

import Glibc
import SIPSyntax

func cpuMicroseconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

func read(_ path: String) -> [UInt8] {
  let descriptor = unsafe open(path, O_RDONLY)
  guard descriptor >= 0 else { return [] }
  defer { close(descriptor) }
  var buffer = [UInt8](repeating: 0, count: 65_536)
  let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
  return Array(buffer.prefix(max(count, 0)))
}

/// The five values as a stateless element would want them: where they stand, not copies of them.
@inline(never)
func parse(_ bytes: [UInt8]) throws -> Int {
  let message = try SIPMessage(parsing: bytes.span)
  let contact = try message.uriView(message.contactView().uri)
  guard let tag = try message.fromView().tag, let branch = try message.topViaView().branch,
    let length = message.contentLength
  else { return 0 }
  return try tag.count + branch.count + contact.host.count + Int(message.cSeqView().number) + length
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let iterations = Int(arguments[2]), let rounds = Int(arguments[3]) else {
  print("usage: SIPParserBenchmark FILE ITERATIONS ROUNDS")
  exit(64)
}
let bytes = read(arguments[1])
guard try parse(bytes) > 0 else {
  print("the message cannot be read")
  exit(65)
}
for _ in 0..<rounds {
  let start = cpuMicroseconds()
  var sum = 0
  for _ in 0..<iterations { sum &+= try parse(bytes) }
  print((cpuMicroseconds() - start) / Double(iterations), sum)
}
