#include "forensics/key_hasher.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

// runtime/alg.go for 64-bit systems.
constexpr std::uint64_t kC0 = 33054211828000289ULL;
constexpr std::uint64_t kC1 = 23344194077549503ULL;
constexpr std::uint64_t kMaxString = 64 * 1024;  // longer keys are not read only to be hashed
constexpr std::uint64_t kMaxKey = 64 * 1024;
constexpr int kDepth = 8;        // of structs, arrays and interfaces within each other
constexpr int kMaxSteps = 1024;  // parts of one key: types that lie could have any number of them

struct Operand {
  std::uint64_t address = 0;
  std::size_t next = 0;  ///< offset of the following instruction
};

/// `opcode... [rip + disp32]` at `offset`, followed by `immediate` more bytes.
std::optional<Operand> rip_operand(Bytes code, std::uint64_t entry, std::size_t offset, std::size_t immediate) {
  const auto displacement = code.read<std::int32_t>(offset);
  if (!displacement) {
    return std::nullopt;
  }
  const std::size_t next = offset + 4 + immediate;
  return Operand{entry + next + static_cast<std::uint64_t>(static_cast<std::int64_t>(*displacement)), next};
}

/// AESENC xmm, [rip+x] is 66 [REX] 0F 38 DC modrm; VAESENC is C4 E2|62 vvvv DC modrm (Intel SDM, AESENC).
std::optional<Operand> aesenc_operand(Bytes code, std::uint64_t entry, std::size_t at) {
  const auto byte = [&](std::size_t i) { return code.read<std::uint8_t>(at + i).value_or(0); };
  const auto rip_relative = [](std::uint8_t modrm) { return (modrm & 0xc7) == 0x05; };
  if (byte(0) == 0x66) {
    const std::size_t rex = (byte(1) & 0xf0) == 0x40 ? 1 : 0;
    if (byte(1 + rex) == 0x0f && byte(2 + rex) == 0x38 && byte(3 + rex) == 0xdc && rip_relative(byte(4 + rex))) {
      return rip_operand(code, entry, at + 5 + rex, 0);
    }
  }
  if (byte(0) == 0xc4 && (byte(1) & 0x1f) == 0x02 && byte(3) == 0xdc && rip_relative(byte(4))) {
    return rip_operand(code, entry, at + 5, 0);
  }
  return std::nullopt;
}

/// The first of three operands 16 bytes apart, as memhash64 uses its keys.
std::optional<std::uint64_t> keys_in(Bytes code, std::uint64_t entry) {
  std::vector<std::uint64_t> operands;
  for (std::size_t at = 0; at < code.size(); ++at) {
    if (const auto operand = aesenc_operand(code, entry, at)) {
      operands.push_back(operand->address);
    }
  }
  for (const std::uint64_t first : operands) {
    const auto has = [&](std::uint64_t address) { return std::ranges::find(operands, address) != operands.end(); };
    if (has(first + 16) && has(first + 32)) {
      return first;
    }
  }
  return std::nullopt;
}

/// CMPB [rip+x], 0: 80 3D disp32 00.
std::optional<std::uint64_t> flag_in(Bytes code, std::uint64_t entry) {
  for (std::size_t at = 0; at + 7 <= code.size(); ++at) {
    if (*code.read<std::uint8_t>(at) == 0x80 && *code.read<std::uint8_t>(at + 1) == 0x3d &&
        *code.read<std::uint8_t>(at + 6) == 0) {
      return rip_operand(code, entry, at + 2, 1)->address;
    }
  }
  return std::nullopt;
}

std::uint64_t word_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  std::uint64_t word;
  std::memcpy(&word, bytes.data() + offset, sizeof word);
  return word;
}

