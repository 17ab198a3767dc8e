import Glibc
import NIOCore
import NetworkTypes

/// What the system refused, as one sentence for a person. Equal by ``code``.
public struct SIPStreamServerError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kernel's errno, positive; 0 where it gave none.
  public let code: Int32
  /// Names the port and the address, and what to do where that is known.
  public let sentence: String

  /// Why nobody can listen at `local`.
  init(_ error: any Error, listeningAt local: Endpoint) {
    code = (error as? IOError)?.errnoCode ?? 0
    let port = "TCP port \(local.port) on \(local.address)"
    sentence =
      switch code {
      case EADDRINUSE: "\(port) is already in use"
      case EACCES: "\(port) may not be opened by this user: ports below 1024 are for root"
      case EADDRNOTAVAIL: "\(port) cannot be opened: \(local.address) is not an address of this machine"
      case EAFNOSUPPORT: "\(port) cannot be opened: this machine has no \(local.address.isV4 ? "IPv4" : "IPv6")"
      case EMFILE, ENFILE: "\(port) cannot be opened: too many files are open"
      default: "\(port) cannot be opened: \(error)"
      }
  }

  /// Whether another program, or another socket of this one, has the port.
  public var isAddressInUse: Bool { code == EADDRINUSE }

  public var description: String { sentence }

  public static func == (left: SIPStreamServerError, right: SIPStreamServerError) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }
}
