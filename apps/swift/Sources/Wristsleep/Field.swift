import Foundation

let contractFile = "contract.json"
private let mostValues = 10_000_000  // of a tensor; also of any size, so that products fit a watch's 32-bit Int

/// A value of a JSON document.
enum JSONValue: Decodable, Equatable {
    case null
    case boolean(Bool)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// As a message shows it.
    var description: String {
        switch self {
        case .null: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .number(let value): return "\(value)"
        case .text(let value): return "'\(value)'"
        case .list: return "a list"
        case .object: return "an object"
        }
    }
}

/// A value of contract.json with the path of its field, for messages.
struct Field {
    let path: String
    let value: JSONValue

    /// A required field.
    func get(_ name: String) throws -> Field {
        guard let found = try find(name) else {
            throw StagerError(.unsupportedContract, "\(contractFile): \(below(name)): missing")
        }
        return found
    }

    /// An optional field; nil if absent.
    func find(_ name: String) throws -> Field? {
        guard let found = try members()[name], found != .null else { return nil }
        return Field(path: below(name), value: found)
    }

    func entries() throws -> [String: Field] {
        var found: [String: Field] = [:]
        for (name, value) in try members() {
            found[name] = Field(path: below(name), value: value)
        }
        return found
    }

    func list() throws -> [Field] {
        guard case .list(let values) = value else { throw expected("a list") }
        var found: [Field] = []
        for (i, value) in values.enumerated() {
            found.append(Field(path: below("\(i)"), value: value))
        }
        return found
    }

    func text() throws -> String {
        guard case .text(let text) = value else { throw expected("text") }
        return text
    }

    func boolean() throws -> Bool {
        guard case .boolean(let boolean) = value else { throw expected("true or false") }
        return boolean
    }

    func number() throws -> Double {
        guard case .number(let number) = value, number.isFinite else { throw expected("a number") }
        return number
    }

    /// A positive whole number.
    func size() throws -> Int {
        let number = try self.number()
        guard number.rounded() == number && number >= 1 && number <= Double(mostValues) else {
            throw expected("a whole number above 0")
        }
        return Int(number)
    }

    /// Product of a list of whole numbers above 0.
    func tensorSize() throws -> Int {
        var size = 1
        for length in try list() {
            let (product, overflow) = size.multipliedReportingOverflow(by: try length.size())
            if overflow || product > mostValues { throw wrong("too many values") }
            size = product
        }
        return size
    }

    /// Numbers of a number or a nested list, in order.
    func numbers() throws -> [Double] {
        guard case .list = value else { return [try number()] }
        var found: [Double] = []
        for item in try list() {
            found.append(contentsOf: try item.numbers())
        }
        return found
    }

    /// Least and greatest value.
    func range() throws -> ClosedRange<Double> {
        let limits = try numbers()
        guard limits.count == 2 && limits[0] <= limits[1] else { throw wrong("expected least and greatest value") }
        return limits[0]...limits[1]
    }

    /// A number that the format fixes; any other is an error.
    func constant(_ expected: Double) throws -> Double {
        let number = try self.number()
        guard number == expected else { throw wrong("\(number), expected \(expected)") }
        return number
    }

    /// Least and greatest value, where the format fixes them.
    func constant(_ expected: ClosedRange<Double>) throws -> ClosedRange<Double> {
        let limits = try range()
        guard limits == expected else { throw wrong("\(limits), expected \(expected)") }
        return limits
    }

    /// The error that refuses the contract for this field.
    func wrong(_ what: String) -> StagerError {
        StagerError(.unsupportedContract, "\(contractFile): \(path.isEmpty ? "all of it" : path): \(what)")
    }

    private func expected(_ what: String) -> StagerError {
        wrong("expected \(what), got \(value.description)")
    }

    private func members() throws -> [String: JSONValue] {
        guard case .object(let members) = value else { throw expected("an object") }
        return members
    }

    private func below(_ name: String) -> String {
        path.isEmpty ? name : "\(path).\(name)"
    }
}
