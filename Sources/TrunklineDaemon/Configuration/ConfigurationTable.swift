/// The table of all keys. What is known, what it means, what it may be and what it is when left out stands here and
/// nowhere else: the reader, the messages, `check --print` and docs/configuration.md are made from it.
enum ConfigurationTable {
  private static let ports = 1...65535
  private static let name = ValueKind.name

  static let root: [ConfigurationKey] = [
    .init("version", .value(.integer(1...1)), standard: "1", "The version of this format."),
    .init("uplinks", .sections(uplink), "Ways to the internet. Left out: one with the values below."),
    .init("lan", .section(lan), "The office side, where phones and PBXs are."),
    .init(
      "numbering", .section(numbering), effect: .later(),
      "How dialled numbers become E.164. Left out: numbers go out as they were dialled."),
    .init("phones", .sections(phone), "Telephones."),
    .init("pbxs", .sections(pbx), "PBXs, known by their address or by registering with us."),
    .init("trunks", .sections(trunk), "Accounts at providers."),
    .init(
      "inbound", .sections(inbound),
      "Where calls from trunks go; the first rule that matches wins, without one the call is refused with 404. Left out: "
        + "all phones ring together, or all PBXs where there is no phone."),
    .init(
      "outbound", .sections(outbound),
      "Where calls to the outside go; the first rule that matches wins. Left out: every number over all trunks, in their "
        + "order here."),
    .init("media", .section(media), "Voice."),
    .init("limits", .section(limits), "What protects the line from too many calls."),
    .init("notify", .section(notify), effect: .later(), "Who is told when something stays broken."),
    .init("http", .section(http), "Dashboard, API and metrics."),
    .init("store", .section(store), "Call records and verdicts."),
    .init("log", .section(log), "What goes to standard error."),
  ]

  static let uplink: [ConfigurationKey] = [
    .init("name", .value(name), standard: "internet", "Required where there is more than one."),
    .init(
      "bind", .list(.endpoint(defaultPort: 65002)), standard: "0.0.0.0:65002",
      "STUN and SIP towards the providers leave from this one UDP port; one address for each family."),
    .init(
      "sparePort", .value(.integer(ports)), standard: "65003",
      "Used only while the router holds dead state for the first port; that one's own number for none."),
    .init(
      "stunServers", .list(.stunServer), standard: "[stun.sipgate.net:10000, stun.t-online.de]",
      "Servers that tell us our public address, the first one preferred. Without a port: what DNS names for the domain (SRV), "
        + "else port 3478."),
    .init(
      "keepalive", .value(.duration(.seconds(1)...(.seconds(10)))), standard: "10s",
      "The longest silence on a port before a keepalive leaves it."),
    .init(
      "publicAddress", .value(.addressOr("auto")), standard: "auto",
      "A fixed address: nothing is discovered then, keepalives still leave."),
    .init(
      "incoming",
      .either(
        .choice(["auto", "off", "pcp", "nat-pmp", "upnp"]),
        [.init("forwarded", .value(.integer(ports)), "The port that the router forwards to us.")]),
      standard: "auto",
      "How the way in is kept open; auto asks the router for mappings only where the NAT leaves no other way."),
  ]

  static let lan: [ConfigurationKey] = [
    .init("bind", .list(.endpoint(defaultPort: 5060)), standard: "0.0.0.0:5060", "For phones and PBXs."),
    .init("tlsBind", .list(.endpoint(defaultPort: 5061)), effect: .later(), "The same over TLS."),
    .init(
      "allow", .list(.network), standard: "[]", "Networks that are served. Empty: private and on-link ones."),
    .init("tlsCertificate", .value(.text), effect: .later(), "A PEM file with the certificate chain and its key."),
    .init("domain", .value(.hostOnly), standard: "trunkline", "Realm and host of the phones' own addresses."),
  ]

  static let numbering: [ConfigurationKey] = [
    .init("country", .value(.country), "Where this office is."),
    .init("areaCode", .value(.number), "Without the leading zero."),
    .init("abroad", .list(.country), standard: "[]", "Countries that may be called; others are refused."),
  ]

  static let phone: [ConfigurationKey] = [
    .init("extension", .value(.number), "Required. The number inside the office, and the user name of the phone."),
    .init("name", .value(.text), "What the others see. Left out: the extension."),
    .init("password", .value(.secret), "For phones that register."),
    .init("address", .value(.endpoint(defaultPort: 5060)), "For phones that do not register: trusted by this address."),
    .init("callerNumber", .value(.number), "The number that is shown to those who are called."),
    .init(
      "calls", .value(.choice(["none", "national", "abroad"])), standard: "national", effect: .later(),
      "Which numbers this phone may call."),
    .init(
      "outside", .value(.flag), standard: "false", effect: .later(except: ["false"]), "Registers from the internet."),
    .init("media", .section(deviceMedia), "What is special about its voice."),
  ]

  static let pbx: [ConfigurationKey] = [
    .init("name", .value(name), "Required."),
    .init("address", .value(.endpoint(defaultPort: 5060)), "For a PBX that is known by its address."),
    .init("username", .value(.text), "For a PBX that registers with us."),
    .init("password", .value(.secret), "For a PBX that registers with us."),
    .init(
      "numberFormat", .value(.choice(["e164", "national", "extension"])), standard: "e164", effect: .later(),
      "How numbers are written towards it."),
    .init("media", .section(deviceMedia), "What is special about its voice."),
  ]

