import ControlAPI
import Testing

@Suite struct MetricsTests {
  @Test func namesAreTheContracts() {
    let text = MetricsTable().prometheusText()
    let names = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
      .map { $0.dropFirst(7).split(separator: " ").map(String.init) }
    // Further ones may follow.
    #expect(
      Array(names.prefix(14)) == [
        ["trunkline_trunk_registered", "gauge"], ["trunkline_trunk_unreachable_seconds_total", "counter"],
        ["trunkline_registration_seconds", "histogram"], ["trunkline_public_address_changes_total", "counter"],
        ["trunkline_address_change_recovery_seconds", "histogram"], ["trunkline_call_audio_gap_seconds", "histogram"],
        ["trunkline_stun_keepalives_total", "counter"], ["trunkline_calls_total", "counter"],
        ["trunkline_calls_active", "gauge"], ["trunkline_rtp_packets_total", "counter"],
        ["trunkline_rtp_lost_total", "counter"], ["trunkline_sip_requests_total", "counter"],
        ["trunkline_sip_responses_total", "counter"], ["trunkline_sip_discarded_total", "counter"],
      ])
    #expect(text.contains("\ntrunkline_rtp_lost_total 0\n"))
  }

  @Test func samplesAreSortedAndEscaped() {
    var table = MetricsTable()
    table.set(.trunkRegistered, ["b"], to: 1)
    table.set(.trunkRegistered, ["a \"quoted\" \\ and\nbroken"], to: 0)
    table.add(.calls, ["t", "inbound", "answered"])
    table.add(.calls, ["t", "inbound", "answered"], 2)
    table.set(.trunkUnreachableSeconds, ["b"], to: 1.5)
    let lines = table.prometheusText().split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    #expect(
      Array(lines.prefix(5)) == [
        #"trunkline_trunk_registered{trunk="a \"quoted\" \\ and\nbroken"} 0"#,
        #"trunkline_trunk_registered{trunk="b"} 1"#, #"trunkline_trunk_unreachable_seconds_total{trunk="b"} 1.5"#,
        #"trunkline_calls_total{trunk="t",direction="inbound",result="answered"} 3"#, "trunkline_rtp_lost_total 0",
      ])
  }

  @Test func histogramsAreCumulative() {
    var table = MetricsTable()
    for value in [0.05, 0.2, 0.2, 40] { table.observe(.callAudioGapSeconds, ["in"], value) }
    let lines = table.prometheusText().split(separator: "\n").filter { $0.hasPrefix("trunkline_call_audio_gap") }
    #expect(lines.first == #"trunkline_call_audio_gap_seconds_bucket{direction="in",le="0.05"} 1"#)
    #expect(lines.contains(#"trunkline_call_audio_gap_seconds_bucket{direction="in",le="0.1"} 1"#))
    #expect(lines.contains(#"trunkline_call_audio_gap_seconds_bucket{direction="in",le="0.25"} 3"#))
    #expect(lines.contains(#"trunkline_call_audio_gap_seconds_bucket{direction="in",le="30"} 3"#))
    #expect(lines.contains(#"trunkline_call_audio_gap_seconds_bucket{direction="in",le="+Inf"} 4"#))
    #expect(lines.contains(#"trunkline_call_audio_gap_seconds_sum{direction="in"} 40.45"#))
    #expect(lines.last == #"trunkline_call_audio_gap_seconds_count{direction="in"} 4"#)
  }

  @Test func seriesAreBounded() {
    var table = MetricsTable()
    for number in 0..<1000 { table.add(.sipDiscarded, ["reason \(number)"]) }
    let lines = table.prometheusText().split(separator: "\n").filter { $0.hasPrefix("trunkline_sip_discarded_total{") }
    #expect(lines.count == MetricsTable.seriesLimit + 1)
    #expect(table.value(.sipDiscarded, ["other"]) == 800)
  }
}
