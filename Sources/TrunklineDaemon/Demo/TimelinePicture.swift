import NetworkTypes

/// A call that outlived its line, as a picture: when the line was up and at which address, what each side heard, and the
/// messages that moved the call. SVG, 960 wide, for light and dark grounds.
public struct TimelinePicture: Sendable {
  /// A stretch in seconds from the left edge.
  public struct Stretch: Sendable, Equatable {
    public var from: Double
    public var to: Double
    public var text: String

    public init(from: Double, to: Double, text: String = "") {
      self.from = from
      self.to = to
      self.text = text
    }

    var length: Double { to - from }
  }

  /// What one side heard.
  public struct Lane: Sendable {
    public var title: String
    public var subtitle: String
    /// When the recording began, in seconds.
    public var start: Double
    /// Peaks of 40 ms each, 0 to 1.
    public var peaks: [Double]
    public var gaps: [Stretch]

    public init(title: String, subtitle: String, start: Double, peaks: [Double], gaps: [Stretch]) {
      self.title = title
      self.subtitle = subtitle
      self.start = start
      self.peaks = peaks
      self.gaps = gaps
    }
  }

  public var title: String
  public var subtitle: String
  public var seconds: Double
  /// The line with a public address each; between them it is down.
  public var line: [Stretch] = []
  /// Messages, each with its moment.
  public var messages: [(at: Double, text: String)] = []
  public var lanes: [Lane] = []
  public var footer = ""

  public init(title: String, subtitle: String, seconds: Double) {
    self.title = title
    self.subtitle = subtitle
    self.seconds = max(seconds, 1)
  }

  public static let peakSeconds = 0.04

  // MARK: Geometry

  private static let width = 960.0
  private static let left = 156.0
  private static let right = 936.0
  private static let lineTop = 96.0
  private static let lineHeight = 30.0
  private static let laneHeight = 76.0
  private static let rowHeight = 17.0

  private func x(_ at: Double) -> Double { Self.left + (Self.right - Self.left) * min(max(at / seconds, 0), 1) }

