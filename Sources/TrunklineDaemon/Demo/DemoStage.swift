import DatagramSockets
import EmbeddedProvider
import LinkManager
import MediaRelay
import NetworkTypes
import SIPSyntax
import Synchronization

/// What happens in a demo, put into sentences while it happens and kept for the picture. Told on the signalling thread, read
/// on any.
final class DemoStage: Sendable {
  /// One cut of the line and what came of it; moments in seconds since the beginning.
  struct Cut: Sendable {
    var at: Double
    var backAt: Double?
    var address: String
    var newAddress: String?
    var probes = 0
    var registeredAt: Double?
    /// When each side heard the other again.
    var farHeardAt: Double?
    var phoneHeardAt: Double?

    var isOver: Bool { registeredAt != nil && farHeardAt != nil && phoneHeardAt != nil }
  }

  struct State: Sendable {
    var lines: [String] = []
    var cuts: [Cut] = []
    var contact: String?
    var messages: [(at: Double, text: String)] = []
    var answeredAt: Double?
    var farEnding: CallEnding?
    var phoneEnding: CallEnding?
    var endedAt: Double?
    /// What each heard, with the moment at which the recording ended.
    var farHeard: [Int16] = []
    var phoneHeard: [Int16] = []
    var isInboundAnswered = false
    fileprivate var told: Set<String> = []
  }

  let began = SystemClock.now()
  private let state = Mutex(State())

  var current: State { state.withLock { $0 } }
  var elapsed: Double { (SystemClock.now() - began).inSeconds }

  /// The lines that nobody has read yet.
  func takeLines() -> [String] {
    state.withLock { state in
      defer { state.lines = [] }
      return state.lines
    }
  }

  func tell(_ sentence: String) { state.withLock { tell(sentence, at: elapsed, &$0) } }

  private func tell(_ sentence: String, at: Double, _ state: inout State) {
    let text = Self.hundredths(at)
    state.lines.append("\(String(repeating: " ", count: max(0, 6 - text.count)))\(text) s  \(sentence)")
  }

  /// Once in each cut.
  private func tellOnce(_ key: String, _ sentence: String, at: Double, _ state: inout State) {
    guard state.told.insert(key).inserted else { return }
    tell(sentence, at: at, &state)
  }

  func observe(_ notice: EmbeddedNotice, now: MonotonicInstant) {
    let at = (now - began).inSeconds
    state.withLock { state in
      switch notice {
      case .lineChanged(isUp: false, let address):
        state.cuts.append(Cut(at: at, address: "\(address)"))
        state.told = []
        tell("✂ the line is cut; the public address was \(address)", at: at, &state)
      case .lineChanged(isUp: true, let address):
        guard let index = state.cuts.indices.last else { break }
        state.cuts[index].backAt = at
        state.cuts[index].newAddress = "\(address)"
        let length = at - state.cuts[index].at
        tell(
          "● the line is back after \(Self.hundredths(length)) s, with the public address \(address); \(state.cuts[index].probes) STUN probes had gone unanswered",
          at: at, &state)
      case .bindingPassed(let isOutward, let isDropped):
        guard let cut = state.cuts.last, !cut.isOver else { break }
        if isOutward, isDropped {
          state.cuts[state.cuts.count - 1].probes += 1
          tellOnce("probe", "  the link asks the STUN server, and again every 250 ms until it answers", at: at, &state)
        } else if !isOutward, !isDropped, let back = cut.backAt {
          tellOnce("answer", "  the STUN server answers, \(Self.hundredths(at - back)) s after that", at: at, &state)
        }
      case .messagePassed(let bytes, let isOutward, isDropped: false):
        messagePassed(bytes, isOutward: isOutward, at: at, &state)
      case .messagePassed: break
      case .media(.silent, let isFarEnd):
        guard state.cuts.last?.isOver == false else { break }
        tellOnce(
          isFarEnd ? "farSilent" : "phoneSilent", "  the \(isFarEnd ? "far end" : "telephone") hears nothing", at: at,
          &state)
      case .media(.heard(_, let gap), let isFarEnd): heard(gap, isFarEnd: isFarEnd, at: at, &state)
      case .media: break
      case .provider(.registered(_, let contact, _, _)):
        state.contact = contact
        guard let cut = state.cuts.last, let back = cut.backAt, cut.registeredAt == nil, let new = cut.newAddress,
          contact.contains("@\(new):")
        else { break }
        state.cuts[state.cuts.count - 1].registeredAt = at
        tell(
          "  registered: the provider calls \(contact) now, \(Self.hundredths(at - back)) s after the line's return",
          at: at, &state)
      case .provider(.ended(_, let ending)):
        if state.farEnding == nil { state.farEnding = ending }
      case .provider(.recorded(_, let samples)):
        if state.farHeard.isEmpty { state.farHeard = samples }
      case .provider: break
      case .phone(.answered):
        if state.answeredAt == nil { state.answeredAt = at } else { state.isInboundAnswered = true }
      case .phone(.ended(_, let ending)):
        if state.phoneEnding == nil {
          state.phoneEnding = ending
          state.endedAt = at
        }
      case .phone(.recorded(_, let samples)):
        if state.phoneHeard.isEmpty { state.phoneHeard = samples }
      case .phone: break
      }
    }
  }

  private func heard(_ gap: Duration, isFarEnd: Bool, at: Double, _ state: inout State) {
    guard let cut = state.cuts.last, let back = cut.backAt else { return }
    let index = state.cuts.count - 1
    if isFarEnd {
      guard cut.farHeardAt == nil else { return }
      state.cuts[index].farHeardAt = at
    } else {
      guard cut.phoneHeardAt == nil else { return }
      state.cuts[index].phoneHeardAt = at
    }
    let who = isFarEnd ? "the far end hears the telephone again" : "the telephone hears the far end again"
    tell(
      "♪ \(who): \(Self.hundredths(at - back)) s after the line's return, \(Self.hundredths(gap.inSeconds)) s of silence in all",
      at: at, &state)
  }

  /// What moves the registration or the call, in a line each.
  private func messagePassed(_ bytes: [UInt8], isOutward: Bool, at: Double, _ state: inout State) {
    guard let message = try? SIPMessage(taking: bytes) else { return }
    let isSettled = state.cuts.last?.isOver ?? true
    if message.isRequest {
      guard isOutward else { return }
      switch message.method {
      case .register:
        guard let contact = message.values(.contact).first else { return }
        let isRemoval = message.values(.expires).first == "0" || contact.contains("expires=0")
        if !isRemoval { state.messages.append((at, "REGISTER")) }
        guard !isSettled || isRemoval else { return }
        let address = contact.prefix { $0 != ";" }
        tell("  → REGISTER \(isRemoval ? "without" : "with") the contact \(address)", at: at, &state)
      case .invite:
        let isMove = message.toTag != nil
        state.messages.append((at, isMove ? "re-INVITE" : "INVITE"))
        if isMove { tell("  → re-INVITE: hear me at the new address, and send there", at: at, &state) }
      case .bye: state.messages.append((at, "BYE"))
      default: break
      }
    } else if !isOutward, !isSettled, message.status >= 200 {
      guard let method = try? message.cSeq().method, method == .register || method == .invite else { return }
      tell("  ← \(message.status) to the \(method.name)", at: at, &state)
    }
  }

  static func hundredths(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    let rest = abs(hundredths % 100)
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
  }
}
