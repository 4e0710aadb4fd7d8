#include "attach/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>

#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "attach/kernel_impl.h"
#include "attach/kernel_offsets.h"
#include "attach/shield.h"

namespace mapwatch::attach {

namespace {

/// libbpf's own words, kept for the message of the call that fails; they are nothing for a terminal otherwise.
std::string& libbpf_log() {
  thread_local std::string log;
  return log;
}

int keep_log(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) {
    return 0;
  }
  // The verifier's log comes as one line, and its end says what is wrong.
  std::string line(1u << 16, '\0');
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string& log = libbpf_log();
  log += line.c_str();
  constexpr std::size_t kKept = 2000;
  if (log.size() > kKept) {
    log.erase(0, log.size() - kKept);
  }
  return length;
}

Result<void> check_release() {
  utsname name = {};
  if (::uname(&name) != 0) {
    return fail_errno("cannot read the kernel's release");
  }
  int major = 0;
  int minor = 0;
  if (std::sscanf(name.release, "%d.%d", &major, &minor) != 2) {
    return fail(ErrorKind::kUnsupported, fmt::format("kernel release '{}' is not understood", name.release));
  }
  if (major < 6 || (major == 6 && minor < 1)) {
    return fail(ErrorKind::kUnsupported, fmt::format("kernel {} is too old: mapwatch needs 6.1 or newer", name.release),
                "boot a newer kernel; Debian 12's 6.1 is enough");
  }
  return {};
}

tl::unexpected<Error> load_error(int error) {
  const std::string log = std::exchange(libbpf_log(), {});
  // The verifier refuses with EACCES too, and says why at length.
  if (error == EPERM || (error == EACCES && log.find("PROG LOAD LOG") == std::string::npos)) {
    return fail(ErrorKind::kPermission, "cannot load BPF programs: permission denied",
                "run as root, or with CAP_BPF and CAP_PERFMON; see `mapwatch doctor`");
  }
  return fail(ErrorKind::kFailed, fmt::format("cannot load BPF programs: {}\n{}", std::strerror(error), log),
              "see `mapwatch doctor`");
}

std::uint64_t ring_bytes(std::uint64_t wanted) {
  constexpr std::uint64_t kPage = 4096;
  return std::bit_ceil(std::max(wanted, kPage));
}

}  // namespace

void ProbeSet::LinkDeleter::operator()(bpf_link* link) const { bpf_link__destroy(link); }

ProbeSet& ProbeSet::operator=(ProbeSet&& other) noexcept {
  if (this != &other) {
    detach();
    links_ = std::move(other.links_);
    multi_links_ = std::move(other.multi_links_);
  }
  return *this;
}

void ProbeSet::detach() {
  if (!attached()) {
    return;
  }
  if (!links_.empty()) {
    const LastHolder holder;
    links_.clear();
    multi_links_.clear();
    return;
  }
  std::vector<int> held;
  for (const UniqueFd& link : multi_links_) {
    held.push_back(link.get());
  }
  const LastHolder holder(held);
  multi_links_.clear();
}

Kernel::Kernel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Kernel::Kernel(Kernel&&) noexcept = default;
Kernel& Kernel::operator=(Kernel&&) noexcept = default;
Kernel::~Kernel() = default;

Result<Kernel> Kernel::load(const Options& options) {
  TRY(check_release());
  libbpf_set_print(keep_log);
  libbpf_log().clear();
  auto impl = std::make_unique<Impl>();
  impl->link = options.link;
  impl->skeleton.reset(mapwatch_bpf__open());
  if (!impl->skeleton) {
    return fail_errno("cannot open the BPF object");
  }
  mapwatch_bpf* skeleton = impl->skeleton.get();
  const bool multi = options.link == LinkKind::kMulti;
  bpf_program__set_autoload(skeleton->progs.mw_map_multi, multi);
  bpf_program__set_autoload(skeleton->progs.mw_fatal_multi, multi);
  bpf_program__set_autoload(skeleton->progs.mw_map_perf, !multi);
  bpf_program__set_autoload(skeleton->progs.mw_fatal_perf, !multi);
  if (const int error =
          bpf_map__set_max_entries(skeleton->maps.mw_ring, static_cast<std::uint32_t>(ring_bytes(options.ring_size)));
      error != 0) {
    return fail_errno(fmt::format("ring buffer of {} bytes", options.ring_size), -error, "give --ring-size 8M");
  }
  skeleton->rodata->mw_offsets = kernel_offsets();
  if (const int error = mapwatch_bpf__load(skeleton); error != 0) {
    return load_error(-error);
  }
  return Kernel(std::move(impl));
}

