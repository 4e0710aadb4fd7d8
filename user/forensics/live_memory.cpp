#include "forensics/live_memory.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace mapwatch::forensics {
namespace {

constexpr std::size_t kMaxRanges = 1024;  // UIO_MAXIOV, linux/uio.h
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMaxJoined = std::size_t{256} << 10;
constexpr std::size_t kScratch = std::size_t{2} << 20;

Mapping to_mapping(proc::MapEntry entry) {
  return {entry.start,      entry.end,    entry.readable,       entry.writable,
          entry.executable, entry.offset, std::move(entry.path)};
}

}  // namespace

Result<LiveMemory> LiveMemory::open(int pid, const proc::ProcFs& procfs) {
  const std::string path = procfs.path(pid, "mem");
  UniqueFd mem(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!mem) {
    return fail_errno(fmt::format("cannot read the memory of process {} ({})", pid, path), errno,
                      "run as root, or with CAP_SYS_PTRACE");
  }
  std::vector<Mapping> mappings;
  for (proc::MapEntry& entry : TRY(procfs.maps(pid))) {
    mappings.push_back(to_mapping(std::move(entry)));
  }
  return LiveMemory(pid, std::move(mem), std::move(mappings));
}

bool LiveMemory::read(std::uint64_t address, std::span<std::uint8_t> out) const {
  const iovec local{out.data(), out.size()};
  const iovec remote{reinterpret_cast<void*>(address), out.size()};
  const ssize_t got = process_vm_readv(pid_, &local, 1, &remote, 1, 0);
  return got == static_cast<ssize_t>(out.size()) || read_slowly(address, out);
}

bool LiveMemory::read_slowly(std::uint64_t address, std::span<std::uint8_t> out) const {
  if (address > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return false;
  }
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(mem_.get(), out.data() + done, out.size() - done, static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    done += static_cast<std::size_t>(got);
  }
  return true;
}

void LiveMemory::read_ranges(std::span<ReadRequest> requests) const {
  std::array<iovec, kMaxRanges> local;
  std::array<iovec, kMaxRanges> remote;
  std::size_t next = 0;
  while (next < requests.size()) {
    const std::size_t count = std::min(kMaxRanges, requests.size() - next);
    for (std::size_t i = 0; i < count; ++i) {
      ReadRequest& request = requests[next + i];
      local[i] = {request.out.data(), request.out.size()};
      remote[i] = {reinterpret_cast<void*>(request.address), request.out.size()};
    }
    const ssize_t got = process_vm_readv(pid_, local.data(), count, remote.data(), count, 0);
    // It stops at the first byte that it cannot read; the ranges before that are whole.
    std::size_t left = got < 0 ? 0 : static_cast<std::size_t>(got);
    std::size_t done = 0;
    while (done < count && left >= requests[next + done].out.size()) {
      left -= requests[next + done].out.size();
      requests[next + done].ok = true;
      ++done;
    }
    next += done;
    if (done < count) {
      requests[next].ok = read_slowly(requests[next].address, requests[next].out);
      ++next;
    }
  }
}

void LiveMemory::read_many(std::span<ReadRequest> requests) const {
  // The kernel looks up pages once a range: ranges that share pages, or lie on pages that touch, are read as one.
  std::vector<std::size_t> order(requests.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto address = [&](std::size_t i) { return requests[i].address; };
  if (!std::ranges::is_sorted(requests, {}, &ReadRequest::address)) {
    std::ranges::sort(order, {}, address);
  }
  std::vector<std::uint8_t> scratch(std::min(kScratch, requests.size() * kPage));
  std::vector<ReadRequest> joined;
  std::vector<std::size_t> firsts;  // of `order`, for each of `joined`
  std::size_t used = 0;
  const auto flush = [&](std::size_t end) {
    read_ranges(joined);
    firsts.push_back(end);
    for (std::size_t k = 0; k < joined.size(); ++k) {
      const std::span<const std::size_t> members(order.data() + firsts[k], firsts[k + 1] - firsts[k]);
      if (members.size() == 1) {
        requests[members.front()].ok = joined[k].ok;
        continue;
      }
      for (const std::size_t i : members) {
        ReadRequest& request = requests[i];
        request.ok = joined[k].ok || read(request.address, request.out);
        if (joined[k].ok && !request.out.empty()) {
          std::memcpy(request.out.data(), joined[k].out.data() + (request.address - joined[k].address),
                      request.out.size());
        }
      }
    }
    joined.clear();
    firsts.clear();
    used = 0;
  };
  for (std::size_t at = 0; at < order.size();) {
    const std::uint64_t begin = address(order[at]);
    std::uint64_t end = begin + requests[order[at]].out.size();
    std::size_t next = at + 1;
    for (; next < order.size(); ++next) {
      const ReadRequest& request = requests[order[next]];
      const std::uint64_t new_end = std::max(end, request.address + request.out.size());
      if (request.address / kPage > end / kPage + 1 || new_end < request.address || new_end - begin > kMaxJoined) {
        break;
      }
      end = new_end;
    }
    const std::size_t size = next == at + 1 ? 0 : end - begin;
    if (used + size > scratch.size()) {
      flush(at);
    }
    if (size > scratch.size()) {
      scratch.resize(size);
    }
    firsts.push_back(at);
    joined.push_back({begin, size == 0 ? requests[order[at]].out : std::span(scratch.data() + used, size), false});
    used += size;
    at = next;
  }
  flush(order.size());
}

}  // namespace mapwatch::forensics
