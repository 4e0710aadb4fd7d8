#include "app/program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "attach/kernel.h"

namespace mapwatch::app {

namespace {

constexpr std::size_t kMaxFiles = 4;     // copies of one program whose contents may be asked for
constexpr std::size_t kMaxCompared = 4;  // programs of one build id that a new file is compared with

UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

bool reads(int fd, std::vector<char>& out, std::int64_t at) {
  return ::pread(fd, out.data(), out.size(), at) == static_cast<ssize_t>(out.size());
}

/// From the end on: what was appended to a program is found to differ at once.
bool same_bytes(int one, int other, std::int64_t size) {
  constexpr std::int64_t kPiece = 256 << 10;
  std::vector<char> a;
  std::vector<char> b;
  for (std::int64_t end = size; end > 0; end -= static_cast<std::int64_t>(a.size())) {
    a.resize(static_cast<std::size_t>(std::min(end, kPiece)));
    b.resize(a.size());
    const std::int64_t at = end - static_cast<std::int64_t>(a.size());
    if (!reads(one, a, at) || !reads(other, b, at) || a != b) {
      return false;
    }
  }
  return true;
}

bool unchanged(int fd, const FileKey& key) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 && FileKey::of(status) == key;
}

Result<std::shared_ptr<const ParsedProgram>> parse(int fd, const std::string& name) {
  auto file = std::make_shared<const elf::MappedFile>(TRY(elf::MappedFile::from_fd(fd, name)));
  elf::GoBinary binary = TRY(elf::GoBinary::parse(file->bytes()));
  return std::make_shared<const ParsedProgram>(ParsedProgram{std::move(file), std::move(binary)});
}

/// What DWARF has to tell takes longer to read than all that the first probes need.
std::shared_future<mw_layout> start_layout(std::shared_ptr<const ParsedProgram> parsed) {
  // Where no thread is to be had it is read by whoever asks.
  return std::async(std::launch::async | std::launch::deferred,
                    [parsed = std::move(parsed)] {
                      const mw_layout layout = attach::layout_of(parsed->binary);
                      parsed->file->forget_pages();
                      return layout;
                    })
      .share();
}

}  // namespace

std::shared_ptr<const ParsedProgram> ParsedPrograms::find(const void* owner) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(owner);
  if (found == index_.end()) {
    return nullptr;
  }
  make_room_for(owner);
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->parsed;
}

void ParsedPrograms::make_room_for(const void* owner) {
  // The pages of files count as mapwatch's memory as long as they are mapped; they come back from the page cache.
  if (!entries_.empty() && entries_.front().owner != owner) {
    entries_.front().parsed->file->forget_pages();
  }
}

void ParsedPrograms::erase(std::list<Entry>::iterator entry) {
  entry->parsed->file->forget_pages();  // somebody may hold it for the names in it
  bytes_ -= entry->bytes;
  index_.erase(entry->owner);
  entries_.erase(entry);
}

void ParsedPrograms::put(const void* owner, std::shared_ptr<const ParsedProgram> parsed) {
  const std::lock_guard lock(mutex_);
  if (const auto found = index_.find(owner); found != index_.end()) {
    erase(found->second);
  }
  make_room_for(owner);
  const std::size_t bytes = parsed->binary.heap_bytes();
  entries_.push_front({owner, std::move(parsed), bytes});
  index_.emplace(owner, entries_.begin());
  bytes_ += bytes;
  while (bytes_ > limit_) {
    erase(std::prev(entries_.end()));
  }
}

void ParsedPrograms::drop(const void* owner) {
  const std::lock_guard lock(mutex_);
  if (const auto found = index_.find(owner); found != index_.end()) {
    erase(found->second);
  }
}

std::size_t ParsedPrograms::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

Program::Program(std::shared_ptr<ParsedPrograms> cache, const std::shared_ptr<const ParsedProgram>& parsed,
                 attach::Plan plan, attach::TextAnchor anchor)
    : cache_(std::move(cache)),
      go_((parsed->binary.unverified() ? "unverified " : "") + parsed->binary.version().text),
      build_id_(parsed->binary.build_id()),
      main_path_(parsed->binary.main_path()),
      plan_(std::move(plan)),
      layout_(start_layout(parsed)),
      anchor_(anchor) {}

Program::~Program() { cache_->drop(this); }

