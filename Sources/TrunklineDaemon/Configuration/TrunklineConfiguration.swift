public import LinkManager
public import NetworkTypes

/// What a configuration file says, read and checked.
public struct TrunklineConfiguration: Sendable, Equatable {
  /// What the link itself needs.
  public var link = LinkConfiguration()
  public var http = HTTPConfiguration()
  /// The SQLite file of call records and verdicts.
  public var storePath = ""
  public var log = LogConfiguration()
  /// What was read and checked, and has no effect in this version.
  public var later = LaterConfiguration()

  public init() {}
}

/// Where the dashboard, the API and the metrics are.
public struct HTTPConfiguration: Sendable, Equatable {
  public var bind = Endpoint(.v4(0x7f00_0001), port: 8065)
  /// `nil`: one is made at every start.
  public var token: Redacted<String>?

  public init() {}
}

public struct LogConfiguration: Sendable, Equatable {
  public enum Format: String, Sendable { case text, json }

  /// A level of swift-log, by name.
  public var level = "info"
  public var format = Format.text

  public init() {}
}

/// Keys whose feature is still to come.
public struct LaterConfiguration: Sendable, Equatable {
  public struct Numbering: Sendable, Equatable {
    /// Two letters of ISO 3166.
    public var country: String
    public var areaCode: String?
    public var abroad: [String]
  }

  public struct Notify: Sendable, Equatable {
    public var after: Duration
    public var webhook: String?
    public var command: [String]
  }

  public struct Trunk: Sendable, Equatable {
    public var name: String
    public var profile: String?
    public var transport: String
  }

  public var numbering: Numbering?
  public var notify: Notify?
  public var trunks: [Trunk] = []
  public var tlsBind: [Endpoint] = []
  public var tlsCertificate: String?
  /// `userspace` or `rtpengine`.
  public var mediaEngine = "userspace"

  public init() {}
}