  static let deviceMedia: [ConfigurationKey] = [
    .init(
      "profile", .value(.choice(["voice", "fax"])), standard: "voice", effect: .later(except: ["voice"]),
      "What it is for."),
    .init(
      "srtp", .value(.choice(["off", "optional", "required"])), standard: "off", effect: .later(except: ["off"]),
      "Encryption of the voice."),
    .init(
      "codecs", .list(.text), effect: .later(),
      "What is offered, best first. Left out: what the two sides offer each other."),
    .init(
      "dtmf", .value(.choice(["rfc4733", "info", "inband"])), standard: "rfc4733", effect: .later(except: ["rfc4733"]),
      "How key presses travel."),
  ]

  static let trunk: [ConfigurationKey] = [
    .init("name", .value(name), "Required."),
    .init("profile", .value(.text), effect: .later(), "A provider profile, a name or a file."),
    .init(
      "uplinks", .list(name), standard: "[]",
      "The first usable one is taken; `lan` for a registrar in the office. Empty: all of them in order."),
    .init("domain", .value(.hostOnly), "Host of our address of record. Left out: the host of `registrar`."),
    .init("realm", .value(.text), "The only realm that the password is used for. Left out: the provider's."),
    .init("registrar", .value(.host), "Where REGISTER and INVITE go. Left out: `domain`."),
    .init("outboundProxy", .value(.host), "Goes before the registrar."),
    .init(
      "transport", .value(.choice(["udp", "tcp", "tls", "auto"])), standard: "udp",
      effect: .later(except: ["udp", "auto"]), "How SIP travels."),
    .init("username", .value(.text), "Required with `register: true`."),
    .init("authUsername", .value(.text), "Where it differs from `username`."),
    .init("password", .value(.secret), "Required with `register: true`."),
    .init(
      "accounts", .sections(account), effect: .later(), "Instead of username and password: one account per number."),
    .init("register", .value(.flag), standard: "true", "false: the provider knows us by address."),
    .init(
      "expires", .value(.duration(.seconds(60)...(.seconds(86400)))), standard: "300s",
      "How long a registration is asked for."),
    .init("numbers", .list(.number), standard: "[]", "Our numbers; x for each digit that is left open."),
    .init("maxCalls", .value(.integer(1...10000)), "Calls at one time. Left out: no limit of its own."),
    .init("media", .section(deviceMedia), "What is special about its voice."),
  ]

  static let account: [ConfigurationKey] = [
    .init("username", .value(.text), "Required."),
    .init("authUsername", .value(.text), "Where it differs."),
    .init("password", .value(.secret), "Required."),
    .init("numbers", .list(.number), standard: "[]", "Numbers of this account."),
  ]

  static let inbound: [ConfigurationKey] = [
    .init("trunk", .value(name), "Left out: every trunk."),
    .init("number", .value(.pattern), "The number that was called. Left out: every number."),
    .init("when", .value(.text), effect: .later(), "Days and times, such as `Mo-Fr 08:00-18:00`."),
    .init("to", .list(.target), "Required. Targets; several ring together."),
    .init(
      "timeout", .value(.duration(.seconds(1)...(.seconds(3600)))), "How long they ring before `otherwise` is taken."),
    .init("otherwise", .value(.target), "Where the call goes when nobody answers."),
  ]

  static let outbound: [ConfigurationKey] = [
    .init("from", .list(.caller), standard: "[]", "Who calls. Empty: everyone."),
    .init("to", .value(.pattern), standard: "*", "The number; `*` stands for any digits."),
    .init("trunks", .list(name), "Required. Tried in order: the next one when the first fails before an answer."),
    .init("callerID", .value(.number), "The caller's number as the provider is told it. Left out: the phone's own."),
  ]

  static let media: [ConfigurationKey] = [
    .init("ports", .value(.portRange), standard: "55000-55999", "UDP ports for voice, four for each call."),
    .init(
      "engine", .value(.choice(["userspace", "rtpengine"])), standard: "userspace",
      effect: .later(except: ["userspace"]),
      "What relays the voice."),
  ]

  static let limits: [ConfigurationKey] = [
    .init("callsPerSecond", .value(.integer(1...10000)), standard: "20", "New calls; further ones get 503."),
    .init("maxCalls", .value(.integer(1...100_000)), standard: "200", "Calls at one time."),
  ]

  static let notify: [ConfigurationKey] = [
    .init("after", .value(.duration(.seconds(1)...(.seconds(86400)))), standard: "2m", "How long it has been broken."),
    .init("webhook", .value(.webAddress), "Gets a POST."),
    .init("command", .list(.text), "Is run, with the sentence on standard input."),
  ]

  static let http: [ConfigurationKey] = [
    .init(
      "bind", .value(.endpoint(defaultPort: 8065)), standard: "127.0.0.1:8065", "Beyond loopback only with a token."),
    .init("token", .value(.secret), "What scripts send as `Authorization: Bearer`. Left out: made at every start."),
  ]

  static let store: [ConfigurationKey] = [
    .init("path", .value(.text), standard: "/var/lib/trunkline/trunkline.sqlite", "An SQLite file.")
  ]

  static let log: [ConfigurationKey] = [
    .init(
      "level", .value(.choice(["trace", "debug", "info", "notice", "warning", "error", "critical"])), standard: "info",
      "The least important line that is shown."),
    .init("format", .value(.choice(["text", "json"])), standard: "text", "One line each, as text or as JSON."),
  ]
}