void Program::add_file(int fd, const FileKey& key) {
  const std::lock_guard lock(mutex_);
  // One that was deleted keeps its blocks on the disk for as long as it is open here.
  std::erase_if(files_, [](const auto& file) {
    struct stat status = {};
    return ::fstat(file.first.get(), &status) != 0 || status.st_nlink == 0 || FileKey::of(status) != file.second;
  });
  if (files_.size() < kMaxFiles) {
    if (UniqueFd own = duplicate(fd)) {
      files_.emplace_back(std::move(own), key);
    }
  }
}

std::shared_ptr<const ParsedProgram> Program::parsed() const {
  if (auto known = cache_->find(this)) {
    return known;
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [fd, key] : files_) {
    auto parsed = unchanged(fd.get(), key) ? parse(fd.get(), go_) : fail(ErrorKind::kGone, "the file was written to");
    if (parsed) {
      cache_->put(this, *parsed);
      return *parsed;
    }
  }
  return nullptr;
}

std::shared_ptr<const elf::GoBinary> Program::get() const {
  const auto program = parsed();
  return program ? std::shared_ptr<const elf::GoBinary>(program, &program->binary) : nullptr;
}

Result<UniqueFd> Program::file() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [fd, key] : files_) {
    if (unchanged(fd.get(), key)) {
      return duplicate(fd.get());
    }
  }
  return fail(ErrorKind::kGone, "the program's file was written to since it was read");
}

const Program::RuntimeFacts* Program::runtime() const {
  {
    const std::lock_guard lock(mutex_);
    if (runtime_) {
      return runtime_.get();
    }
  }
  // Not under the lock, for which the event loop may wait. Two callers at once both find it out.
  std::unique_ptr<RuntimeFacts> found;
  if (const auto program = parsed()) {
    found = std::make_unique<RuntimeFacts>(
        RuntimeFacts{program->binary.runtime_layout(), program->binary.runtime_globals()});
    program->file->forget_pages();
  }
  const std::lock_guard lock(mutex_);
  if (!runtime_) {
    runtime_ = std::move(found);
  }
  return runtime_.get();
}

Result<std::shared_ptr<Program>> ProgramCache::read(const attach::Target& target) const {
  const auto parsed = TRY(parse(target.exe_fd(), target.exe_path()));
  attach::Plan plan = TRY(attach::plan_probes(parsed->binary));
  const attach::TextAnchor anchor = TRY(attach::text_anchor(parsed->binary, target.exe_path()));
  std::shared_ptr<Program> program(new Program(parsed_, parsed, std::move(plan), anchor));
  parsed_->put(program.get(), parsed);
  return program;
}

std::shared_ptr<Program> ProgramCache::copy_of(const attach::Target& target, const std::string& build_id) const {
  const auto [first, last] = by_content_.equal_range({build_id, target.exe_key().size});
  std::size_t compared = 0;
  for (auto at = first; at != last && !build_id.empty() && compared < kMaxCompared; ++at) {
    const auto program = at->second.lock();
    if (!program) {
      continue;
    }
    ++compared;
    const std::lock_guard lock(program->mutex_);
    // Whoever made the file chose the build id, too.
    if (std::ranges::any_of(program->files_, [&](const auto& file) {
          return unchanged(file.first.get(), file.second) &&
                 same_bytes(file.first.get(), target.exe_fd(), target.exe_key().size);
        })) {
      return program;
    }
  }
  return nullptr;
}

Result<std::shared_ptr<const Program>> ProgramCache::load(const attach::Target& target) {
  if (const auto known = by_file_.find(target.exe_key()); known != by_file_.end()) {
    if (auto program = known->second.lock()) {
      return program;
    }
  }
  const auto expired = [](const auto& entry) { return entry.second.expired(); };
  std::erase_if(by_file_, expired);
  std::erase_if(by_content_, expired);
  std::string build_id;
  {
    const elf::MappedFile file = TRY(elf::MappedFile::from_fd(target.exe_fd(), target.exe_path()));
    build_id = elf::read_build_id(file.bytes());
  }
  std::shared_ptr<Program> program = copy_of(target, build_id);
  if (!program) {
    program = TRY(read(target));
    by_content_.emplace(std::pair(build_id, target.exe_key().size), program);
  }
  program->add_file(target.exe_fd(), target.exe_key());
  by_file_[target.exe_key()] = program;
  return program;
}

}  // namespace mapwatch::app
