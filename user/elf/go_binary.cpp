#include "elf/go_binary.h"

#include <elf.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "elf/buildinfo.h"
#include "elf/dwarf.h"
#include "elf/frames.h"
#include "elf/image.h"
#include "elf/moduledata.h"
#include "elf/name_index.h"
#include "elf/offsets.h"
#include "elf/pclntab.h"
#include "elf/pointer_search.h"
#include "elf/runtime_globals.h"
#include "elf/runtime_layout.h"
#include "elf/types.h"
#include "elf/variables.h"

namespace mapwatch::elf {
namespace {

constexpr int kOldestMinor = 17;
// A file that embeds other Go programs has more than one pclntab; these many are tried.
constexpr std::size_t kMaxTables = 16;
// Steps through one pc-value table; the largest real functions need some 100,000.
constexpr std::size_t kMaxUnwindSteps = 1'000'000;
constexpr std::uint32_t kGoBuildIdNote = 4;  // cmd/internal/buildid: note "Go", type 4

/// A pclntab, and what can only be known together with it.
struct Tables {
  PclnTable pcln;
  std::optional<ModuleData> module;
  std::vector<Function> functions;
};

Result<Tables> read_tables(const Image& image, std::uint64_t address, const ModuleLayout& layout) {
  PclnTable pcln = TRY(PclnTable::parse(image, address));
  std::optional<ModuleData> module = find_module_data(image, pcln, layout);
  std::uint64_t text_start = pcln.header_text_start();
  if (text_start == 0 && module) {
    text_start = module->text;
  }
  if (text_start == 0) {
    const Section* text = image.section(".text");
    text_start = text == nullptr ? 0 : text->address;
  }
  std::vector<Function> functions = TRY(pcln.functions(image, text_start));
  return Tables{std::move(pcln), module, std::move(functions)};
}

/// The first table that moduledata confirms, else the first that is sound.
Result<Tables> find_tables(const Image& image, const ModuleLayout& layout) {
  std::optional<Tables> sound;
  std::optional<Error> first_error;
  for (const std::uint64_t address : pclntab_candidates(image, kMaxTables)) {
    auto tables = read_tables(image, address, layout);
    if (!tables) {
      first_error = first_error.value_or(tables.error());
    } else if (tables->module) {
      return std::move(*tables);
    } else if (!sound) {
      sound = std::move(*tables);
    }
  }
  if (sound) {
    return std::move(*sound);
  }
  return tl::unexpected(
      first_error.value_or(Error{ErrorKind::kMalformed, "no Go pclntab: the functions cannot be found", {}}));
}

bool has_setting(const BuildInfo& info, std::string_view key, std::string_view part) {
  return std::ranges::any_of(info.settings, [&](const auto& setting) {
    return setting.first == key && setting.second.find(part) != std::string::npos;
  });
}

/// By version and experiment; what is linked in decides in the end (see has_swiss_maps).
MapKind declared_map_kind(const BuildInfo& info) {
  constexpr std::string_view kOldMaps = "noswissmap";
  const bool old = info.version.text.find(kOldMaps) != std::string::npos || has_setting(info, "GOEXPERIMENT", kOldMaps);
  return info.version.minor >= 24 && !old ? MapKind::kSwiss : MapKind::kBuckets;
}

bool has_swiss_maps(std::span<const Function> functions) {
  return std::ranges::any_of(functions, [](const Function& function) {
    return function.name.starts_with("internal/runtime/maps.(*Map).") ||
           function.name.starts_with("internal/runtime/maps.(*Iter).");
  });
}

std::string read_build_id(const Image& image) {
  if (const auto id = image.note("GNU", NT_GNU_BUILD_ID)) {
    std::string hex;
    for (const std::byte byte : id->span()) {
      hex += fmt::format("{:02x}", static_cast<unsigned>(byte));
    }
    return hex;
  }
  const auto id = image.note("Go", kGoBuildIdNote);
  return id ? std::string(id->text()) : std::string();
}

}  // namespace

struct GoBinary::Impl {
  Image image;
  BuildInfo info;
  BuildTraits traits;
  MapKind map_kind;
  Offsets table;
  std::string build_id;
  PclnTable pcln;
  std::optional<ModuleData> module;
  std::vector<Function> functions;
  NameIndex names;
  std::once_flag asked = {};
  Offsets offsets = {};  ///< once asked for

