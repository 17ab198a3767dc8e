/// A SIP method: a token, compared with its case (RFC 3261 §7.1).
public struct SIPMethod: Hashable, Sendable, CustomStringConvertible {
  public let name: String

  public init(_ name: String) { self.name = name }

  public var description: String { name }

  public static var invite: SIPMethod { SIPMethod("INVITE") }
  public static var ack: SIPMethod { SIPMethod("ACK") }
  public static var bye: SIPMethod { SIPMethod("BYE") }
  public static var cancel: SIPMethod { SIPMethod("CANCEL") }
  public static var register: SIPMethod { SIPMethod("REGISTER") }
  public static var options: SIPMethod { SIPMethod("OPTIONS") }
  /// RFC 3311.
  public static var update: SIPMethod { SIPMethod("UPDATE") }
  /// RFC 3262.
  public static var prack: SIPMethod { SIPMethod("PRACK") }
  /// RFC 6086.
  public static var info: SIPMethod { SIPMethod("INFO") }
  /// RFC 3515.
  public static var refer: SIPMethod { SIPMethod("REFER") }
  /// RFC 6665.
  public static var notify: SIPMethod { SIPMethod("NOTIFY") }
  /// RFC 6665.
  public static var subscribe: SIPMethod { SIPMethod("SUBSCRIBE") }
  /// RFC 3428.
  public static var message: SIPMethod { SIPMethod("MESSAGE") }
  /// RFC 3903.
  public static var publish: SIPMethod { SIPMethod("PUBLISH") }
}
