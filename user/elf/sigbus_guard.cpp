#include "elf/sigbus_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace mapwatch::elf {
namespace {

/// Nodes are linked for ever and reused, so that the handler may walk the list at any moment without a lock.
struct Guarded {
  std::atomic<std::uintptr_t> begin{0};  ///< 0: free
  std::atomic<std::uintptr_t> end{0};
  Guarded* next = nullptr;
};

std::atomic<Guarded*> guarded{nullptr};
std::mutex guarded_mutex;  ///< writers only
struct sigaction previous_action = {};
std::uintptr_t page_size = 4096;

bool is_guarded(std::uintptr_t address) {
  for (const Guarded* node = guarded.load(); node != nullptr; node = node->next) {
    const std::uintptr_t begin = node->begin.load();
    if (begin != 0 && address >= begin && address < node->end.load()) {
      return true;
    }
  }
  return false;
}

void on_sigbus(int, siginfo_t* info, void*) {
  const int saved = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (info->si_code == BUS_ADRERR && is_guarded(address)) {
    void* page = reinterpret_cast<void*>(address / page_size * page_size);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(page, page_size, PROT_READ, flags, -1, 0) != MAP_FAILED) {
      errno = saved;
      return;
    }
  }
  // Not ours: the faulting instruction runs again and meets the action that was there before us.
  sigaction(SIGBUS, &previous_action, nullptr);
  errno = saved;
}

void install() {
  page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous_action);
}

}  // namespace

void guard_mapping(void* data, std::size_t size) {
  static std::once_flag installed;
  std::call_once(installed, install);
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::scoped_lock lock(guarded_mutex);
  Guarded* node = guarded.load();
  while (node != nullptr && node->begin.load() != 0) {
    node = node->next;
  }
  const bool fresh = node == nullptr;
  if (fresh) {
    node = new Guarded;  // kept for the life of the process, as the handler needs
    node->next = guarded.load();
  }
  node->end.store(begin + size);
  node->begin.store(begin);
  if (fresh) {
    guarded.store(node);
  }
}

void unguard_mapping(void* data) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::scoped_lock lock(guarded_mutex);
  for (Guarded* node = guarded.load(); node != nullptr; node = node->next) {
    if (node->begin.load() == begin) {
      node->begin.store(0);
      return;
    }
  }
}

}  // namespace mapwatch::elf
