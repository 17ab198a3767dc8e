import Foundation
public import NetworkTypes
import XMLCoder

/// Where a gateway takes orders: one of its services for a connection to the internet.
public struct GatewayService: Sendable, Hashable {
  /// `urn:schemas-upnp-org:service:WANIPConnection:2`.
  public var type: String
  /// An absolute URL on the gateway's own address.
  public var controlURL: String
  /// Where changes are subscribed to, another such URL; `nil` where there are no events.
  public var eventURL: String?

  /// 2 where it knows AddAnyPortMapping.
  public var version: Int { type.hasSuffix(":WANIPConnection:2") ? 2 : 1 }
}

/// Reads what gateways write: descriptions (UPnP Device Architecture 1.1 §2.3) and SOAP answers (§3.2). All of it comes
/// from the local network, so nothing of it is trusted: sizes, depths and addresses are looked at first.
public enum GatewayDescription {
  /// Longer ones are not read.
  public static let longest = 131_072
  private static let deepest = 32
  private static let mostServices = 8

  /// The services that map ports, the best first. `location` is where the description came from.
  public static func services(_ bytes: [UInt8], location: GatewayURL) -> [GatewayService] {
    guard isHarmless(bytes), let root = try? decoder().decode(Root.self, from: Data(bytes)) else { return [] }
    var found: [GatewayService] = []
    // URLBase is of UPnP 1.0, and as little believed as LOCATION.
    let base = root.URLBase.flatMap { GatewayURL($0, on: location.address) } ?? location
    var devices = [root.device]
    var seen = 0
    while let device = devices.popLast(), seen < 64, found.count < mostServices {
      seen += 1
      devices += device.deviceList?.device ?? []
      for service in device.serviceList?.service ?? [] where ranks.contains(service.serviceType) {
        guard let url = base.resolve(service.controlURL) else { continue }
        let events = service.eventSubURL.flatMap { $0.isEmpty ? nil : base.resolve($0) }
        found.append(GatewayService(type: service.serviceType, controlURL: url, eventURL: events))
      }
    }
    return found.sorted {
      (ranks.firstIndex(of: $0.type) ?? 9, $0.controlURL) < (ranks.firstIndex(of: $1.type) ?? 9, $1.controlURL)
    }
  }

  private static let ranks = [
    "urn:schemas-upnp-org:service:WANIPConnection:2", "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
  ]

  /// What an answer to an order says.
  public static func answer(_ bytes: [UInt8]) -> SOAPAnswer? {
    guard isHarmless(bytes), let envelope = try? decoder().decode(Envelope.self, from: Data(bytes)) else { return nil }
    let body = envelope.Body
    if let fault = body.Fault { return SOAPAnswer(errorCode: fault.detail?.UPnPError?.errorCode ?? 501) }
    var answer = SOAPAnswer()
    answer.externalAddress = body.GetExternalIPAddressResponse?.NewExternalIPAddress.flatMap { IPAddress($0) }
    answer.reservedPort = body.AddAnyPortMappingResponse?.NewReservedPort
    answer.internalClient = body.GetSpecificPortMappingEntryResponse?.NewInternalClient.flatMap { IPAddress($0) }
    answer.internalPort = body.GetSpecificPortMappingEntryResponse?.NewInternalPort
    return answer
  }

  private static func decoder() -> XMLDecoder {
    let decoder = XMLDecoder()
    decoder.shouldProcessNamespaces = true
    decoder.trimValueWhitespaces = true
    return decoder
  }

  /// Not too long, not too deep for a decoder that recurses, and without a document type, which could define entities.
  static func isHarmless(_ bytes: [UInt8]) -> Bool {
    guard bytes.count <= longest else { return false }
    var depth = 0
    var index = 0
    while index + 1 < bytes.count {
      defer { index += 1 }
      guard bytes[index] == UInt8(ascii: "<") else { continue }
      switch bytes[index + 1] {
      case UInt8(ascii: "/"): depth -= 1
      case UInt8(ascii: "?"): break
      case UInt8(ascii: "!"):
        // Comments are; anything else (DOCTYPE, CDATA) no gateway needs.
        guard index + 3 < bytes.count, bytes[index + 2] == UInt8(ascii: "-"), bytes[index + 3] == UInt8(ascii: "-")
        else {
          return false
        }
      default:
        guard let end = bytes[index...].firstIndex(of: UInt8(ascii: ">")) else { return false }
        if bytes[end - 1] != UInt8(ascii: "/") { depth += 1 }
        if depth > deepest { return false }
      }
    }
    return true
  }

  // MARK: What is read. Property names are those of the XML.

  private struct Root: Decodable {
    var URLBase: String?
    var device: Device
  }

  private struct Device: Decodable {
    var deviceList: DeviceList?
    var serviceList: ServiceList?
  }

  private struct DeviceList: Decodable { var device: [Device] }

  private struct ServiceList: Decodable { var service: [Service] }

  private struct Service: Decodable {
    var serviceType: String
    var controlURL: String
    var eventSubURL: String?
  }

  private struct Envelope: Decodable { var Body: Body }

  private struct Body: Decodable {
    var Fault: Fault?
    var GetExternalIPAddressResponse: ExternalAddress?
    var AddAnyPortMappingResponse: ReservedPort?
    var GetSpecificPortMappingEntryResponse: Entry?
  }

  private struct ExternalAddress: Decodable { var NewExternalIPAddress: String? }

  private struct ReservedPort: Decodable { var NewReservedPort: UInt16? }

  private struct Entry: Decodable {
    var NewInternalClient: String?
    var NewInternalPort: UInt16?
  }

  private struct Fault: Decodable { var detail: Detail? }

  private struct Detail: Decodable { var UPnPError: UPnPError? }

  private struct UPnPError: Decodable { var errorCode: Int? }
}

/// What an answer to an order says; empty where the order has no answer but that it was carried out.
public struct SOAPAnswer: Sendable, Hashable {
  public var errorCode: Int?
  public var externalAddress: IPAddress?
  public var reservedPort: UInt16?
  public var internalClient: IPAddress?
  public var internalPort: UInt16?

  public init(errorCode: Int? = nil) { self.errorCode = errorCode }
}

/// An `http` URL on the gateway's own address. Any other is none: a description may say what it likes, and our orders go to
/// nobody else.
public struct GatewayURL: Sendable, Hashable {
  public let address: IPAddress
  public let port: UInt16
  /// With its first slash.
  public let path: String

  public init?(_ text: String, on address: IPAddress) {
    guard text.utf8.count <= 512, text.lowercased().hasPrefix("http://") else { return nil }
    let rest = text.dropFirst(7)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let authority = String(rest[..<slash])
    guard let place = Endpoint(authority) ?? IPAddress(authority).map({ Endpoint($0, port: 80) }),
      place.address == address, place.port > 0
    else { return nil }
    let path = slash == rest.endIndex ? "/" : String(rest[slash...])
    guard path.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    (self.address, port, self.path) = (address, place.port, path)
  }

  /// The URL as text.
  public var text: String { "http://\(Endpoint(address, port: port))\(path)" }

  /// What a reference within this document means, as text; `nil` where it leads elsewhere.
  public func resolve(_ reference: String) -> String? {
    if reference.contains("://") { return GatewayURL(reference, on: address)?.text }
    let folder = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    let absolute = reference.hasPrefix("/") ? reference : "\(folder)/\(reference)"
    return GatewayURL("http://\(Endpoint(address, port: port))\(absolute)", on: address)?.text
  }
}