  /// The picture as a file.
  public func svg() -> String {
    let placed = placeMessages()
    let rows = (placed.map(\.row).max() ?? 0) + 1
    let messageTop = Self.lineTop + Self.lineHeight + 14
    let laneTop = messageTop + Double(rows) * Self.rowHeight + 14
    let lanesBottom = laneTop + Double(lanes.count) * (Self.laneHeight + 22)
    let height = lanesBottom + 68
    var out = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 \(number(height))" width="960" height="\(number(height))" \
      role="img" aria-label="\(escaped(title)). \(escaped(subtitle))">
      <style>\(Self.style)</style>
      <rect class="ground" width="960" height="\(number(height))" rx="14"/>
      <text class="title" x="24" y="40">\(escaped(title))</text>
      <text class="soft" x="24" y="64">\(escaped(subtitle))</text>

      """
    // What was down is shaded through all rows.
    for outage in outages {
      out += rect("outage", outage.from, outage.to, Self.lineTop - 4, lanesBottom - Self.lineTop - 10, radius: 4)
    }
    out += line(at: Self.lineTop)
    out += label("messages", at: messageTop + 11)
    for message in placed {
      let y = messageTop + Double(message.row) * Self.rowHeight
      out += """
        <line class="tick" x1="\(number(message.x))" x2="\(number(message.x))" y1="\(number(Self.lineTop + Self.lineHeight))" \
        y2="\(number(y + 12))"/><text class="message" x="\(number(message.begin))" y="\(number(y + 11))">\
        \(escaped(message.text))</text>

        """
    }
    for (index, lane) in lanes.enumerated() {
      out += draw(lane, number: index, at: laneTop + Double(index) * (Self.laneHeight + 22))
    }
    out += axis(at: lanesBottom + 2)
    out += "<text class=\"soft\" x=\"24\" y=\"\(number(height - 16))\">\(escaped(footer))</text>\n</svg>\n"
    return out
  }

  private var outages: [Stretch] {
    zip(line, line.dropFirst()).map { Stretch(from: $0.to, to: $1.from) }
  }

  private func line(at y: Double) -> String {
    var out = label("the line", at: y + 20)
    for stretch in line {
      out += rect("up", stretch.from, stretch.to, y, Self.lineHeight, radius: 6)
      out += fitted(stretch.text, "address", stretch, y + 20)
    }
    for outage in outages {
      out += rect("down", outage.from, outage.to, y, Self.lineHeight, radius: 6)
      out += fitted("down \(tenths(outage.length)) s", "cut", outage, y + 20, or: ["down", "✕"])
    }
    return out
  }

  private func draw(_ lane: Lane, number index: Int, at top: Double) -> String {
    let middle = top + Self.laneHeight / 2
    var out = label(lane.title, at: middle - 4)
    out += "<text class=\"soft small\" x=\"24\" y=\"\(number(middle + 13))\">\(escaped(lane.subtitle))</text>\n"
    out += "<line class=\"axis\" x1=\"156\" x2=\"936\" y1=\"\(number(middle))\" y2=\"\(number(middle))\"/>\n"
    // One path for all bars: a bar a pixel triple, the loudest of what falls into it.
    let step = 3.0
    var path = ""
    var place = Self.left
    while place < Self.right {
      let from = (place - Self.left) / (Self.right - Self.left) * seconds - lane.start
      let to = from + step / (Self.right - Self.left) * seconds
      let first = max(Int((from / Self.peakSeconds).rounded(.up)), 0)
      let last = min(max(Int((to / Self.peakSeconds).rounded(.up)), first + 1), lane.peaks.count)
      let isGap = lane.gaps.contains { from + lane.start >= $0.from && to + lane.start <= $0.to }
      if to > 0, first < last, !isGap, let peak = lane.peaks[first..<last].max(), peak > 0 {
        let half = max(peak * Self.laneHeight / 2, 1)
        path += "M\(number(place + 1)) \(number(middle - half))V\(number(middle + half))"
      }
      place += step
    }
    out += "<path class=\"sound\(index % 2)\" d=\"\(path)\"/>\n"
    for gap in lane.gaps {
      let center = (x(gap.from) + x(gap.to)) / 2
      let half = max(textWidth(gap.text, 13) / 2 + 8, 20)
      out += """
        <path class="bracket" d="M\(number(x(gap.from))) \(number(middle - 9))v18M\(number(x(gap.to))) \
        \(number(middle - 9))v18M\(number(x(gap.from))) \(number(middle))H\(number(x(gap.to)))"/>
        <rect class="badge" x="\(number(center - half))" y="\(number(middle - 12))" width="\(number(2 * half))" height="24" \
        rx="12"/><text class="gap" x="\(number(center))" y="\(number(middle + 4.5))">\(escaped(gap.text))</text>

        """
    }
    return out
  }

  private func axis(at y: Double) -> String {
    let step = [1.0, 2, 5, 10, 20, 30, 60, 120].first { seconds / $0 <= 14 } ?? 300
    var out = "<line class=\"axis\" x1=\"156\" x2=\"936\" y1=\"\(number(y))\" y2=\"\(number(y))\"/>\n"
    var at = 0.0
    while at <= seconds + 0.001 {
      let text = at + step > seconds ? "\(Int(at)) s" : "\(Int(at))"
      out += """
        <line class="axis" x1="\(number(x(at)))" x2="\(number(x(at)))" y1="\(number(y))" y2="\(number(y + 4))"/>\
        <text class="scale" x="\(number(x(at)))" y="\(number(y + 18))">\(text)</text>

        """
      at += step
    }
    return out
  }

  // MARK: Text

  /// Messages that are close together share a label; labels that would touch go to further rows.
  private func placeMessages() -> [(x: Double, begin: Double, row: Int, text: String)] {
    var groups: [(at: Double, texts: [String])] = []
    for message in messages.sorted(by: { $0.at < $1.at }) {
      if let last = groups.last, x(message.at) - x(last.at) < 26 {
        if groups[groups.count - 1].texts.last != message.text { groups[groups.count - 1].texts.append(message.text) }
      } else {
        groups.append((message.at, [message.text]))
      }
    }
    var ends: [Double] = []
    return groups.map { group in
      let text = group.texts.joined(separator: " · ")
      // At the right edge a label ends at its tick instead of beginning there.
      let width = textWidth(text, 12)
      let tick = x(group.at)
      let begin = tick + 4 + width <= Self.right + 20 ? tick + 4 : tick - 4 - width
      let row = ends.firstIndex { $0 <= min(begin, tick) } ?? ends.count
      let end = max(begin + width, tick) + 8
      if row == ends.count { ends.append(end) } else { ends[row] = end }
      return (tick, begin, row, text)
    }
  }

  private func fitted(
    _ text: String, _ style: String, _ stretch: Stretch, _ y: Double, or shorter: [String] = []
  ) -> String {
    let room = x(stretch.to) - x(stretch.from) - 8
    guard let text = ([text] + shorter).first(where: { textWidth($0, 13) <= room }) else { return "" }
    return
      "<text class=\"\(style)\" x=\"\(number((x(stretch.from) + x(stretch.to)) / 2))\" y=\"\(number(y))\">\(escaped(text))</text>\n"
  }

  private func label(_ text: String, at y: Double) -> String {
    "<text class=\"label\" x=\"24\" y=\"\(number(y))\">\(escaped(text))</text>\n"
  }

  private func rect(
    _ style: String, _ from: Double, _ to: Double, _ y: Double, _ height: Double, radius: Double
  ) -> String {
    let width = max(x(to) - x(from), 1)
    return
      "<rect class=\"\(style)\" x=\"\(number(x(from)))\" y=\"\(number(y))\" width=\"\(number(width))\" height=\"\(number(height))\" rx=\"\(number(min(radius, width / 2)))\"/>\n"
  }

  /// What a text of that size is at most wide, by the usual faces.
  private func textWidth(_ text: String, _ size: Double) -> Double { Double(text.count) * size * 0.6 }

  private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }

  private func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private func escaped(_ text: String) -> String {
    var out = ""
    for character in text {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(character)
      }
    }
    return out
  }

  private static let style = """
    .ground{fill:#fff}.title{font:600 21px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#16202c}\
    text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#16202c}.soft{fill:#5c6877}\
    .small{font-size:11.5px}.label{font-weight:600}.up{fill:#d7efe0}.down{fill:#d64533}.address,.cut,.scale,.gap{text-anchor:middle}\
    .address{fill:#14643f;font-weight:600}.cut{fill:#fff;font-weight:600}.outage{fill:#d64533;opacity:.09}.tick{stroke:#8b96a5}\
    .message{font-size:12px;fill:#3d4a5a}.axis{stroke:#cfd6de}.scale{font-size:12px;fill:#5c6877}.sound0,.sound1{stroke-width:2;stroke-linecap:round;fill:none}\
    .sound0{stroke:#0b6bcb}.sound1{stroke:#7a4fc4}.bracket{stroke:#b42318;fill:none}.badge{fill:#fff;stroke:#b42318}\
    .gap{fill:#b42318;font-weight:600}\
    @media(prefers-color-scheme:dark){.ground{fill:#141b24}.title,text{fill:#e7ecf2}.soft,.scale{fill:#94a1b2}.up{fill:#173f2f}\
    .address{fill:#7fdcae}.down{fill:#b23a2c}.cut{fill:#fff}.outage{fill:#ff7464;opacity:.12}.tick{stroke:#5c6a7a}.message{fill:#bcc7d4}\
    .axis{stroke:#303b48}.sound0{stroke:#5aa9f8}.sound1{stroke:#b794f6}.badge{fill:#141b24;stroke:#ff9a8d}.bracket{stroke:#ff9a8d}.gap{fill:#ff9a8d}}
    """
}