std::uint32_t half_word(std::span<const std::uint8_t> bytes) {
  std::uint32_t word;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

/// runtime.typehash of plain memory: words of 4 and 8 bytes have functions of their own.
std::uint64_t plain_hash(const HashKeys& keys, std::span<const std::uint8_t> value, std::uint64_t seed) {
  switch (value.size()) {
    case 4:
      return go_memhash32(keys, seed, half_word(value));
    case 8:
      return go_memhash64(keys, seed, word_at(value, 0));
    default:
      return go_memhash(keys, seed, value);
  }
}

}  // namespace

std::optional<HashKeySite> find_hash_keys(const elf::GoBinary& binary) {
  HashKeySite site;
  for (const char* name : {"runtime.memhash64", "internal/runtime/maps.memHash64AES", "internal/runtime/maps.MemHash64",
                           "runtime.memhash32", "internal/runtime/maps.memHash32AES"}) {
    const auto function = binary.find(name);
    const auto code = function ? binary.code(function->entry, function->end) : std::nullopt;
    if (!code) {
      continue;
    }
    if (site.use_aes == 0) {
      site.use_aes = flag_in(*code, function->entry).value_or(0);
    }
    if (site.keys == 0) {
      site.keys = keys_in(*code, function->entry).value_or(0);
    }
  }
  return site.keys == 0 ? std::nullopt : std::optional(site);
}

HashSource read_hash_source(const elf::GoBinary& binary, std::uint64_t bias, const Memory& memory) {
  HashSource source;
  source.function_name = [&binary, bias](std::uint64_t address) {
    const auto function = binary.at(address - bias);
    return function && function->entry == address - bias ? std::string(function->name) : std::string();
  };
  const auto site = find_hash_keys(binary);
  HashKeys keys;
  if (!site) {
    source.missing = "the hash keys were not found in the binary's code";
  } else if (site->use_aes != 0 && memory.get<std::uint8_t>(site->use_aes + bias).value_or(0) == 0) {
    source.missing = "the process hashes without AES instructions";
  } else if (!memory.read(site->keys + bias, keys)) {
    source.missing = "the hash keys are not readable";
  } else {
    source.keys = keys;
  }
  return source;
}

KeyHasher::KeyHasher(TypeReader& types, const MapType& map, const HashSource& source) : types_(types), key_(*map.key) {
  if (!source.keys) {
    unavailable_ = source.missing.empty() ? "the hash keys are not known" : source.missing;
    return;
  }
  const std::uint64_t code = types.memory().word(map.hasher).value_or(0);
  const std::string name = source.function_name ? source.function_name(code) : std::string();
  const auto memory = [&](std::uint64_t size) {
    method_ = Method::kMemory;
    size_ = size;
  };
  if (name == "runtime.memhash8") {
    memory(1);
  } else if (name == "runtime.memhash16") {
    memory(2);
  } else if (name == "runtime.memhash128") {
    memory(16);
  } else if (name == "runtime.memhash32") {
    method_ = Method::kMemory32;
  } else if (name == "runtime.memhash64") {
    method_ = Method::kMemory64;
  } else if (name == "runtime.memhash_varlen") {
    memory(types.memory().word(map.hasher + 8).value_or(0));  // the closure holds the size
  } else if (name == "runtime.strhash") {
    method_ = Method::kString;
  } else if (name == "runtime.f32hash") {
    method_ = Method::kFloat32;
  } else if (name == "runtime.f64hash") {
    method_ = Method::kFloat64;
  } else if (name == "runtime.nilinterhash") {
    method_ = Method::kEmptyInterface;
  } else if (name == "runtime.interhash") {
    method_ = Method::kInterface;
  } else if (name.starts_with("reflect.MapOf.func")) {
    method_ = Method::kTyped;
  } else if (name.starts_with("type..hash.") || name.starts_with("type:.hash.")) {
    method_ = Method::kGenerated;
  } else {
    unavailable_ = name.empty() ? fmt::format("no function is at the hasher's address {:#x}", code)
                                : fmt::format("keys are hashed by {}, which this mapwatch does not compute", name);
    return;
  }
  if (method_ == Method::kMemory && (size_ > map.key->size || size_ > kMaxKey)) {
    unavailable_ = fmt::format("the hasher's closure claims {} bytes of a key of {}", size_, map.key->size);
    return;
  }
  keys_ = source.keys;
}

