import Foundation

@testable import Wristsleep

/// Parts of a vector.
extension JSONValue {
    subscript(_ name: String) -> JSONValue? { members[name] }

    var members: [String: JSONValue] {
        guard case .object(let members) = self else { return [:] }
        return members
    }

    var items: [JSONValue] {
        guard case .list(let items) = self else { return [] }
        return items
    }

    var asText: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }

    /// A number, or one of the texts that stand for what is not finite.
    var asNumber: Double? {
        switch self {
        case .number(let number): return number
        case .text("nan"): return Double.nan
        case .text("inf"): return Double.infinity
        case .text("-inf"): return -Double.infinity
        default: return nil
        }
    }

    /// With another value at a path, or without what is there.
    func with(_ value: JSONValue?, at path: [String]) -> JSONValue {
        guard let name = path.first else { return value ?? .null }
        let rest = Array(path.dropFirst())
        if case .list(var items) = self, let i = Int(name) {
            items[i] = items[i].with(value, at: rest)
            return .list(items)
        }
        var members = self.members
        if rest.isEmpty {
            members[name] = value
        } else {
            members[name] = (members[name] ?? .null).with(value, at: rest)
        }
        return .object(members)
    }

    var json: String {
        switch self {
        case .null: return "null"
        case .boolean(let boolean): return boolean ? "true" : "false"
        case .number(let number): return "\(number)"
        case .text(let text): return JSONValue.quoted(text)
        case .list(let items): return "[" + items.map { $0.json }.joined(separator: ",") + "]"
        case .object(let members):
            let parts: [String] = members.map { name, value in JSONValue.quoted(name) + ":" + value.json }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        return "\"" + escaped + "\""
    }
}
