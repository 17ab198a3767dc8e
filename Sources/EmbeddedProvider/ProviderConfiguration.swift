public import CallControl
public import NetworkTypes

/// How a provider differs from the next one. Each is something that real ones do.
public struct ProviderQuirks: Sendable, Hashable {
  public enum WrongPassword: Sendable, Hashable {
    /// 401 with a new challenge, as the RFC's own examples do.
    case challenge
    /// 403.
    case forbid
    /// No answer.
    case ignore
  }

  /// Whether media and in-dialog requests go to where packets come from (a session border controller), or to what SDP
  /// and Contact say (a plain proxy).
  public var latching = true
  /// Whether a far end that latches does so once, and again only after a re-INVITE.
  public var latchesOnce = false
  public var wrongPassword = WrongPassword.challenge
  /// The lifetime granted whatever was asked for, seconds; `nil` grants what was asked for, up to `maxExpires`.
  public var grantedExpires: Int?
  public var maxExpires = 3600
  /// Shorter lifetimes get 423 with Min-Expires, seconds.
  public var minExpires = 0
  /// Whether the 200 to REGISTER lists contacts by the address that they came from instead of the one they say.
  public var rewritesContacts = false
  /// Whether a new contact replaces all others of its account.
  public var singleBinding = false
  /// Contacts of other devices that the 200 to REGISTER lists too, as they stand in the header field.
  public var foreignContacts: [String] = []
  /// Every so many good credentials are told that their nonce is stale.
  public var staleNonceEvery: Int?
  public var ignoresRegister = false
  /// Answers every REGISTER with this status, 400 to 699, without looking at it.
  public var registerStatus: Int?
  /// Goes with `registerStatus`, seconds.
  public var retryAfter: Int?
  /// Whether INVITEs are challenged; without it whoever is registered from that address may call.
  public var challengesInvites = true
  /// Whether re-INVITEs are challenged.
  public var challengesReinvites = false
  /// Whether a re-INVITE from an address that nobody is registered from is refused with 403.
  public var knowsRegisteredOnly = false
  /// What the next re-INVITEs are answered with, in order; 0 stands for no answer. Further ones are treated as usual.
  public var reinviteAnswers: [Int] = []
  /// Whether inbound INVITEs have the number called in the request URI instead of the contact's own user part; the To
  /// header has it in either case.
  public var numberInRequestURI = false
  /// Whether calls with a caller's number that is not the account's get 403.
  public var refusesForeignCallers = false
  /// Whether OPTIONS stay unanswered.
  public var ignoresOptions = false
  /// What OPTIONS within a call is answered with; 0 stands for no answer.
  public var optionsInCalls = 200
  /// Whether a customer may call a customer, be it himself.
  public var connectsCustomers = false

  public init() {}
}

/// Someone who may register.
public struct ProviderAccount: Sendable, Hashable {
  public var username: String
  public var password: Redacted<String>
  /// Calls to these go to the account; `xx` at the end stands for any digits.
  public var numbers: [NumberPattern]

  public init(username: String, password: Redacted<String>, numbers: [NumberPattern] = []) {
    self.username = username
    self.password = password
    self.numbers = numbers
  }
}

/// What happens to calls to a number out in the world.
public struct FarEnd: Sendable, Hashable {
  public var number: NumberPattern
  public var plan: AnswerPlan

  public init(_ number: NumberPattern, _ plan: AnswerPlan) {
    self.number = number
    self.plan = plan
  }

  /// `*43`, what you say; `*44`, a tone of 440 Hz for a minute.
  public static let services = [
    FarEnd(NumberPattern("*43"), AnswerPlan(.answer(after: .milliseconds(200)), script: CallScript(sound: .echo))),
    FarEnd(
      NumberPattern("*44"),
      AnswerPlan(
        .answer(after: .milliseconds(200)), script: CallScript(sound: .tone(hertz: 440), hangUpAfter: .seconds(60)))),
  ]
}

/// Everything a ``ProviderCore`` needs to know.
public struct ProviderConfiguration: Sendable {
  /// Where its UDP socket is bound.
  public var bind: Endpoint
  /// What it calls itself in Via, Contact and SDP; `nil` where that is `bind`.
  public var advertised: Endpoint?
  /// The realm of its challenges and the host of its addresses.
  public var domain: String
  public var accounts: [ProviderAccount]
  /// The first match wins; numbers without one get 404.
  public var farEnds: [FarEnd] = FarEnd.services
  public var quirks = ProviderQuirks()
  /// Civil time when the clock of all inputs is zero: what answers then say in Date; `nil` for none.
  public var clock: WallTime?
  public var mediaPorts: ClosedRange<UInt16> = 40000...40999
  /// The number of its first media port, so that several cores can share one media engine: a million belong to it.
  public var mediaBase: UInt32 = 1_000_000
  /// The number of its socket, as its driver knows it.
  public var socket = 0

  public init(bind: Endpoint, domain: String, accounts: [ProviderAccount]) {
    self.bind = bind
    self.domain = domain
    self.accounts = accounts
  }

  var agent: AgentConfiguration {
    let advertised = advertised ?? bind
    return AgentConfiguration(
      socket: socket, bind: bind, advertised: advertised, mediaBind: bind.address,
      mediaAdvertised: advertised.address, mediaPorts: mediaPorts, mediaBase: mediaBase,
      latchesMedia: quirks.latching, latchesOnce: quirks.latchesOnce, followsSource: quirks.latching,
      asksAboutOffers: true, userAgent: "Trunkline provider")
  }
}
