import Foundation

#if canImport(os)
import os
#endif

/// Warns the developer, in the system's log.
func logWarning(_ message: String) {
    #if canImport(os)
    Logger(subsystem: "dev.wristsleep", category: "SleepStager").warning("\(message, privacy: .public)")
    #else
    FileHandle.standardError.write(Data("SleepStager: \(message)\n".utf8))
    #endif
}