Result<void> Kernel::follow_exec(Execs which) {
  mapwatch_bpf* skeleton = impl_->skeleton.get();
  const bool every = which == Execs::kEvery;
  bpf_link*& link = every ? skeleton->links.mw_every_exec : skeleton->links.mw_exec;
  link = bpf_program__attach(every ? skeleton->progs.mw_every_exec : skeleton->progs.mw_exec);
  if (link == nullptr) {
    return fail_errno("cannot follow execs (raw tracepoint sched_process_exec)");
  }
  return {};
}

Result<ProbeSet> Kernel::attach(const Plan& plan, const AttachRequest& request) {
  mapwatch_bpf* skeleton = impl_->skeleton.get();
  const bool multi = impl_->link == LinkKind::kMulti;
  struct Group {
    bpf_program* program;
    std::vector<unsigned long> offsets;
    std::vector<__u64> cookies;
  };
  Group groups[] = {{multi ? skeleton->progs.mw_map_multi : skeleton->progs.mw_map_perf, {}, {}},
                    {multi ? skeleton->progs.mw_fatal_multi : skeleton->progs.mw_fatal_perf, {}, {}}};
  const auto add = [&](std::size_t i) {
    const ProbeSpec& probe = plan.probes[i];
    Group& group = groups[is_fatal(probe) ? 1 : 0];
    group.offsets.push_back(probe.file_offset);
    group.cookies.push_back(MW_COOKIE(probe.op, probe.site_class, probe.arg, request.layout, request.first_site + i));
  };
  for (std::size_t i = 0; i < (request.which ? request.which->size() : plan.probes.size()); ++i) {
    add(request.which ? (*request.which)[i] : i);
  }
  ProbeSet set;
  const auto keep = [&set](bpf_link* link) {
    if (link != nullptr) {
      set.links_.emplace_back(link);
    }
    return link != nullptr;
  };
  for (Group& group : groups) {
    if (group.offsets.empty()) {
      continue;
    }
    libbpf_log().clear();
    if (multi) {
      LIBBPF_OPTS(bpf_link_create_opts, options);
      options.uprobe_multi.path = request.path.c_str();
      options.uprobe_multi.offsets = group.offsets.data();
      options.uprobe_multi.cookies = group.cookies.data();
      options.uprobe_multi.cnt = static_cast<__u32>(group.offsets.size());
      options.uprobe_multi.pid = request.pid > 0 ? static_cast<__u32>(request.pid) : 0;  // 0: of all processes
      auto link = create_multi_link(bpf_program__fd(group.program), options);
      if (!link) {
        return fail(link.error().kind, fmt::format("cannot attach {} probes to {}: {}", group.offsets.size(),
                                                   request.path, link.error().message));
      }
      set.multi_links_.push_back(std::move(*link));
      continue;
    }
    for (std::size_t i = 0; i < group.offsets.size(); ++i) {
      LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = group.cookies[i]);
      if (!keep(bpf_program__attach_uprobe_opts(group.program, request.pid, request.path.c_str(), group.offsets[i],
                                                &options))) {
        return fail_errno(fmt::format("cannot attach a perf_event probe to {}+{:#x}", request.path, group.offsets[i]),
                          errno, "perf_event uprobes need CAP_SYS_ADMIN; kernel 6.6+ can do with --attach multi");
      }
    }
  }
  return set;
}

Result<void> Kernel::set_layout(std::uint32_t index, const mw_layout& layout) {
  if (bpf_map__update_elem(impl_->skeleton->maps.mw_layouts, &index, sizeof(index), &layout, sizeof(layout), BPF_ANY) !=
      0) {
    return fail_errno(fmt::format("cannot store layout {}", index));
  }
  return {};
}

void Kernel::drop_layout(std::uint32_t index) {
  const mw_layout none = {};
  bpf_map__update_elem(impl_->skeleton->maps.mw_layouts, &index, sizeof(index), &none, sizeof(none), BPF_ANY);
}

int Kernel::freeze_notes_fd() const { return bpf_map__fd(impl_->skeleton->maps.mw_freeze_notes); }

int Kernel::freeze_gate_fd() const { return bpf_map__fd(impl_->skeleton->maps.mw_freeze_gate); }

int Kernel::ring_fd() const { return bpf_map__fd(impl_->skeleton->maps.mw_ring); }

LinkKind Kernel::link_kind() const { return impl_->link; }

mw_layout layout_of(const elf::GoBinary& binary) {
  const elf::Offsets& offsets = binary.offsets();
  mw_layout layout = {};
  layout.goid = offsets.g_goid;
  layout.gopc = offsets.g_gopc;
  layout.mark = offsets.map_mark;
  layout.mark_mask = offsets.map_mark_mask;
  layout.iter_map = offsets.iter_map;
  layout.iter_type = offsets.iter_type;
  layout.map_len = offsets.map_len;
  layout.seed = offsets.map_seed;
  layout.flags = MW_LAYOUT_VALID;
  return layout;
}

}  // namespace mapwatch::attach
