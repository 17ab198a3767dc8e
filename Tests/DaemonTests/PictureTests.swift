import Foundation
import Testing
import TrunklineDaemon

@Suite struct PictureTests {
  @Test func gapsAreRunsOfNothing() {
    var samples = [Int16](repeating: 900, count: 8000)
    for index in 2000..<4400 { samples[index] = 0 }
    for index in 6000..<6100 { samples[index] = 0 }
    #expect(AudioGaps.find(in: samples) == [AudioGaps.Gap(from: 0.25, to: 0.55)])
    #expect(AudioGaps.find(in: []) == [])
    #expect(AudioGaps.peaks(of: samples).count == 25)
    #expect(AudioGaps.peaks(of: samples)[8] == 0)
  }

  static func picture(cuts: Int) -> TimelinePicture {
    var picture = TimelinePicture(title: "A <call> & its line", subtitle: "subtitle", seconds: 20)
    var begin = 0.0
    for cut in 0..<cuts {
      let at = 20 * Double(cut + 1) / Double(cuts + 1)
      picture.line.append(.init(from: begin, to: at, text: "127.10.3.\(cut)"))
      begin = at + 0.2
      for text in ["REGISTER", "re-INVITE", "re-INVITE"] { picture.messages.append((begin + 0.01, text)) }
    }
    picture.line.append(.init(from: begin, to: 20, text: "127.10.3.99"))
    let peaks = [Double](repeating: 0.5, count: 480)
    picture.lanes = [
      .init(title: "a", subtitle: "b", start: 0.5, peaks: peaks, gaps: [.init(from: 3, to: 4, text: "1.00 s")])
    ]
    return picture
  }

  @Test func whatIsWrittenIsText() {
    let svg = Self.picture(cuts: 2).svg()
    #expect(svg.contains("A &lt;call&gt; &amp; its line"))
    #expect(svg.contains("REGISTER · re-INVITE<"))
    #expect(svg.contains("1.00 s"))
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
  }

  /// Labels of one row never overlap, however many there are.
  @Test(arguments: [1, 3, 9, 40]) func labelsDoNotTouch(cuts: Int) {
    let svg = Self.picture(cuts: cuts).svg()
    var ends: [String: Double] = [:]
    var labels = 0
    for part in svg.components(separatedBy: "<text class=\"message\" x=\"").dropFirst() {
      let fields = part.components(separatedBy: "\"")
      let text = part.components(separatedBy: ">")[1].components(separatedBy: "<")[0]
      let x = Double(fields[0])!
      #expect(x >= ends[fields[2]] ?? 0)
      ends[fields[2]] = x + Double(text.count) * 7.2
      labels += 1
    }
    #expect(labels > 0)
    #expect(ends.values.allSatisfy { $0 <= 960 })
  }

  @Test func cutsThatNobodyWouldHearTheEndOfAreLeftOut() {
    #expect(DemoRun.Plan(seconds: 20, cutEvery: 7).cuts == [7, 14])
    #expect(DemoRun.Plan(seconds: 10, cutEvery: 7).cuts == [])
    #expect(DemoRun.Plan(seconds: 600, cutEvery: 3).cuts.count == 199)
  }
}
