/// What a ``Verdict`` can say: one code a cause, each with what it means and what a person does about it.
///
/// `docs/verdicts.md` shows the table; a test compares the two.
public enum VerdictCode: String, Sendable, Hashable, Codable, CaseIterable {
  // Of a trunk.
  case noAnswer, providerSilent, nameUnknown
  case wrongPassword, noPassword, wrongRealm, unsupportedAuthentication, endlessChallenges, forbidden, unknownUser
  case notARegistrar, refused, redirected, intervalTooBrief, expiresAtOnce, providerBusy, providerError
  case numberNotOurs, clockOff
  // Of a call that did not come about.
  case calleeBusy, calleeUnavailable, calleeDeclined, nobodyAnswered, numberUnknown, numberIncomplete
  case callForbidden, callerNumberRefused, callCredentialsRefused, noCommonCodec, callTerminated, callRefused
  case callUnanswered, fragmentsLost, calleeCongested, calleeFailed, portTaken, callUnacknowledged
  // Of a call that was up.
  case endGone
  // Of a call's sound.
  case oneWayAudioIn, oneWayAudioOut, noAudio, audioUnreachable
  // Of a call whose address changed.
  case callUnknownAfterMove, callRefusedAfterMove, callUnansweredAfterMove, callBarredAfterMove
  // Of an uplink.
  case udpBlocked, lineDown, uplinkLost, deadNATState, shortBinding
  case stunServersSilent, stunServerDead, stunServersUnresolved, stunServersDisagree
  // Of its router, and of what stands behind it.
  case portMappingUnavailable, portMappingRefused, mappingLeadsNowhere, routerAddressDiffers, natBeforeRouter
  case externalPortTaken, forwardMissing
  case doubleNAT, carrierNAT, twoLines, lyingServer, sipALG
  // Of the office.
  case phoneRefused, phoneAbsent, phoneBehindNAT, phoneGone, pbxGone, noRoute, noTrunk, tooManyCalls
  // Of the machine.
  case nameServerSilent, diskFull, storeUnusable

  /// What a verdict is about.
  public enum Group: String, Sendable, CaseIterable { case trunk, call, audio, uplink, router, office, machine }

  /// One row of the table.
  public struct Row: Sendable, Equatable {
    public let group: Group
    /// One sentence, where the place that tells it has none that says more.
    public let meaning: String
    /// What a person does about it; once that is done, it is over.
    public let nextStep: String
  }

  public var group: Group { row.group }
  public var meaning: String { row.meaning }
  public var nextStep: String { row.nextStep }

  /// How loudly it is logged.
  public var level: LinkLogLevel {
    if isOrdinary { return .info }
    return self == .shortBinding || self == .externalPortTaken ? .notice : .warning
  }

  /// Whether it belongs to an ordinary day: nobody has to do anything, and nothing is kept for a later look at it.
  public var isOrdinary: Bool {
    switch self {
    case .calleeBusy, .calleeUnavailable, .calleeDeclined, .nobodyAnswered, .numberUnknown, .numberIncomplete,
      .callTerminated:
      true
    default: false
    }
  }

  private static func row(_ group: Group, _ meaning: String, _ nextStep: String) -> Row {
    Row(group: group, meaning: meaning, nextStep: nextStep)
  }

