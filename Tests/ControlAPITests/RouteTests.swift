import ControlAPI
import Foundation
import HTTPTypes
import HummingbirdCore
import LinkManager
import NIOCore
import Synchronization
import Testing

@Suite struct RouteTests {
  @Test func statusIsTheContractsDocument() async throws {
    let answer = try await APIClient().ask(.get, "/api/v1/status")
    #expect(answer.status == 200)
    #expect(answer.headers[.contentType] == "application/json")
    #expect(answer.headers[.xContentTypeOptions] == "nosniff")
    let document = try answer.json()
    let wanted = ["calls", "embeddedDefault", "phones", "trunks", "uplinks", "uptimeSeconds", "version"]
    #expect(document.keys.sorted() == wanted)
    let uplink = try #require((document["uplinks"] as? [[String: Any]])?.first)
    #expect((uplink["publicAddress"] as? [String: Any])?["ip"] as? String == "203.0.113.5")
    #expect(uplink["keepalives"] as? Int == 17)
  }

  @Test(arguments: [
    ("/api/v1/uplinks/dsl", 200), ("/api/v1/uplinks/x", 404), ("/api/v1/trunks/trunk0", 200), ("/api/v1/trunks/x", 404),
    ("/api/v1/calls/c1", 200), ("/api/v1/calls/x", 404), ("/api/v1/phones", 200), ("/api/v1/verdicts", 200),
    ("/api/v1/incidents", 200), ("/api/v1/incidents/1", 404), ("/api/v1/nothing", 404), ("/openapi.json", 200),
    ("/api/v1/history?limit=0", 400), ("/api/v1/history?limit=1001", 400), ("/api/v1/history?limit=x", 400),
    ("/api/v1/demo/recording.wav", 400), ("/api/v1/demo/recording.wav?id=x", 404),
  ]) func pathAnswers(_ path: String, _ status: Int) async throws {
    let answer = try await APIClient().ask(.get, path)
    #expect(answer.status == status)
    guard status >= 400 else { return }
    #expect(answer.headers[.contentType] == "application/problem+json")
    let problem = try answer.json()
    #expect(problem["status"] as? Int == status)
    #expect((problem["detail"] as? String)?.isEmpty == false)
    #expect(problem["title"] is String)
    #expect(problem["type"] as? String == "about:blank")
  }

