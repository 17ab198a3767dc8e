// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let orderedCollections = Target.Dependency.product(name: "OrderedCollections", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

/// A target and the tests beside it, where it has any.
func floor(
  _ name: String, _ dependencies: [Target.Dependency], tests: [Target.Dependency]? = nil, testFiles: [String] = []
) -> [Target] {
  var targets: [Target] = [.target(name: name, dependencies: dependencies, swiftSettings: settings)]
  if let tests {
    targets.append(
      .testTarget(
        name: "\(name)Tests", dependencies: [.target(name: name)] + dependencies + tests, exclude: testFiles,
        swiftSettings: settings))
  }
  return targets
}

// The floors of docs/architecture.md: each target depends only on targets above it in this list.
let pure: [Target] =
  floor("NetworkTypes", [], tests: [])
  + floor("STUN", ["NetworkTypes", crypto], tests: [])
  + floor("SIPSyntax", ["NetworkTypes"], tests: [])
  + floor("SDP", ["NetworkTypes"], tests: [])
  + floor("RTP", ["NetworkTypes"], tests: [])
  + floor("FirewallRules", ["NetworkTypes"], tests: [], testFiles: ["Golden"])
  + floor("PortMapping", ["NetworkTypes"], tests: ["NetworkSimulator"])
  + floor("NATDiscovery", ["NetworkTypes", "STUN", "PortMapping"], tests: ["NetworkSimulator"])
  + floor("SIPTransaction", ["NetworkTypes", "SIPSyntax", crypto], tests: [])
  + floor("MediaRelay", ["NetworkTypes", "STUN", "RTP"], tests: [])
  + floor("SIPDialog", ["NetworkTypes", "SIPSyntax", "SIPTransaction"], tests: [])
  + floor("CallControl", ["NetworkTypes", "SDP", "SIPSyntax", "SIPTransaction"], tests: [])
  + floor(
    "EmbeddedProvider",
    [
      "NetworkTypes", "STUN", "SIPSyntax", "SDP", "SIPTransaction", "SIPDialog", "MediaRelay", "CallControl",
      orderedCollections,
    ], tests: ["NetworkSimulator"])
  + floor(
    "LinkManager",
    [
      "NetworkTypes", "STUN", "SIPSyntax", "SDP", "PortMapping", "SIPTransaction", "NATDiscovery", "SIPDialog",
      "MediaRelay", "CallControl", "EmbeddedProvider", orderedCollections,
    ], tests: [])
  + floor(
    "NetworkSimulator", ["NetworkTypes", "STUN", "PortMapping", "MediaRelay", "EmbeddedProvider", orderedCollections],
    tests: ["CallControl"])

let shells: [Target] =
  [
    .target(name: "CDatagramSockets"), .target(name: "CRouterControl"),
    .target(name: "CDashboard", exclude: ["dashboard.html"]),
    .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
  ]
  + floor("DatagramSockets", ["NetworkTypes", "CDatagramSockets"], tests: [])
  + floor(
    "NIOTransport",
    [
      "NetworkTypes", "SIPSyntax", "STUN", nioCore, .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOTLS", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
    ], tests: [], testFiles: ["Certificates"])
  + floor("STUNServer", ["NetworkTypes", "STUN", "DatagramSockets"], tests: [])
  + floor("MediaEngine", ["NetworkTypes", "MediaRelay", "RTP", "STUN", "DatagramSockets"], tests: [])
  + floor("NameResolver", ["NetworkTypes", "CAres"], tests: ["DatagramSockets"])
  + floor(
    "RouterControl",
    [
      "NetworkTypes", "PortMapping", "CRouterControl", "DatagramSockets", nioCore,
      .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "AsyncHTTPClient", package: "async-http-client"), .product(name: "XMLCoder", package: "XMLCoder"),
    ], tests: [])
  + floor(
    "LinkScenario",
    [
      "NetworkTypes", "SIPSyntax", "SDP", "PortMapping", "NATDiscovery", "CallControl", "MediaRelay",
      "EmbeddedProvider",
      "LinkManager",
      "NetworkSimulator", orderedCollections,
    ])
  + floor(
    "LinkRecording",
    [
      "NetworkTypes", "STUN", "SIPSyntax", "PortMapping", "SIPTransaction", "NATDiscovery", "MediaRelay", "CallControl",
      "LinkManager",
    ], tests: ["LinkScenario", "NetworkSimulator", "EmbeddedProvider"])
  + floor("Store", ["LinkManager", .product(name: "GRDB", package: "GRDB.swift")], tests: [])
  + floor(
    "ControlAPI",
    [
      "CDashboard", "LinkManager", hummingbird, .product(name: "HummingbirdCore", package: "hummingbird"), nioCore,
      logging, serviceLifecycle,
    ], tests: [.product(name: "NIOEmbedded", package: "swift-nio")])
  + floor(
    "TrunklineDaemon",
    [
      "NetworkTypes", "STUN", "SIPSyntax", "FirewallRules", "MediaRelay", "CallControl", "EmbeddedProvider",
      "LinkManager", "NetworkSimulator", "DatagramSockets", "NATDiscovery", "NIOTransport", "MediaEngine",
      "NameResolver", "PortMapping", "RouterControl", "Store", "ControlAPI", "LinkRecording", orderedCollections,
      .product(name: "Yams", package: "Yams"),
      logging,
      serviceLifecycle, .product(name: "UnixSignals", package: "swift-service-lifecycle"),
    ])