  public var row: Row {
    switch self {
    // MARK: Trunks
    case .noAnswer:
      Self.row(
        .trunk, "The provider does not answer.",
        "Check the line; then whether a firewall drops UDP to the provider; then registrar and its port; then ask the provider."
      )
    case .providerSilent:
      Self.row(
        .trunk, "The provider answered until now and does not any more, though the line is up.",
        "Nothing: it is asked again and again. If it lasts, ask the provider.")
    case .nameUnknown:
      Self.row(
        .trunk, "The name of the provider cannot be resolved.",
        "Check registrar and outboundProxy for a misspelling, then the name servers of this machine.")
    case .wrongPassword:
      Self.row(
        .trunk, "The provider refuses the user name or password.",
        "Compare username, authUsername and password of the trunk with what the provider shows.")
    case .noPassword:
      Self.row(
        .trunk, "The provider asks for a password, and none is configured.", "Set password of the trunk.")
    case .wrongRealm:
      Self.row(
        .trunk, "The provider asks for the password of another realm than the one that is configured.",
        "Set realm of the trunk to the provider's, if that realm is indeed the provider's.")
    case .unsupportedAuthentication:
      Self.row(
        .trunk, "The provider asks for a kind of authentication that is not supported here.",
        "Ask the provider for digest authentication with MD5 or SHA-256.")
    case .endlessChallenges:
      Self.row(
        .trunk, "The provider asks for the password again and again and never decides.",
        "Compare username, authUsername and password; ask the provider.")
    case .forbidden:
      Self.row(
        .trunk, "The provider forbids the registration.",
        "Compare username and password; ask the provider whether the account is active.")
    case .unknownUser:
      Self.row(.trunk, "The provider does not know the user name.", "Check username and domain of the trunk.")
    case .notARegistrar:
      Self.row(
        .trunk, "There is no registrar at this address.",
        "Check registrar of the trunk: what answers there takes no registrations.")
    case .refused:
      Self.row(
        .trunk, "The provider refuses the registration.",
        "Ask the provider why it refuses; its status is in the sentence.")
    case .redirected:
      Self.row(
        .trunk, "The provider sends registrations elsewhere, which is not followed.",
        "Set registrar of the trunk to where the provider points.")
    case .intervalTooBrief:
      Self.row(
        .trunk, "The provider wants a longer registration and does not say how long.",
        "Set expires of the trunk to a longer time.")
    case .expiresAtOnce:
      Self.row(
        .trunk, "The provider accepts the registration but does not keep it.",
        "Ask the provider why it grants no time; set expires of the trunk.")
    case .providerBusy:
      Self.row(
        .trunk, "The provider cannot register anybody at the moment.",
        "Nothing: it is tried again. If it lasts, ask the provider.")
    case .providerError:
      Self.row(
        .trunk, "The provider has an error of its own and registers nobody.",
        "Nothing: it is tried again. If it lasts, ask the provider.")
    case .numberNotOurs:
      Self.row(
        .trunk, "The provider sends a call for a number that no rule of inbound takes.",
        "Name the number in inbound, or ask the provider why it sends calls for it.")
    case .clockOff:
      Self.row(
        .trunk, "The clock of this machine and that of the provider are minutes apart.",
        "Let this machine take its time from the network (NTP). Where its clock is right, tell the provider.")
    // MARK: Calls
    case .calleeBusy:
      Self.row(.call, "Whoever was called is busy.", "Nothing: call again later.")
    case .calleeUnavailable:
      Self.row(.call, "Whoever was called cannot be reached at the moment.", "Nothing: call again later.")
    case .calleeDeclined:
      Self.row(.call, "Whoever was called declined the call.", "Nothing.")
    case .nobodyAnswered:
      Self.row(
        .call, "It rang, and nobody answered.",
        "Nothing: call again later. For calls from outside, a longer timeout or an otherwise in inbound may help.")
    case .numberUnknown:
      Self.row(
        .call, "The number that was called does not exist.",
        "Check the number that was dialled, and that it is written as the provider wants it.")
    case .numberIncomplete:
      Self.row(.call, "The number that was called is not complete.", "Dial the whole number.")
    case .callForbidden:
      Self.row(
        .call, "The provider forbids the call.",
        "Ask the provider whether the account may call this number, and whether it has credit.")
    case .callerNumberRefused:
      Self.row(
        .call, "The provider forbids the call, which carries a caller's number that is not one of the trunk's.",
        "Set callerNumber of the phone, or callerID of the rule, to a number of the trunk, or have the provider allow it."
      )
    case .callCredentialsRefused:
      Self.row(
        .call, "The provider does not take the trunk's password for a call.",
        "Compare username, authUsername, password and realm of the trunk with what the provider shows.")
    case .noCommonCodec:
      Self.row(
        .call, "The two sides have no codec in common.",
        "Switch on G.711 (PCMA, PCMU) in the phone, or a codec that the provider names.")
    case .callTerminated:
      Self.row(
        .call, "The call was ended on its way before anybody answered.",
        "Nothing: call again. If it lasts, ask the provider.")
    case .callRefused:
      Self.row(
        .call, "The call was refused.", "Ask whoever refused it why; the evidence has the status.")
    case .callUnanswered:
      Self.row(
        .call, "The provider did not answer the call at all.",
        "Ask the provider what became of it; the call's incident shows by trunkline replay what was sent.")
    case .fragmentsLost:
      Self.row(
        .call,
        "The provider answers small messages and not this call, whose INVITE is too large for one packet: its "
          + "fragments are lost on the way.",
        "Let the phone offer fewer codecs; let router and firewall pass fragments.")
    case .calleeCongested:
      Self.row(
        .call, "Whoever was called, or the provider, has no room for the call at the moment.",
        "Nothing: call again later. If it lasts, ask the provider how many calls the account may have.")
    case .calleeFailed:
      Self.row(
        .call, "The other side has an error of its own.", "Nothing: call again later. If it lasts, ask the provider.")
    case .portTaken:
      Self.row(
        .call, "A port that the configuration names belongs to another program.",
        "See with ss -ulpn who has it, and end that, or name other ports.")
    case .callUnacknowledged:
      Self.row(
        .call, "The call was answered, and the caller's side did not take note of it.",
        "Look at the call's incident with trunkline replay: our answer, or its acknowledgement, is lost on the way.")
    case .endGone:
      Self.row(
        .call, "One end of the call is gone: nothing comes from it, and it does not answer.",
        "The evidence says which end. Where it is the phone, see whether it is on and its cable in; where it is the far "
          + "end, nothing: call again, and if it lasts, ask the provider.")
    // MARK: Sound
    case .oneWayAudioIn:
      Self.row(
        .audio, "Nothing is heard of the far end here; the far end is sent what is said here.",
        "See that the router and every firewall let UDP to the ports of media in; then ask the provider.")
    case .oneWayAudioOut:
      Self.row(
        .audio, "The far end hears nothing: no sound comes from the phone.",
        "See that a firewall between the phone and this machine lets UDP to the ports of media in, and that the phone "
          + "is not muted.")
    case .noAudio:
      Self.row(
        .audio, "Nobody hears anything: no sound comes from either side.",
        "See that the firewall of this machine lets UDP to the ports of media in.")
    case .audioUnreachable:
      Self.row(
        .audio,
        "Nothing is heard of the far side: behind a router that gives each destination another public port, audio comes "
          + "only from far ends that send to where ours comes from, and this one sends to what the SDP says.",
        "Ask the provider of the trunk for symmetric RTP, or use a router that keeps one public port for each port "
          + "inside.")
    case .callUnknownAfterMove:
      Self.row(
        .call, "The address changed, and the provider does not know the call any more.", Self.moveStep)
    case .callRefusedAfterMove:
      Self.row(
        .call, "The address changed, and the provider refuses to send the call's audio to the new one.", Self.moveStep)
    case .callUnansweredAfterMove:
      Self.row(
        .call, "The address changed, and the provider did not take note of it within 90 s.", Self.moveStep)
    case .callBarredAfterMove:
      Self.row(
        .call, "The address changed, and the provider did not register the new one.", Self.moveStep)
    // MARK: Uplinks
    case .udpBlocked:
      Self.row(
        .uplink, "Nothing answers over UDP, so calls are refused until something does.",
        "Check the line; then whether a firewall drops UDP to the internet, and allow it.")
    case .lineDown:
      Self.row(
        .uplink, "Nothing comes in on this uplink any more: its line is down.",
        "Check the line and the router. It goes on by itself when the line is back.")
    case .uplinkLost:
      Self.row(
        .uplink, "Nothing passes on this uplink; its trunks and their calls take another one meanwhile.",
        "Check the line of the uplink, if it does not come back by itself.")
    case .deadNATState:
      Self.row(
        .uplink, "The router holds dead state for the SIP port; another port takes its place meanwhile.",
        "Nothing: the port keeps silent until the router has forgotten it. If it happens at each change of address, "
          + "look for newer firmware of the router.")
    case .shortBinding:
      Self.row(
        .uplink, "The router forgets a port sooner than keepalives were to leave, so they leave more often.",
        "Nothing; a longer UDP timeout in the router saves packets.")
    case .stunServersSilent:
      Self.row(
        .uplink, "Providers answer and no STUN server does, so the public address is not known for sure.",
        "See whether a firewall drops UDP to the STUN servers' ports; then check stunServers.")
    case .stunServerDead:
      Self.row(
        .uplink, "The first STUN server does not answer; the next one is asked.",
        "Take that server out of stunServers, or see whether it has another port or name now.")
    case .stunServersUnresolved:
      Self.row(
        .uplink, "The names of the STUN servers cannot be resolved, so the public address is not known.",
        "Check stunServers for a misspelling, then the name servers of this machine.")
    case .stunServersDisagree:
      Self.row(
        .uplink, "Two STUN servers see different public addresses; the first one is believed.",
        "Take the server that is wrong out of stunServers; where neither is, the router has several lines or several "
          + "addresses, and has to keep one machine on one of them.")
    // MARK: Routers
    case .portMappingUnavailable:
      Self.row(
        .router, "The router gives no port mappings: it answers neither PCP nor NAT-PMP nor UPnP.",
        "Switch on UPnP or port control for this machine in the router, or forward a port by hand and name it with "
          + "incoming: {forwarded: …}.")
    case .portMappingRefused:
      Self.row(
        .router, "The router refuses port mappings.", "Allow this machine to open ports in the router's settings.")
    case .mappingLeadsNowhere:
      Self.row(
        .router, "The router said that a port is mapped, and it is not.",
        "Update the router's firmware, or forward a port by hand and name it with incoming: {forwarded: …}.")
    case .routerAddressDiffers:
      Self.row(
        .router,
        "The router says that its external address is another one than the world sees, so its port mappings are not "
          + "used.",
        "See whether the router has two lines, or something before it translates addresses.")
    case .externalPortTaken:
      Self.row(
        .router, "The port that is usual for SIP belongs to somebody else at the router; another one is used.",
        "Nothing. Where the usual port is wanted, take what holds it out of the router's list of forwards.")
    case .forwardMissing:
      Self.row(
        .router, "The port forward that the configuration names does not lead to this machine.",
        "Forward that UDP port in the router to this machine and its SIP port, not to another one; or set incoming: auto."
      )
    case .natBeforeRouter:
      Self.row(
        .router, "The router does not know this machine by its address: a NAT stands between the two.",
        "Connect this machine to the router's own network.")
    case .doubleNAT:
      Self.row(
        .router, "Another NAT stands behind the router: the address that it has itself is a private one.",
        "Set the device in front of the router to bridge mode, or ask the provider for a public address.")
    case .carrierNAT:
      Self.row(
        .router, "The line has no public address of its own: the line's provider translates it (carrier-grade NAT).",
        "Nothing for calls. For port forwards ask the line's provider for a public IPv4 address of your own, or use "
          + "IPv6.")
    case .twoLines:
      Self.row(
        .router, "Packets leave by different public addresses, depending on where they go.",
        "Have the router send everything of this machine by one line, and by one address of it; or give each line an "
          + "uplink of its own.")
    case .lyingServer:
      Self.row(
        .router, "A STUN server tells a public address that nobody else sees.",
        "Take that server out of stunServers.")
    case .sipALG:
      Self.row(
        .router, "Something between here and a provider rewrites SIP: most often the router's SIP ALG.",
        "Switch off the SIP ALG in the router (also called SIP helper or SIP passthrough); where that cannot be done, "
          + "ask the provider for another port than 5060 and put it into registrar.")
    // MARK: Office
    case .phoneRefused:
      Self.row(
        .office, "The phone was refused: its password is not that of the configuration.",
        "Enter in the phone the password that the configuration has for it.")
    case .phoneAbsent:
      Self.row(
        .office, "None of those who are to be rung is registered.",
        "See that the phone is on and registers with this machine; trunkline status shows who is.")
    case .phoneBehindNAT:
      Self.row(
        .office,
        "A NAT stands between the phone and this machine: the phone gives an address that its packets do not "
          + "come from.",
        "Connect the phone to the office network itself, not behind a router of its own.")
    case .phoneGone:
      Self.row(
        .office, "The phone is registered and does not answer.",
        "See whether it is on and its cable in; whether its address is another one now.")
    case .pbxGone:
      Self.row(
        .office, "The PBX does not answer.",
        "See whether it runs, whether address of the PBX is right, and whether its firewall lets this machine in.")
    case .noRoute:
      Self.row(
        .office, "No rule of outbound takes the number that was dialled.",
        "Add a rule to outbound that takes the number as it was dialled.")
    case .noTrunk:
      Self.row(
        .office, "None of the trunks that may carry the call is registered.",
        "See the verdict of the trunk; trunkline status shows it.")
    case .tooManyCalls:
      Self.row(
        .office, "There are more calls than limits allow.",
        "Raise maxCalls or callsPerSecond of limits, if all are wanted.")
    // MARK: Machine
    case .nameServerSilent:
      Self.row(
        .machine, "No name at all can be resolved.",
        "Check the line, then the name servers of this machine (/etc/resolv.conf).")
    case .diskFull:
      Self.row(
        .machine, "The disk is full: calls and verdicts are kept in memory, and lost with the next start.",
        "Make room on the disk that holds store.path.")
    case .storeUnusable:
      Self.row(
        .machine, "The store cannot be written: calls and verdicts are kept in memory, and lost with the next start.",
        "See that store.path is in a folder that this user may write to.")
    }
  }

  private static let moveStep =
    "Look at the call's incident with trunkline replay; if it happens at each change, ask the provider."

  /// The table as Markdown, for `docs/verdicts.md`.
  package static func documentation(_ group: Group) -> [String] {
    ["| code | what it means | what to do |", "| --- | --- | --- |"]
      + allCases.filter { $0.group == group }.map { "| `\($0.rawValue)` | \($0.meaning) | \($0.nextStep) |" }
  }
}