std::optional<std::uint64_t> KeyHasher::hash(std::span<const std::uint8_t> key, std::uint64_t seed) const {
  constexpr std::array<std::size_t, 10> kNeeds = {0, 4, 8, 16, 4, 8, 16, 16, 0, 0};
  if (!keys_ || key.size() < std::max<std::size_t>(kNeeds[static_cast<std::size_t>(method_)], size_)) {
    return std::nullopt;
  }
  steps_ = 0;
  switch (method_) {
    case Method::kMemory:
      return go_memhash(*keys_, seed, key.first(size_));
    case Method::kMemory32:
      return go_memhash32(*keys_, seed, half_word(key));
    case Method::kMemory64:
      return go_memhash64(*keys_, seed, word_at(key, 0));
    case Method::kString:
      return string_hash(word_at(key, 0), word_at(key, 8), seed);
    case Method::kFloat32:
      return float_hash(key.first(4), seed);
    case Method::kFloat64:
      return float_hash(key.first(8), seed);
    case Method::kEmptyInterface:
      return interface_hash(key, false, seed, kDepth);
    case Method::kInterface:
      return interface_hash(key, true, seed, kDepth);
    case Method::kTyped:
      return typed_hash(key_, key, seed, kDepth);
    case Method::kGenerated:
      return generated_hash(key_, key, seed, kDepth);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> KeyHasher::string_hash(std::span<const std::uint8_t> text, std::uint64_t seed) const {
  return keys_ && method_ == Method::kString ? std::optional(go_memhash(*keys_, seed, text)) : std::nullopt;
}

std::optional<std::uint64_t> KeyHasher::string_hash(std::uint64_t data, std::uint64_t length,
                                                    std::uint64_t seed) const {
  if (length > kMaxString) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 256> small;
  std::vector<std::uint8_t> large(length > small.size() ? length : 0);
  const std::span<std::uint8_t> bytes = large.empty() ? std::span(small).first(length) : std::span(large);
  if (length != 0 && !types_.memory().read(data, bytes)) {
    return std::nullopt;
  }
  return go_memhash(*keys_, seed, bytes);
}

std::optional<std::uint64_t> KeyHasher::float_hash(std::span<const std::uint8_t> key, std::uint64_t seed) const {
  double value = 0;
  if (key.size() == 4) {
    float narrow;
    std::memcpy(&narrow, key.data(), 4);
    value = static_cast<double>(narrow);
  } else {
    std::memcpy(&value, key.data(), 8);
  }
  if (std::isnan(value)) {
    return std::nullopt;  // its hash is a random number
  }
  return value == 0 ? kC1 * (kC0 ^ seed) : go_memhash(*keys_, seed, key);
}

std::optional<std::uint64_t> KeyHasher::interface_hash(std::span<const std::uint8_t> key, bool methods,
                                                       std::uint64_t seed, int depth) const {
  std::uint64_t descriptor = word_at(key, 0);
  if (descriptor == 0) {
    return seed;
  }
  if (methods) {
    descriptor = types_.memory().word(descriptor + 8).value_or(0);  // abi.ITab: Inter 0, Type 8
  }
  const auto type = types_.at(descriptor);
  if (!type || (*type)->size > kMaxKey) {
    return std::nullopt;
  }
  std::optional<std::uint64_t> inner;
  if ((*type)->direct_interface) {
    inner = typed_hash(**type, key.subspan(8, 8), seed ^ kC0, depth - 1);
  } else {
    std::vector<std::uint8_t> value((*type)->size);
    if (!types_.memory().read(word_at(key, 8), value)) {
      return std::nullopt;
    }
    inner = typed_hash(**type, value, seed ^ kC0, depth - 1);
  }
  return inner ? std::optional(kC1 * *inner) : std::nullopt;
}

std::optional<std::uint64_t> KeyHasher::typed_hash(const GoType& type, std::span<const std::uint8_t> value,
                                                   std::uint64_t seed, int depth) const {
  if (value.size() < type.size || depth <= 0 || ++steps_ > kMaxSteps) {
    return std::nullopt;
  }
  value = value.first(type.size);
  if (type.regular_memory) {
    return plain_hash(*keys_, value, seed);
  }
  switch (type.kind) {
    case GoKind::kStruct:
    case GoKind::kArray:
      return parts_hash(type, value, seed, false, depth);
    default:
      return scalar_hash(type, value, seed, depth);
  }
}

std::optional<std::uint64_t> KeyHasher::generated_hash(const GoType& type, std::span<const std::uint8_t> value,
                                                       std::uint64_t seed, int depth) const {
  if (value.size() < type.size || depth <= 0 || ++steps_ > kMaxSteps) {
    return std::nullopt;
  }
  value = value.first(type.size);
  const bool parts = type.kind == GoKind::kStruct || type.kind == GoKind::kArray;
  return parts ? parts_hash(type, value, seed, true, depth) : scalar_hash(type, value, seed, depth);
}

std::optional<std::uint64_t> KeyHasher::scalar_hash(const GoType& type, std::span<const std::uint8_t> value,
                                                    std::uint64_t seed, int depth) const {
  switch (type.kind) {
    case GoKind::kString:
      return value.size() >= 16 ? string_hash(word_at(value, 0), word_at(value, 8), seed) : std::nullopt;
    case GoKind::kFloat32:
    case GoKind::kFloat64:
      return value.size() == 4 || value.size() == 8 ? float_hash(value, seed) : std::nullopt;
    case GoKind::kInterface:
      return value.size() >= 16 ? interface_hash(value, type.length != 0, seed, depth - 1) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<std::uint64_t> KeyHasher::parts_hash(const GoType& type, std::span<const std::uint8_t> value,
                                                   std::uint64_t seed, bool generated, int depth) const {
  const auto part_hash = [&](const GoType& part, std::span<const std::uint8_t> bytes, std::uint64_t from) {
    return generated ? generated_hash(part, bytes, from, depth - 1) : typed_hash(part, bytes, from, depth - 1);
  };
  std::optional<std::uint64_t> hash = seed;
  if (type.kind == GoKind::kArray) {
    const auto part = types_.at(type.element);
    if (!part || (*part)->size == 0 || type.length > value.size() / (*part)->size) {
      return std::nullopt;
    }
    for (std::uint64_t i = 0; hash && i < type.length; ++i) {
      hash = part_hash(**part, value.subspan(i * (*part)->size), *hash);
    }
    return hash;
  }
  for (std::size_t i = 0; hash && i < type.fields.size(); ++i) {
    const GoField& field = type.fields[i];
    const auto part = types_.at(field.type);
    if (!part || field.offset > value.size()) {
      return std::nullopt;
    }
    if (field.name == "_") {
      continue;
    }
    if (!generated || !(*part)->regular_memory) {
      hash = part_hash(**part, value.subspan(field.offset), *hash);
      continue;
    }
    std::uint64_t end = field.offset + (*part)->size;
    while (i + 1 < type.fields.size() && type.fields[i + 1].offset == end && type.fields[i + 1].name != "_") {
      const auto next = types_.at(type.fields[i + 1].type);
      if (!next || !(*next)->regular_memory) {
        break;
      }
      end += (*next)->size;
      ++i;
    }
    if (end > value.size()) {
      return std::nullopt;
    }
    const auto run = value.subspan(field.offset, end - field.offset);
    // Go 1.27 hashes runs of 4 and 8 bytes as words; before, all runs were hashed as memory.
    hash = types_.space().minor >= 27 ? plain_hash(*keys_, run, *hash) : go_memhash(*keys_, *hash, run);
  }
  return hash;
}

}  // namespace mapwatch::forensics
