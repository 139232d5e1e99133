// swift-tools-version: 5.9
import PackageDescription

// version 1.0.0: 1 is that of wristsleep-contract
let package = Package(
    name: "Wristsleep",
    platforms: [.iOS(.v16), .watchOS(.v9), .macOS(.v13)],
    products: [
        .library(name: "Wristsleep", targets: ["Wristsleep"])
    ],
    targets: [
        .target(name: "Wristsleep"),
        .testTarget(name: "WristsleepTests", dependencies: ["Wristsleep"]),
    ]
)
