// Computes the hash of a map's keys as the target would, when it can: which function hashes them is read from the map
// type, the process's random keys from its memory, their address from the code that uses them (stripped or not).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "forensics/go_hash.h"
#include "forensics/map_type.h"

namespace mapwatch::forensics {

/// Where a program's hash keys are, in file addresses.
struct HashKeySite {
  std::uint64_t keys = 0;
  std::uint64_t use_aes = 0;  ///< address of the flag runtime.useAeshash; 0: not found
};

/// From the operands of AESENC and CMPB in runtime.memhash64 and its kin; nullopt when no code has them.
std::optional<HashKeySite> find_hash_keys(const elf::GoBinary& binary);

/// What the map decoders know of the target's hash function.
struct HashSource {
  std::optional<HashKeys> keys;
  std::string missing;  ///< why there are none
  /// Name of the function whose entry is at that run-time address; empty: none is.
  std::function<std::string(std::uint64_t)> function_name;
};

HashSource read_hash_source(const elf::GoBinary& binary, std::uint64_t bias, const Memory& memory);

/// How the keys of one map type are hashed.
class KeyHasher {
 public:
  /// `types` must outlive it.
  KeyHasher(TypeReader& types, const MapType& map, const HashSource& source);

  /// Empty when hashes can be computed; else the reason, as a sentence for the report.
  const std::string& unavailable() const { return unavailable_; }
  /// The hash of the key whose bytes are `key`; nullopt: not for this key (NaN, memory that is not readable, a
  /// dynamic type that this build does not hash).
  std::optional<std::uint64_t> hash(std::span<const std::uint8_t> key, std::uint64_t seed) const;
  /// The hash of a key of type string with these bytes; nullopt when keys of this map are hashed otherwise.
  std::optional<std::uint64_t> string_hash(std::span<const std::uint8_t> text, std::uint64_t seed) const;

 private:
  enum class Method {
    kMemory,
    kMemory32,
    kMemory64,
    kString,
    kFloat32,
    kFloat64,
    kEmptyInterface,
    kInterface,
    kTyped,
    kGenerated
  };

  std::optional<std::uint64_t> string_hash(std::uint64_t data, std::uint64_t length, std::uint64_t seed) const;
  std::optional<std::uint64_t> float_hash(std::span<const std::uint8_t> key, std::uint64_t seed) const;
  std::optional<std::uint64_t> interface_hash(std::span<const std::uint8_t> key, bool methods, std::uint64_t seed,
                                              int depth) const;
  std::optional<std::uint64_t> scalar_hash(const GoType& type, std::span<const std::uint8_t> value, std::uint64_t seed,
                                           int depth) const;
  /// runtime.typehash.
  std::optional<std::uint64_t> typed_hash(const GoType& type, std::span<const std::uint8_t> value, std::uint64_t seed,
                                          int depth) const;
  /// What cmd/compile generates for a struct or array (reflectdata/alg.go, genhash): runs of plain memory as one.
  std::optional<std::uint64_t> generated_hash(const GoType& type, std::span<const std::uint8_t> value,
                                              std::uint64_t seed, int depth) const;
  std::optional<std::uint64_t> parts_hash(const GoType& type, std::span<const std::uint8_t> value, std::uint64_t seed,
                                          bool generated, int depth) const;

  TypeReader& types_;
  const GoType& key_;
  std::optional<HashKeys> keys_;
  std::string unavailable_;
  Method method_ = Method::kMemory;
  std::uint64_t size_ = 0;  ///< bytes that kMemory hashes
  mutable int steps_ = 0;   ///< parts of the key at hand
};

}  // namespace mapwatch::forensics
