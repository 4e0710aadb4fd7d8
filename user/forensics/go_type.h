// Type descriptors read from the target's memory: what a key or an element is and where its parts lie. Sources:
// internal/abi/type.go (Type, Name, ArrayType, StructType, ...), runtime/type.go before Go 1.21; Go 1.17 to 1.27.
// Everything is hostile: sizes, counts and pointers are bounded before they are used.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "elf/go_binary.h"
#include "forensics/memory.h"

namespace mapwatch::forensics {

/// What the decoders of types and maps must know of a program: its version, and where its type descriptors and their
/// names lie in memory (moduledata.types and .etypes with the load bias added; 0, 0 when unknown).
struct TypeSpace {
  int minor = 0;
  elf::MapKind maps = elf::MapKind::kBuckets;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The space of a program whose file addresses are moved by `bias` bytes.
TypeSpace type_space(const elf::GoBinary& binary, std::uint64_t bias);

/// abi.Kind.
enum class GoKind : std::uint8_t {
  kInvalid,
  kBool,
  kInt,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kUintptr,
  kFloat32,
  kFloat64,
  kComplex64,
  kComplex128,
  kArray,
  kChan,
  kFunc,
  kInterface,
  kMap,
  kPointer,
  kSlice,
  kString,
  kStruct,
  kUnsafePointer,
};

struct GoField {
  std::string name;
  std::uint64_t type = 0;    ///< address of its descriptor
  std::uint64_t offset = 0;  ///< bytes from the start of the struct
};

struct GoType {
  std::uint64_t address = 0;
  std::uint64_t size = 0;           ///< bytes of a value
  std::uint64_t pointer_bytes = 0;  ///< the prefix that can hold pointers
  GoKind kind = GoKind::kInvalid;
  bool direct_interface = false;  ///< an interface holds the value itself, not a pointer to it
  bool regular_memory = false;    ///< equal and hash treat it as plain bytes
  std::string name;               ///< "map[string]int"; empty when the descriptor's name lies outside of the TypeSpace
  std::uint64_t element = 0;      ///< array, chan, map, pointer, slice: descriptor of the element
  std::uint64_t key = 0;          ///< map
  std::uint64_t length = 0;       ///< array: elements; interface: methods
  std::vector<GoField> fields;    ///< struct
};

/// Reads descriptors once each. Holds at most kMaxTypes of them.
class TypeReader {
 public:
  static constexpr std::size_t kMaxTypes = 4096;
  static constexpr std::uint64_t kMaxFields = 1024;
  /// Nothing larger can be a Go value on linux/amd64.
  static constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 40;

  TypeReader(const Memory& memory, const TypeSpace& space) : memory_(memory), space_(space) {}

  /// The type whose descriptor is at `address`; lives as long as the reader. kMalformed says what is wrong with it.
  Result<const GoType*> at(std::uint64_t address);

  /// Its name; for a type that the program made at run time (reflect.MapOf) one put together from its parts.
  std::string name(const GoType& type);

  const Memory& memory() const { return memory_; }
  const TypeSpace& space() const { return space_; }

 private:
  Result<GoType> read(std::uint64_t address) const;
  Result<void> read_fields(GoType& type) const;
  /// abi.Name at `address`; empty when it cannot be read.
  std::string name_at(std::uint64_t address) const;
  std::string name(std::uint64_t address, int depth);

  const Memory& memory_;
  TypeSpace space_;
  std::unordered_map<std::uint64_t, std::unique_ptr<GoType>> types_;
};

}  // namespace mapwatch::forensics
