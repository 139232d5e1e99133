import Foundation

#if canImport(CryptoKit)
import CryptoKit

/// SHA-256 in hex.
func sha256(_ content: Data) -> String {
    hex(Array(SHA256.hash(data: content)))
}
#else
/// SHA-256 in hex. Where there is no CryptoKit: on Linux, where this package's tests run as well.
func sha256(_ content: Data) -> String {
    var state: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
    var message: [UInt8] = Array(content)
    let bits = UInt64(message.count) * 8
    message.append(0x80)
    while message.count % 64 != 56 {
        message.append(0)
    }
    for i in 0..<8 {
        message.append(UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * i)))
    }
    for begin in stride(from: 0, to: message.count, by: 64) {
        addBlock(message, begin, to: &state)
    }
    var digest: [UInt8] = []
    for word in state {
        for i in 0..<4 {
            digest.append(UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * i)))
        }
    }
    return hex(digest)
}

private func addBlock(_ message: [UInt8], _ begin: Int, to state: inout [UInt32]) {
    var words = [UInt32](repeating: 0, count: 64)
    for i in 0..<16 {
        for j in 0..<4 {
            words[i] = (words[i] << 8) | UInt32(message[begin + 4 * i + j])
        }
    }
    for i in 16..<64 {
        let a = words[i - 15]
        let b = words[i - 2]
        let small = rotated(a, 7) ^ rotated(a, 18) ^ (a >> 3)
        let great = rotated(b, 17) ^ rotated(b, 19) ^ (b >> 10)
        words[i] = words[i - 16] &+ small &+ words[i - 7] &+ great
    }
    var s = state
    for i in 0..<64 {
        let great = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)
        let choice = (s[4] & s[5]) ^ (~s[4] & s[6])
        let first = s[7] &+ great &+ choice &+ rounds[i] &+ words[i]
        let small = rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)
        let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])
        s = [first &+ small &+ majority, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
    }
    for i in 0..<8 {
        state[i] = state[i] &+ s[i]
    }
}

private func rotated(_ word: UInt32, _ bits: UInt32) -> UInt32 {
    (word >> bits) | (word << (32 - bits))
}

private let rounds: [UInt32] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]
#endif

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String(format: "%02x", $0) }.joined()
}
