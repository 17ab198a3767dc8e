import NetworkTypes
import STUN

// The testing macros take their operands apart, which a `Span` does not let happen to it: arrays are given here.

func decode(_ bytes: [UInt8]) throws(STUNDecodeError) -> STUNMessage { try STUNMessage(decoding: bytes.span) }

func isSTUN(_ bytes: [UInt8]) -> Bool { STUNMessage.isSTUN(bytes.span) }

func verdict(on bytes: [UInt8], key: STUNKey) -> STUNIntegrity.Verdict {
  STUNIntegrity.verdict(on: bytes.span, key: key)
}

extension BindingResponder {
  func answer(to bytes: [UInt8], from source: Endpoint, local: Endpoint) -> [UInt8]? {
    respond(to: bytes.span, from: source, local: local)
  }
}
