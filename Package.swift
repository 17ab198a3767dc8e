// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "trunkline",
  products: [.library(name: "NetworkTypes", targets: ["NetworkTypes"])],
  targets: [
    .target(name: "NetworkTypes", swiftSettings: settings),
    .testTarget(name: "NetworkTypesTests", dependencies: ["NetworkTypes"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