  std::optional<std::size_t> index_at(std::uint64_t address) const {
    const auto after = std::ranges::upper_bound(functions, address, {}, &Function::entry);
    if (after == functions.begin()) {
      return std::nullopt;
    }
    const auto index = static_cast<std::size_t>(after - functions.begin() - 1);
    return address < functions[index].end ? std::optional(index) : std::nullopt;
  }
};

GoBinary::GoBinary(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GoBinary::GoBinary(GoBinary&&) noexcept = default;
GoBinary& GoBinary::operator=(GoBinary&&) noexcept = default;
GoBinary::~GoBinary() = default;

Result<GoBinary> GoBinary::parse(Bytes file) {
  Image image = TRY(Image::parse(file));
  BuildInfo info = TRY(elf::read_build_info(image));
  if (info.version.minor < kOldestMinor) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{} is older than 1.17: its map functions take arguments on the stack", info.version.text),
                "rebuild the program with Go 1.17 or newer");
  }
  const MapKind declared = declared_map_kind(info);
  Tables tables = TRY(find_tables(image, table_offsets(info.version.minor, declared).module));
  const MapKind kind = info.version.minor < 24            ? MapKind::kBuckets
                       : has_swiss_maps(tables.functions) ? MapKind::kSwiss
                                                          : declared;
  NameIndex names(tables.functions);
  const auto has = [&](std::string_view name) { return names.find(name, tables.functions).has_value(); };
  BuildTraits traits;
  traits.stripped = !image.has_symbol_table();
  traits.pie = image.position_independent();
  traits.cgo = has("crosscall2");  // runtime/cgo/asm_amd64.s
  traits.dwarf = image.section(".debug_info") != nullptr || image.section(".zdebug_info") != nullptr;
  traits.race = has_setting(info, "-race", "true") || has("runtime.racefuncenter");  // runtime/race_amd64.s
  Offsets table = table_offsets(info.version.minor, kind).offsets;
  if (info.version.development) {
    table.source = OffsetSource::kUnverified;
  }
  std::string build_id = read_build_id(image);
  return GoBinary(std::unique_ptr<Impl>(new Impl{std::move(image), std::move(info), traits, kind, table,
                                                 std::move(build_id), std::move(tables.pcln), tables.module,
                                                 std::move(tables.functions), std::move(names)}));
}

const GoVersion& GoBinary::version() const { return impl_->info.version; }
const BuildTraits& GoBinary::traits() const { return impl_->traits; }
MapKind GoBinary::map_kind() const { return impl_->map_kind; }
const Offsets& GoBinary::offsets() const {
  std::call_once(impl_->asked, [this] {
    impl_->offsets = dwarf_offsets(impl_->image, impl_->map_kind, impl_->table).value_or(impl_->table);
  });
  return impl_->offsets;
}
bool GoBinary::unverified() const {
  return impl_->info.version.minor > newest_known_minor() || impl_->info.version.development;
}
const std::string& GoBinary::build_id() const { return impl_->build_id; }
const std::string& GoBinary::main_path() const { return impl_->info.path; }
std::size_t GoBinary::heap_bytes() const {
  return sizeof(Impl) + impl_->functions.capacity() * sizeof(Function) + impl_->names.heap_bytes();
}

std::span<const Function> GoBinary::functions() const { return impl_->functions; }

std::optional<Function> GoBinary::find(std::string_view name) const {
  const auto index = impl_->names.find(name, impl_->functions);
  return index ? std::optional(impl_->functions[*index]) : std::nullopt;
}

std::optional<Function> GoBinary::at(std::uint64_t address) const {
  const auto index = impl_->index_at(address);
  return index ? std::optional(impl_->functions[*index]) : std::nullopt;
}

