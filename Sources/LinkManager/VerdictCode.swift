/// What a ``Verdict`` can say: one code a cause, each with what it means and what a person does about it.
///
/// `docs/verdicts.md` shows the table; a test compares the two.
public enum VerdictCode: String, Sendable, Hashable, CaseIterable {
  // Of a trunk.
  case noAnswer, providerSilent, nameUnknown
  case wrongPassword, noPassword, wrongRealm, unsupportedAuthentication, endlessChallenges, forbidden, unknownUser
  case notARegistrar, refused, redirected, intervalTooBrief, expiresAtOnce, providerBusy, providerError
  // Of a call.
  case audioUnreachable
  case callUnknownAfterMove, callRefusedAfterMove, callUnansweredAfterMove, callBarredAfterMove
  // Of an uplink.
  case udpBlocked, uplinkLost, deadNATState, shortBinding
  case stunServersSilent, stunServersUnresolved, stunServersDisagree
  // Of its router, and of what stands behind it.
  case portMappingUnavailable, portMappingRefused, mappingLeadsNowhere, routerAddressDiffers, natBeforeRouter
  case doubleNAT, carrierNAT, twoLines, lyingServer, sipALG

  /// What a verdict is about.
  public enum Group: String, Sendable, CaseIterable { case trunk, call, uplink, router }

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
  var level: LinkLogLevel { self == .shortBinding ? .notice : .warning }

  private static func row(_ group: Group, _ meaning: String, _ nextStep: String) -> Row {
    Row(group: group, meaning: meaning, nextStep: nextStep)
  }

  public var row: Row {
    switch self {
    // MARK: Trunks
    case .noAnswer:
      Self.row(
        .trunk, "The provider does not answer.",
        "Check the line; then whether a firewall drops UDP to the provider; then registrar and its port.")
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
        "Ask the provider why it refuses; the trace of the trunk shows what was sent.")
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
    // MARK: Calls
    case .audioUnreachable:
      Self.row(
        .call,
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
        .uplink, "No STUN server answers, so the public address is not known for sure.",
        "Check the line, then stunServers in the configuration, then whether a firewall drops UDP.")
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
        .router, "The provider of the line shares one public address among several customers (carrier-grade NAT).",
        "Ask the provider of the line for a public address of your own.")
    case .twoLines:
      Self.row(
        .router, "The router spreads what this machine sends over two lines with an address each.",
        "Let the router keep this machine on one of its lines.")
    case .lyingServer:
      Self.row(
        .router, "A STUN server sees another public address than everybody else does.",
        "Take that server out of stunServers.")
    case .sipALG:
      Self.row(
        .router, "The router alters SIP on its way (a SIP ALG).",
        "Switch off the SIP ALG in the router, also called SIP helper or SIP passthrough.")
    }
  }

  private static let moveStep = "See the trace of the call; if it happens at each change, ask the provider."
}
