/// One `m=` section (RFC 8866 §5.14). Lines that are not asked to change stay as they came.
public struct MediaDescription: Hashable, Sendable, SDPSection {
  /// All lines of the section, the `m=` line first.
  public internal(set) var lines: [SDPLine]

  /// The `m=` line, read.
  private struct Head {
    var kind: String
    var port: UInt16
    var portCount: Int?
    var transport: String
    var formats: [String]

    init?(parsing text: String) {
      // By bytes: a message is asked for its streams many times.
      let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true).map { Substring($0) }
      guard parts.count >= 4 else { return nil }
      let ports = parts[1].utf8.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        .map { Substring($0) }
      guard let port = UInt16(decimal: ports[0]) else { return nil }
      if ports.count > 1 {
        guard let count = UInt16(decimal: ports[1]), count > 0 else { return nil }
        portCount = Int(count)
      }
      kind = String(parts[0])
      self.port = port
      transport = String(parts[2])
      formats = parts[3...].map(String.init)
    }

    /// A refused stream: what stands where a section has no `m=` line, which none of ours lacks.
    static let refused = Head(kind: "audio", port: 0, portCount: nil, transport: "RTP/AVP", formats: ["0"])

    init(kind: String, port: UInt16, portCount: Int?, transport: String, formats: [String]) {
      self.kind = kind
      self.port = port
      self.portCount = portCount
      self.transport = transport
      self.formats = formats
    }

    var text: String {
      "\(kind) \(port)" + (portCount.map { "/\($0)" } ?? "") + " \(transport) " + formats.joined(separator: " ")
    }
  }

  /// A section that begins with `line`; `nil` where that is no well-formed `m=`.
  init?(line: SDPLine) {
    guard Head(parsing: line.text) != nil else { return nil }
    lines = [line]
  }

  /// A section of our own.
  public init(kind: String, port: UInt16, transport: String = "RTP/AVP", formats: [String]) {
    lines = [SDPLine("m", "\(kind) \(port) \(transport) " + formats.joined(separator: " "))]
  }

  private var head: Head {
    get { lines.first.flatMap { Head(parsing: $0.text) } ?? .refused }
    set { lines[0] = SDPLine("m", newValue.text) }
  }

  /// `audio`, `video`, `image`, …
  public var kind: String { head.kind }
  /// 0 for a refused stream.
  public var port: UInt16 {
    get { Self.port(in: lines.first?.text ?? "") }
    set { head.port = newValue }
  }
  /// The second word of a well-formed line, without reading the rest of it.
  private static func port(in text: String) -> UInt16 {
    var word = 0
    var isInWord = false
    var port: UInt16 = 0
    for byte in text.utf8 {
      if byte == UInt8(ascii: " ") {
        isInWord = false
      } else if !isInWord {
        isInWord = true
        word += 1
      }
      guard word == 2 else {
        if word > 2 { break }
        continue
      }
      guard isInWord, (48...57).contains(byte) else { break }
      port = port &* 10 &+ UInt16(byte - 48)
    }
    return port
  }

  /// The number of ports after the slash, where one is written.
  public var portCount: Int? {
    get { head.portCount }
    set { head.portCount = newValue }
  }
  /// `RTP/AVP`, `RTP/SAVP`, `udptl`, …
  public var transport: String { head.transport }
  /// Payload types of RTP in the order of preference, or what else the transport wants.
  public var formats: [String] {
    get { head.formats }
    set { head.formats = newValue.isEmpty ? ["0"] : newValue }
  }
  /// A stream with port 0 is refused, or has ended (RFC 3264 §5.1, §6, §8.2).
  public var isRefused: Bool { port == 0 }

  /// The section's own `c=`.
  public var connection: SDPConnection? {
    get { firstLine("c").flatMap { SDPConnection(parsing: $0.text) } }
    set {
      guard let newValue else {
        lines.removeAll { $0.isType("c") }
        return
      }
      setLine(SDPLine("c", newValue.description), following: "mi")
    }
  }

  public var attributes: [SDPAttribute] { lines.compactMap(\.attribute) }

  /// The value of the first attribute of that name; empty text for one that has no value.
  public func attribute(_ name: String) -> String? { attributeValue(name) }

  /// Puts an attribute at the end of the section.
  public mutating func addAttribute(_ name: String, _ value: String? = nil) {
    lines.append(SDPLine("a", SDPAttribute(name, value).description))
  }

  /// Keeps only these of ``formats``, in their order, and what is said of them; all where none of them is among them.
  public mutating func keepFormats(_ wanted: [String]) {
    let kept = formats.filter { wanted.contains($0) }
    guard !kept.isEmpty, kept.count < formats.count else { return }
    formats = kept
    lines.removeAll { line in
      guard ["rtpmap", "fmtp", "rtcp-fb"].contains(where: { line.isAttribute($0) }),
        let format = line.attribute?.value?.split(separator: " ").first, format != "*"
      else { return false }
      return !kept.contains(String(format))
    }
  }

  /// Removes every attribute of that name.
  public mutating func removeAttribute(_ name: String) { removeAttributes([name]) }

  /// The section's own direction; `nil` where it says nothing.
  public var ownDirection: MediaDirection? {
    get { explicitDirection }
    set { setExplicitDirection(newValue) }
  }
}