let programs: [Target] = [
  .executableTarget(
    name: "trunkline",
    dependencies: [
      "STUN", "STUNServer", "FirewallRules",
      "NetworkTypes", "CallControl", "EmbeddedProvider", "LinkManager", "LinkRecording", "LinkScenario",
      "NetworkSimulator", "NATDiscovery", "DatagramSockets", "NIOTransport", "NameResolver", "RouterControl",
      "ControlAPI",
      "TrunklineDaemon",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "Subprocess", package: "swift-subprocess"),
    ], swiftSettings: settings)
]

let checks: [Target] = [
  .testTarget(
    name: "DaemonTests",
    dependencies: [
      "TrunklineDaemon", "ControlAPI", "LinkManager", "LinkRecording", "LinkScenario", "NetworkSimulator",
      "NetworkTypes",
      "DatagramSockets",
    ], swiftSettings: settings),
  .testTarget(
    name: "ConfigurationTests",
    dependencies: ["TrunklineDaemon", "FirewallRules", "LinkManager", "CallControl", "NetworkTypes"],
    exclude: ["Mistakes", "Notes", "Examples"], swiftSettings: settings),
  .testTarget(
    name: "ScenarioTests",
    dependencies: [
      "LinkScenario", "LinkManager", "NetworkSimulator", "EmbeddedProvider", "NetworkTypes", "SIPSyntax", "STUN",
      "PortMapping", "MediaRelay", "CallControl", orderedCollections,
    ], swiftSettings: settings),
  .target(name: "CRelayFloor", path: "Benchmarks/CRelayFloor"),
  .executableTarget(
    name: "RTPRelayBenchmark",
    dependencies: ["CRelayFloor", "MediaEngine", "MediaRelay", "NetworkTypes", "DatagramSockets"],
    path: "Benchmarks/RTPRelay", swiftSettings: settings),
  .executableTarget(
    name: "SIPParserBenchmark", dependencies: ["SIPSyntax"], path: "Benchmarks/SIPParserBenchmark",
    swiftSettings: settings),
]

let package = Package(
  name: "trunkline",
  products: [
    .executable(name: "trunkline", targets: ["trunkline"]),
    .library(name: "STUN", targets: ["STUN", "NATDiscovery", "NetworkTypes"]),
    .library(name: "SIP", targets: ["SIPSyntax", "SIPTransaction", "SIPDialog", "NetworkTypes"]),
    .library(name: "SDP", targets: ["SDP", "NetworkTypes"]),
    .library(name: "RTP", targets: ["RTP", "MediaRelay", "NetworkTypes"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
    .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
    .package(url: "https://github.com/CoreOffice/XMLCoder.git", from: "0.18.2"),
    .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
  ],
  targets: pure + shells + programs + checks,
  swiftLanguageModes: [.v6]
)
