import Glibc
import NIOSSL
public import NetworkTypes

/// A certificate with its key and what leads to a root, read from files, ready to serve TLS 1.2 and 1.3 with.
public struct ServerCertificate: Sendable {
  let context: NIOSSLContext
  /// After this moment clients refuse it.
  public let expiry: WallTime

  /// Why files make no certificate to serve with. One sentence for a person.
  public struct Mistake: Error, Sendable, Hashable, CustomStringConvertible {
    public let sentence: String
    public var description: String { sentence }
  }

  /// - Parameters:
  ///   - chain: a PEM file with the server's own certificate first.
  ///   - key: the PEM file with its private key; `nil` where that is in the same file.
  ///   - protocols: names for ALPN (RFC 7301). A client that asks for none or for others is served as well.
  ///   - now: a certificate that is not valid at this moment is a mistake.
  public init(chain: String, key: String?, protocols: [String] = [], now: WallTime) throws(Mistake) {
    try Self.checkReadable(chain, "certificate")
    if let key { try Self.checkReadable(key, "key") }
    guard let certificates = try? NIOSSLCertificate.fromPEMFile(chain), let own = certificates.first else {
      throw Mistake(sentence: "\(chain) holds no certificate in PEM form")
    }
    let seconds = now.nanoseconds / 1_000_000_000
    guard seconds <= own.notValidAfter else {
      throw Mistake(
        sentence: "the certificate in \(chain) has expired: it was valid until \(Self.day(own.notValidAfter))")
    }
    guard seconds >= own.notValidBefore else {
      throw Mistake(
        sentence: "the certificate in \(chain) is not valid yet: it will be from \(Self.day(own.notValidBefore)) on")
    }
    // A key under a passphrase is refused; nobody is there to type it.
    let nobody: NIOSSLPassphraseCallback<[UInt8]> = { setter in setter([]) }
    guard let privateKey = try? NIOSSLPrivateKey(file: key ?? chain, format: .pem, passphraseCallback: nobody) else {
      throw Mistake(
        sentence: key == nil
          ? "\(chain) holds no private key in PEM form; it may be in a file of its own"
          : "\(key ?? chain) holds no private key in PEM form, or one under a passphrase")
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(privateKey))
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = protocols
    do {
      context = try NIOSSLContext(configuration: configuration)
    } catch {
      throw Mistake(sentence: "the private key in \(key ?? chain) does not belong to the certificate in \(chain)")
    }
    expiry = Self.wallTime(own.notValidAfter)
  }

  private static func checkReadable(_ path: String, _ what: String) throws(Mistake) {
    // The path is a string of ours, read during the call.
    guard unsafe access(path, R_OK) == 0 else {
      let reason =
        switch errno {
        case ENOENT, ENOTDIR: "there is no such file"
        case EACCES: "this user may not read it"
        default: "error \(errno)"
        }
      throw Mistake(sentence: "the \(what) \(path) cannot be read: \(reason)")
    }
  }

  private static func wallTime(_ seconds: time_t) -> WallTime {
    let (nanoseconds, isBeyond) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return WallTime(nanoseconds: isBeyond ? seconds < 0 ? .min : .max : nanoseconds)
  }

  /// `2026-11-23`, in universal time.
  private static func day(_ seconds: time_t) -> String { String(wallTime(seconds).description.prefix(10)) }
}