/// What a payload type means (`a=rtpmap`, RFC 8866 §6.6).
public struct RTPMap: Hashable, Sendable {
  /// As written: `PCMA`, `telephone-event`; compared without regard to case.
  public var encoding: String
  public var clockRate: Int
  public var channels: Int

  public init(encoding: String, clockRate: Int, channels: Int = 1) {
    self.encoding = encoding
    self.clockRate = clockRate
    self.channels = channels
  }

  /// The static payload types of RFC 3551 §6 that telephony meets.
  static let staticTypes: [(type: String, map: RTPMap)] = [
    ("0", RTPMap(encoding: "PCMU", clockRate: 8000)), ("3", RTPMap(encoding: "GSM", clockRate: 8000)),
    ("4", RTPMap(encoding: "G723", clockRate: 8000)), ("8", RTPMap(encoding: "PCMA", clockRate: 8000)),
    ("9", RTPMap(encoding: "G722", clockRate: 8000)), ("13", RTPMap(encoding: "CN", clockRate: 8000)),
    ("15", RTPMap(encoding: "G728", clockRate: 8000)), ("18", RTPMap(encoding: "G729", clockRate: 8000)),
  ]
}

extension MediaDescription {
  /// The meaning of one of ``formats``: its `a=rtpmap`, else the static table of RFC 3551.
  public func rtpmap(for format: String) -> RTPMap? {
    for line in lines where line.isAttribute("rtpmap") {
      let parts = (line.attribute?.value ?? "").split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      guard parts.count == 2, parts[0] == format else { continue }
      let map = parts[1].split(separator: "/", omittingEmptySubsequences: false)
      guard map.count >= 2, let rate = UInt32(map[1].trimmingSpaces) else { return nil }
      let channels = map.count > 2 ? UInt16(map[2].trimmingSpaces) ?? 1 : 1
      return RTPMap(encoding: String(map[0]), clockRate: Int(rate), channels: Int(channels))
    }
    return RTPMap.staticTypes.first { $0.type == format }?.map
  }

  /// The name of the first format's encoding, for people.
  public var codecName: String? { formats.first.flatMap { rtpmap(for: $0) }?.encoding }

  /// The first payload type of that encoding (without regard to case), in the order of preference.
  public func payloadType(of encoding: String) -> UInt8? {
    for format in formats {
      guard let type = UInt8(format), type < 128, let map = rtpmap(for: format) else { continue }
      if map.encoding.lowercased() == encoding.lowercased() { return type }
    }
    return nil
  }
}

extension Substring {
  var trimmingSpaces: Substring {
    var rest = self
    while rest.utf8.last == UInt8(ascii: " ") { rest = rest.dropLast() }
    return rest
  }
}

extension UInt16 {
  /// Decimal digits only, without a sign.
  init?(decimal text: Substring) {
    guard text.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt16(text) else { return nil }
    self = value
  }
}