std::optional<Bytes> GoBinary::code(std::uint64_t begin, std::uint64_t end) const {
  if (end < begin || !impl_->image.executable(begin)) {
    return std::nullopt;
  }
  return impl_->image.at(begin, end - begin);
}

std::optional<std::uint64_t> GoBinary::file_offset(std::uint64_t address) const {
  return impl_->image.code_offset(address);
}

std::vector<MappedBytes> GoBinary::executable_segments() const {
  std::vector<MappedBytes> segments;
  for (const Segment& segment : impl_->image.loads()) {
    if (segment.executable) {
      segments.push_back({segment.address, impl_->image.at(segment.address, segment.file_size).value_or(Bytes())});
    }
  }
  return segments;
}

Result<std::vector<Pointer>> GoBinary::pointers_to(std::span<const std::uint64_t> targets) const {
  const AddressRange apart[] = {{impl_->pcln.address(), impl_->pcln.end_address()},
                                {impl_->functions.front().entry, impl_->functions.back().end},
                                impl_->image.relocations().range()};
  return find_pointers(impl_->image, impl_->module, apart, targets);
}

std::uint64_t GoBinary::first_load_address() const { return impl_->image.first_load_address(); }

std::vector<SourceFrame> GoBinary::frames(std::uint64_t address) const {
  const auto index = impl_->index_at(address);
  if (!index) {
    return {};
  }
  return expand_frames(impl_->image, impl_->pcln, impl_->functions[*index], *index,
                       impl_->module ? impl_->module->gofunc : 0, address, wrapper_func_id(impl_->info.version.minor));
}

std::optional<UnwindRow> GoBinary::unwind_row(std::uint64_t address) const {
  const auto index = impl_->index_at(address);
  const auto record = index ? impl_->pcln.record(impl_->image, *index) : std::nullopt;
  if (!record) {
    return std::nullopt;
  }
  UnwindRow row;
  row.function = impl_->functions[*index];
  row.top = (record->flags & kTopFrame) != 0;
  row.writes_sp = (record->flags & kWritesSp) != 0;
  row.assembly = (record->flags & kAssembly) != 0;
  std::size_t steps = kMaxUnwindSteps;
  const auto delta = impl_->pcln.value(record->pcsp, address - row.function.entry, steps);
  // The compiler's frames are below 2 GiB (cmd/internal/obj); a negative distance is a corrupt table.
  if (delta && *delta >= 0) {
    row.sp_delta = static_cast<std::uint32_t>(*delta);
  }
  return row;
}

RuntimeLayout GoBinary::runtime_layout() const {
  return read_runtime_layout(impl_->image, impl_->info.version.minor, unverified());
}

RuntimeGlobals GoBinary::runtime_globals() const {
  return find_runtime_globals(impl_->image, impl_->module, [this](std::string_view name) { return find(name); });
}

Result<std::string> GoBinary::type_name(std::uint64_t address) const {
  if (!impl_->module) {
    return fail(ErrorKind::kMalformed, "no Go moduledata: types cannot be named");
  }
  return read_type_name(impl_->image, *impl_->module, address);
}

std::optional<AddressRange> GoBinary::type_range() const {
  return impl_->module ? std::optional(AddressRange{impl_->module->types, impl_->module->etypes}) : std::nullopt;
}

std::vector<AddressRange> GoBinary::variable_ranges() const { return elf::variable_ranges(impl_->image); }

Variable GoBinary::variable_at(std::uint64_t address) const { return elf::variable_at(impl_->image, address); }

std::vector<Function> GoBinary::functions_referring_to(std::uint64_t address, std::size_t most) const {
  return elf::functions_referring_to(impl_->image, address, most, [this](std::uint64_t place) { return at(place); });
}

std::string read_build_id(Bytes file) {
  const auto image = Image::parse(file);
  return image ? read_build_id(*image) : std::string();
}

}  // namespace mapwatch::elf
