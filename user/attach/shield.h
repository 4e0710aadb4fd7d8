// What must not be cut short by kill -9. The kernel puts breakpoints into a process' text, and takes them out, in the
// context of the task that creates or closes the link, and gives up at once when that task has a fatal signal pending
// (mm/gup.c, __get_user_pages; kernel/events/uprobes.c: "failed to unregister, leaking uprobe"): the target would keep
// its breakpoints. A process that exits has taken its signals and gets no more, so what exit closes is always undone
// whole; and a child is not what somebody kills who kills mapwatch.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

struct bpf_link_create_opts;

namespace mapwatch::attach {

/// A child that holds copies of descriptors while this object lives, and closes the last ones by exiting. Links that
/// are closed meanwhile are detached by it, whoever is killed when. A link takes tens of milliseconds to detach, and
/// exit closes one after the other: links that are to go at once need a holder and a thread each.
class LastHolder {
 public:
  /// Of every descriptor of this process. There is one of this kind at a time, and none of the other.
  LastHolder();
  /// Of these only.
  explicit LastHolder(std::span<const int> held);
  /// Returns when the child is gone: what was closed is detached.
  ~LastHolder();
  LastHolder(const LastHolder&) = delete;
  LastHolder& operator=(const LastHolder&) = delete;

 private:
  pid_t child_ = -1;  ///< -1: there could be none, and closing is what it always was
  UniqueFd let_go_;
  std::unique_lock<std::mutex> alone_;  ///< no other process gets copies meanwhile (base/spawn.h)
};

/// bpf_link_create(program, 0, BPF_TRACE_UPROBE_MULTI, options) by a child that hands the link over. Killing this
/// process meanwhile ends in no link. The error is that of the call.
Result<UniqueFd> create_multi_link(int program, const bpf_link_create_opts& options);

}  // namespace mapwatch::attach