  @Test func commandsReachTheDaemon() async throws {
    let control = StandInControl()
    let client = APIClient(control)
    for (method, path, status) in [
      (.delete, "/api/v1/calls/c1", 204), (.delete, "/api/v1/calls/c2", 404),
      (.post, "/api/v1/trunks/trunk0/disable", 204), (.post, "/api/v1/trunks/trunk0/enable", 204),
      (.post, "/api/v1/trunks/none/enable", 404), (.post, "/api/v1/trunks/trunk0/register", 204),
      (.post, "/api/v1/reload", 204), (.post, "/api/v1/doctor", 200), (.post, "/api/v1/demo/call", 202),
      (.post, "/api/v1/demo/cut", 204),
    ] as [(HTTPRequest.Method, String, Int)] {
      #expect(try await client.ask(method, path).status == status, "\(path)")
    }
    _ = try await client.ask(.get, "/api/v1/history?limit=7&before=call-3")
    #expect(
      control.asked == [
        "hang up c1", "disable trunk0", "enable trunk0", "register trunk0", "reload", "doctor", "demo call", "cut",
        "history 7 call-3",
      ])
  }

  @Test func doctorAnswersWithItsReport() async throws {
    let control = StandInControl()
    let answer = try await APIClient(control).ask(.post, "/api/v1/doctor?call=true")
    #expect(control.asked == ["doctor with a call"])
    let report = try answer.json()
    #expect(report["result"] as? String == "refuted")
    let finding = try #require((report["findings"] as? [[String: Any]])?.first)
    #expect(finding["need"] as? String == "sip" && finding["nextStep"] as? String == "Ask the provider.")
  }

  @Test func doctorTellsHowFarItIs() async throws {
    let answer = try await APIClient(StandInControl()).ask(.get, "/api/v1/doctor")
    #expect(answer.status == 200)
    let progress = try answer.json()
    #expect(
      progress.keys.sorted() == ["answered", "asked", "elapsedSeconds", "findings", "isRunning", "waitingFor"])
    #expect(progress["isRunning"] as? Bool == true && progress["elapsedSeconds"] as? Double == 1.5)
    #expect(progress["waitingFor"] as? [String] == ["media", "fragments"])
    #expect((progress["findings"] as? [[String: Any]])?.first?["need"] as? String == "sip")
    #expect(try await APIClient().ask(.get, "/api/v1/doctor", bearer: nil).status == 401)
  }

  @Test func reloadTellsEveryMistake() async throws {
    let control = StandInControl()
    control.state.withLock { $0.reloadMistakes = ["a.yaml:1:1: error: x", "a.yaml:2:1: error: y"] }
    let answer = try await APIClient(control).ask(.post, "/api/v1/reload")
    #expect(answer.status == 422)
    #expect(try answer.json()["errors"] as? [String] == ["a.yaml:1:1: error: x", "a.yaml:2:1: error: y"])
  }

  @Test func readinessNamesTheTrunks() async throws {
    let states = TrunkStatus.State.allCases
    let answer = try await APIClient(StandInControl(states)).ask(.get, "/readyz", bearer: nil)
    #expect(answer.status == 503)
    let missing = states.enumerated().filter { ![.registered, .static, .disabled].contains($0.element) }
      .map { "trunk\($0.offset)" }
    #expect(answer.text == "not registered: \(missing.joined(separator: ", "))\n")
    #expect(
      try await APIClient(StandInControl([.registered, .disabled])).ask(.get, "/readyz", bearer: nil).status == 200)
  }

  @Test func recordingIsPlayedWhenItIsThere() async throws {
    let control = StandInControl()
    let client = APIClient(control)
    let path = "/api/v1/demo/recording.wav?id=r1"
    control.state.withLock { $0.recording = .running }
    #expect(try await client.ask(.get, path).status == 202)
    control.state.withLock { $0.recording = .failed("The provider did not answer") }
    let failed = try await client.ask(.get, path)
    #expect(failed.status == 502)
    #expect(failed.text.contains("The provider did not answer"))
    control.state.withLock { $0.recording = .finished([1, 2, 3]) }
    let finished = try await client.ask(.get, path)
    #expect(finished.status == 200)
    #expect(finished.headers[.contentType] == "audio/wav")
    #expect(finished.body == [1, 2, 3])
  }

  @Test func pageRunsOnlyItsOwnScript() async throws {
    let client = APIClient()
    let first = try await client.ask(.get, "/", bearer: nil)
    let second = try await client.ask(.get, "/", bearer: nil)
    #expect(first.status == 200)
    let policy = try #require(first.headers[.contentSecurityPolicy])
    #expect(policy.hasPrefix("default-src 'none'; script-src 'nonce-"))
    #expect(!policy.contains("unsafe"))
    let nonce = try #require(policy.split(separator: "'").first { $0.hasPrefix("nonce-") }).dropFirst(6)
    #expect(nonce.count == 64)
    #expect(first.text.contains("<script nonce=\"\(nonce)\">"))
    #expect(first.text.contains("<style nonce=\"\(nonce)\">"))
    #expect(!first.text.contains("@NONCE@"))
    #expect(!second.text.contains(nonce))
    // Nothing from elsewhere, nothing that the policy forbids, nothing put in as markup.
    for word in [
      "http://", "https://", "innerHTML", "outerHTML", "insertAdjacent", "document.write", " style=", "onclick=\"",
    ] {
      #expect(!first.text.contains(word), "\(word)")
    }
  }

  @Test func describedAndServedPathsAreTheSame() async throws {
    let client = APIClient()
    let document = try await client.ask(.get, "/openapi.json", bearer: nil).json()
    let paths = try #require(document["paths"] as? [String: [String: Any]])
    #expect(document["openapi"] as? String == "3.1.0")
    #expect(paths.count == 26)
    for (path, operations) in paths {
      for (method, description) in operations {
        let plain = path.replacing("{name}", with: "dsl").replacing("{id}", with: "c1")
        guard plain != "/api/v1/events", let verb = HTTPRequest.Method(method.uppercased()) else { continue }
        let status = try await client.ask(verb, plain).status
        let answers = (description as? [String: Any])?["responses"] as? [String: Any] ?? [:]
        #expect(answers[String(status)] != nil, "\(method) \(path) answered \(status), described are \(answers.keys)")
      }
    }
    let text = try await client.ask(.get, "/openapi.json").text
    let schemas = try #require((document["components"] as? [String: Any])?["schemas"] as? [String: Any])
    for part in text.components(separatedBy: "#/components/schemas/").dropFirst() {
      #expect(schemas[String(part.prefix { $0 != "\"" })] != nil)
    }
  }

  @Test func eventsBeginWithTheStatus() async throws {
    let control = StandInControl()
    let response = try await APIClient(control).respond(.get, "/api/v1/events")
    #expect(response.status == .ok)
    #expect(response.headers[.contentType] == "text/event-stream")
    let continuation = try #require(control.state.withLock { $0.events })
    let verdict = Verdict(
      at: "2026-01-01T10:00:00.000Z", subject: "trunk t", code: "c", sentence: "line one\nline two", evidence: "",
      nextStep: "")
    let sink = Sink()
    let writer = SinkWriter(sink: sink) { all in
      // The first write is the status; then one verdict, and the daemon stops.
      if String(decoding: all, as: UTF8.self).components(separatedBy: "event: ").count == 2 {
        continuation.yield(.verdict(verdict))
        continuation.finish()
      }
    }
    try await response.body.write(writer)
    let blocks = String(decoding: sink.bytes.withLock { $0 }, as: UTF8.self).components(separatedBy: "\n\n")
    #expect(blocks.count == 3)
    #expect(blocks[0].hasPrefix("event: status\ndata: {\"calls\":["))
    #expect(blocks[1].hasPrefix("event: verdict\ndata: {"))
    #expect(blocks[1].contains("line one\\nline two"))
  }

  @Test func streamsAreBounded() async throws {
    let client = APIClient()
    var held: [Any] = []
    for _ in 0..<32 {
      let response = try await client.respond(.get, "/api/v1/events")
      #expect(response.status == .ok)
      held.append(response)
    }
    #expect(try await client.respond(.get, "/api/v1/events").status == .serviceUnavailable)
    held.removeAll()
    #expect(try await client.respond(.get, "/api/v1/events").status == .ok)
  }
}
