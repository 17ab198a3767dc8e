import Foundation
import NetworkTypes
import STUN
import Testing

@Suite("RFC 5769 samples")
struct RFC5769Tests {
  static let shortTerm = STUNKey.shortTerm(password: RFC5769Vectors.shortTermPassword)

  static var longTerm: STUNKey {
    get throws {
      try #require(
        STUNKey.longTerm(
          username: RFC5769Vectors.longTermUsername, realm: RFC5769Vectors.realm,
          password: RFC5769Vectors.longTermPassword))
    }
  }

  static func integrity(of sample: RFC5769Vectors.Sample) throws -> STUNIntegrity {
    switch sample.name {
    case "sample_request_long_term_auth": .sha1(try longTerm)
    case "sample_request_long_term_auth_sha256": .sha256(try longTerm)
    default: .sha1(shortTerm)
    }
  }

  @Test("each sample encodes again to the byte", arguments: RFC5769Vectors.all)
  func reencodes(_ sample: RFC5769Vectors.Sample) throws {
    let message = try decode(sample.bytes)
    let again = message.encoded(
      integrity: try Self.integrity(of: sample), fingerprint: message.hasFingerprint, paddingByte: sample.paddingByte)
    #expect(again == sample.bytes)
  }

  @Test("each sample's integrity is right with its key and wrong with another", arguments: RFC5769Vectors.all)
  func integrity(_ sample: RFC5769Vectors.Sample) throws {
    let key =
      switch try Self.integrity(of: sample) {
      case .sha1(let key), .sha256(let key), .both(let key): key
      }
    #expect(verdict(on: sample.bytes, key: key) == .right)
    #expect(verdict(on: sample.bytes, key: .shortTerm(password: "another")) == .wrong)
  }

  @Test("§2.1 request")
  func request() throws {
    let message = try decode(RFC5769Vectors.request.bytes)
    #expect(message.messageClass == .request)
    #expect(message.method == .binding)
    #expect(message.hasMagicCookie)
    #expect(message.transactionID == 0xb7e7_a701_bc34_d686_fa87_dfae)
    #expect(message.software == "STUN test client")
    #expect(message.username == Array("evtj:h6vY".utf8))
    #expect(message.hasFingerprint)
    // PRIORITY and ICE-CONTROLLED are ICE's: the first may not be passed over by who does not know it.
    #expect(message.notUnderstood == [STUNAttributeType(rawValue: 0x0024)])
    #expect(
      message.attributes.contains(
        .unknown(STUNAttributeType(rawValue: 0x8029), [0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36])))
  }

  @Test("§2.2 and §2.3 responses")
  func responses() throws {
    let v4 = try decode(RFC5769Vectors.ipv4Response.bytes)
    #expect(v4.messageClass == .success)
    #expect(v4.software == "test vector")
    #expect(v4.mappedAddress == Endpoint("192.0.2.1:32853"))
    let v6 = try decode(RFC5769Vectors.ipv6Response.bytes)
    #expect(v6.mappedAddress == Endpoint("[2001:db8:1234:5678:11:2233:4455:6677]:32853"))
  }

  @Test("§2.4 and RFC 8489 B.1: long-term requests")
  func longTermRequests() throws {
    let sha1 = try decode(RFC5769Vectors.longTermRequest.bytes)
    #expect(sha1.username == Array(RFC5769Vectors.longTermUsername.utf8))
    #expect(sha1.realm == Array("example.org".utf8))
    #expect(sha1.nonce == Array("f//499k954d6OL34oL9FSTvy64sA".utf8))
    #expect(sha1.transactionID == 0x78ad_3433_c6ad_72c0_29da_412e)
    let sha256 = try decode(RFC5769Vectors.longTermSHA256Request.bytes)
    #expect(
      sha256.userhash == STUNKey.userhash(username: RFC5769Vectors.longTermUsername, realm: RFC5769Vectors.realm))
    #expect(sha256.nonce == Array("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA".utf8))
  }

  @Test("a sample with any one bit turned over is refused or judged wrong", arguments: RFC5769Vectors.all)
  func everyBitIsUnderTheHash(_ sample: RFC5769Vectors.Sample) throws {
    let key =
      switch try Self.integrity(of: sample) {
      case .sha1(let key), .sha256(let key), .both(let key): key
      }
    let intact = sample.bytes
    let message = try decode(intact)
    let fingerprintType = message.hasFingerprint ? intact.count - 8..<intact.count - 6 : 0..<0
    for index in intact.indices {
      var bytes = intact
      bytes[index] ^= 1 << UInt8(index % 8)
      guard let again = try? decode(bytes), verdict(on: bytes, key: key) == .right else { continue }
      // FINGERPRINT stands after the hash: with another type it is one of the attributes there that nobody reads.
      #expect(fingerprintType.contains(index), "\(sample.name), byte \(index)")
      #expect(again.attributes == message.attributes.filter { $0.type != .fingerprint })
    }
  }
}

@Suite("Published vector files")
struct PublishedVectorFileTests {
  /// `../shared/vectors/rfc5769` beside the checkout, also where its sources are reached through symbolic links.
  static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .appendingPathComponent("../../../../shared/vectors/rfc5769").standardizedFileURL

  static var isPresent: Bool { FileManager.default.fileExists(atPath: folder.path) }

  @Test(
    "our copy is the published one, and no file is without a copy",
    .enabled(if: isPresent, "no ../shared/vectors/rfc5769"))
  func filesAreOurs() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).filter { $0.hasSuffix(".bin") }
    #expect(files.sorted() == RFC5769Vectors.all.map { $0.name + ".bin" }.sorted())
    for sample in RFC5769Vectors.all {
      let bytes = try [UInt8](Data(contentsOf: Self.folder.appendingPathComponent(sample.name + ".bin")))
      #expect(bytes == sample.bytes, "\(sample.name)")
    }
  }
}
