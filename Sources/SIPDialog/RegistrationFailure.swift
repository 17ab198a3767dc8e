import NetworkTypes
import SIPSyntax

/// Why a registration did not come about, for a person to act on.
struct RegistrationFailure: Equatable {
  enum Kind {
    /// Likely to pass by itself: tried again soon, then ever later.
    case transient
    /// Somebody has to change something: hardly tried.
    case refused
  }

  let kind: Kind
  let code: String
  let sentence: String
  /// What the registrar asked to wait at least.
  var retryAfter: Duration?

  private init(_ kind: Kind, _ code: String, _ sentence: String) {
    self.kind = kind
    self.code = code
    self.sentence = sentence
  }

  static let noAnswer = RegistrationFailure(.transient, "noAnswer", "The provider does not answer.")
  static let endless = RegistrationFailure(
    .refused, "endlessChallenges", "The provider asks for the password again and again and never decides.")
  static let expiresAtOnce = RegistrationFailure(
    .transient, "expiresAtOnce", "The provider accepts the registration but does not keep it.")
  static let unsupported = RegistrationFailure(
    .refused, "unsupportedAuthentication", "The provider asks for a kind of authentication that is not supported here.")

  static func noPassword(_ response: SIPMessage) -> RegistrationFailure {
    RegistrationFailure(
      .refused, "noPassword", "The provider asks for a password (\(shown(response))), and none is configured.")
  }

  static func wrongPassword(_ response: SIPMessage) -> RegistrationFailure {
    RegistrationFailure(
      .refused, "wrongPassword", "The provider refuses the user name or password (\(shown(response))).")
  }

  static func wrongRealm(_ realm: String, configured: String) -> RegistrationFailure {
    RegistrationFailure(
      .refused, "wrongRealm",
      """
      The provider asks for the password of realm "\(realm.escapedForLog(limit: 80))", but it may only be used for \
      "\(configured)".
      """)
  }

  /// One row a status: the first whose range contains it counts.
  private static let table: [(statuses: ClosedRange<Int>, kind: Kind, code: String, clause: String)] = [
    (300...399, .transient, "redirected", "The provider sends registrations elsewhere, which is not followed"),
    (403...403, .refused, "forbidden", "The provider refuses the user name or password"),
    (404...404, .refused, "unknownUser", "The provider does not know the user name"),
    (405...405, .refused, "notARegistrar", "There is no registrar at this address"),
    (408...408, .transient, "providerBusy", "The provider did not decide in time"),
    (410...410, .refused, "unknownUser", "The provider does not know the user name any more"),
    (423...423, .transient, "intervalTooBrief", "The provider wants a longer registration and does not say how long"),
    (429...429, .transient, "providerBusy", "The provider asks for fewer registrations"),
    (480...480, .transient, "providerBusy", "The provider cannot register anybody at the moment"),
    (491...491, .transient, "providerBusy", "The provider is busy with another registration"),
    (400...499, .refused, "refused", "The provider refuses the registration"),
    (501...501, .refused, "notARegistrar", "There is no registrar at this address"),
    (500...599, .transient, "providerError", "The provider cannot register anybody at the moment"),
    (600...699, .refused, "refused", "The provider refuses the registration"),
  ]

  /// Every code that a failure can have.
  static var codes: [String] {
    let others = [
      "noAnswer", "endlessChallenges", "expiresAtOnce", "unsupportedAuthentication", "noPassword", "wrongPassword",
      "wrongRealm",
    ]
    return others + table.map(\.code)
  }

  /// What a final response other than 2xx, 401 and 407 means.
  static func refused(_ response: SIPMessage) -> RegistrationFailure {
    let row = table.first { $0.statuses.contains(response.status) }
    var failure = RegistrationFailure(
      row?.kind ?? .transient, row?.code ?? "refused",
      "\(row?.clause ?? "The provider refuses the registration") (\(shown(response))).")
    // `Retry-After: 18000 (I'm in a meeting);duration=3600`; more than an hour is not waited on a stranger's word.
    if let text = response.value(.retryAfter), let seconds = SIPMessage.deltaSeconds(Self.leadingDigits(text)) {
      failure.retryAfter = .seconds(min(seconds, 3600))
    }
    return failure
  }

  private static func leadingDigits(_ text: String) -> String {
    String(text.prefix { $0.isASCII && $0.isNumber })
  }

  /// `403 Forbidden`, with the registrar's own words.
  private static func shown(_ response: SIPMessage) -> String {
    let reason = response.reason.escapedForLog(limit: 60)
    return reason.isEmpty ? "\(response.status)" : "\(response.status) \(reason)"
  }
}
