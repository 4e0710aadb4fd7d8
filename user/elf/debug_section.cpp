#include "elf/debug_section.h"

#include <elf.h>
#include <zlib.h>

#include <algorithm>

namespace mapwatch::elf {

struct DebugSection::Inflater {
  static constexpr std::size_t kPiece = std::size_t{64} << 10;
  z_stream stream{};
  bool open = false;

  explicit Inflater(Bytes compressed) {
    // zlib's input pointer is not const, but it does not write through it.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(std::min<std::size_t>(compressed.size(), 0xffffffffU));
    open = inflateInit(&stream) == Z_OK;
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool read(std::size_t count, std::vector<std::byte>& out) {
    while (open && count > 0) {  // most sections of abbreviations are some hundred bytes
      const std::size_t before = out.size();
      const std::size_t piece = std::min(count, kPiece);
      out.resize(before + piece);
      stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream.avail_out = static_cast<uInt>(piece);
      const int status = inflate(&stream, Z_SYNC_FLUSH);
      out.resize(out.size() - stream.avail_out);
      open = status == Z_OK && stream.avail_out == 0;
      count -= piece;
    }
    return open;
  }
};

DebugSection::DebugSection(Bytes plain, std::unique_ptr<Inflater> inflater)
    : plain_(plain), inflater_(std::move(inflater)) {}
DebugSection::DebugSection(DebugSection&&) noexcept = default;
DebugSection& DebugSection::operator=(DebugSection&&) noexcept = default;
DebugSection::~DebugSection() = default;

std::optional<DebugSection> DebugSection::open(const Image& image, const std::string& name) {
  if (const Section* section = image.section(".debug_" + name)) {
    const auto bytes = image.contents(*section);
    if (!bytes || (section->flags & SHF_COMPRESSED) == 0) {
      return bytes ? std::optional(DebugSection(*bytes, nullptr)) : std::nullopt;
    }
    const auto header = bytes->read<Elf64_Chdr>(0);
    if (!header || header->ch_type != ELFCOMPRESS_ZLIB) {
      return std::nullopt;
    }
    return DebugSection(Bytes(), std::make_unique<Inflater>(*bytes->from(sizeof(Elf64_Chdr))));
  }
  constexpr std::string_view kZlib = "ZLIB";
  constexpr std::size_t kZlibHeader = 12;  // "ZLIB", then the size in 8 big-endian bytes
  const Section* section = image.section(".zdebug_" + name);
  const auto bytes = section == nullptr ? std::nullopt : image.contents(*section);
  if (!bytes || bytes->size() < kZlibHeader || !bytes->text().starts_with(kZlib)) {
    return std::nullopt;
  }
  return DebugSection(Bytes(), std::make_unique<Inflater>(*bytes->from(kZlibHeader)));
}

bool DebugSection::read(std::size_t count, std::vector<std::byte>& out) {
  if (inflater_ != nullptr) {
    return inflater_->read(count, out);
  }
  count = std::min(count, plain_.size());
  out.insert(out.end(), plain_.data(), plain_.data() + count);
  plain_ = *plain_.from(count);
  return !plain_.empty();
}

}  // namespace mapwatch::elf
