import CDatagramSockets
import Glibc
import NetworkTypes

/// What the system refused, as one sentence for a person. Equal by ``code``.
public struct DatagramSocketError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kernel's errno, positive.
  public let code: Int32
  /// Names the port and the address, and what to do where that is known.
  public let sentence: String

  init(_ code: Int32, sentence: String) {
    self.code = code
    self.sentence = sentence
  }

  /// What a negative result of the shim means, for `operation` in the infinitive.
  init(_ result: Int32, to operation: String) {
    self.init(-result, sentence: "The system refused to \(operation): \(Self.words(-result))")
  }

  /// Why no socket could be opened on `local`.
  init(_ result: Int32, opening local: Endpoint) {
    let code = -result
    let port = "UDP port \(local.port) on \(local.address)"
    let sentence =
      switch code {
      case EADDRINUSE: "\(port) is already in use"
      case EACCES: "\(port) may not be opened by this user: ports below 1024 are for root"
      case EADDRNOTAVAIL: "\(port) cannot be opened: \(local.address) is not an address of this machine"
      case EAFNOSUPPORT: "\(port) cannot be opened: this machine has no \(local.address.isV4 ? "IPv4" : "IPv6")"
      case EMFILE, ENFILE: "\(port) cannot be opened: too many files are open"
      default: "\(port) cannot be opened: \(Self.words(code))"
      }
    self.init(code, sentence: sentence)
  }

  /// Whether another program, or another socket of this one, has the port.
  public var isAddressInUse: Bool { code == EADDRINUSE }

  public var description: String { sentence }

  public static func == (left: DatagramSocketError, right: DatagramSocketError) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  /// A few words for an errno, as `strerror` has them.
  public static func words(_ code: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    // The shim writes at most the count that it is given, with a zero at the end.
    unsafe text.withUnsafeMutableBufferPointer { unsafe tl_error_text(code, $0.baseAddress, $0.count) }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
