import NetworkTypes

/// Why a server gave no address.
public enum STUNClientProblem: Error, Sendable, Hashable {
  /// Nothing that counts came.
  case silent
  /// There is no connection to it, or no longer; why, in the words of whoever tried, as the end of a sentence.
  case connection(String)
  /// What came over the connection is no STUN.
  case notSTUN
  /// It asks for a name and a password, and there are none.
  case credentialsNeeded
  /// It does not take name and password.
  case credentialsRefused
  /// What came is not signed with the password, whatever it says.
  case integrityViolated
  /// It asks for credentials in a way that cannot be met; why, as the end of a sentence.
  case unusableDemand(String)
  /// It does not know these attributes of the request (420).
  case notUnderstood([STUNAttributeType])
  /// It sends us elsewhere (300), and there is no way to go there; why, as the end of a sentence.
  case unusableRedirect(String)
  /// It refused with this code, 0 where its answer was not usable; `reason` is its word.
  case refused(code: Int, reason: String)

  /// One sentence for a person.
  public func sentence(about target: STUNTarget) -> String {
    let who = "\(target)"
    return switch self {
    case .silent: "\(who) does not answer."
    case .connection(let why): "There is no connection to \(who): \(why.escapedForLog())."
    case .notSTUN: "\(who) speaks something else than STUN."
    case .credentialsNeeded: "\(who) asks for a name and a password."
    case .credentialsRefused: "\(who) does not take this name with this password."
    case .integrityViolated:
      "What comes from \(who) is not signed with this password: the password is another one, or somebody changes packets."
    case .unusableDemand(let why): "\(who) asks for credentials in a way that cannot be met: \(why)."
    case .notUnderstood(let types):
      "\(who) does not know what it was asked (attributes "
        + types.prefix(8).map { "0x\(String($0.rawValue, radix: 16))" }.joined(separator: ", ") + ")."
    case .unusableRedirect(let why): "\(who) sends us to another server, which cannot be asked: \(why)."
    case .refused(0, let reason): "\(who) gives no usable answer: \(reason.escapedForLog())."
    case .refused(let code, let reason): "\(who) refuses: \(code) \(reason.escapedForLog())."
    }
  }
}
