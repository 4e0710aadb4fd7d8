#include "dossier/goroutine_json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;
using forensics::StackDoubt;

Json hex(std::uint64_t address) { return fmt::format("{:#x}", address); }

Json id_or_null(std::int64_t id) { return id < 0 ? Json(nullptr) : Json(id); }

const char* doubt_name(StackDoubt doubt) {
  switch (doubt) {
    case StackDoubt::kNone:
      return "";
    case StackDoubt::kNoRegisters:
      return "no_registers";
    case StackDoubt::kCopying:
      return "copying";
    case StackDoubt::kTorn:
      return "torn";
    case StackDoubt::kOdd:
      return "odd";
    case StackDoubt::kCut:
      return "cut";
  }
  return "odd";
}

const char* p_status_name(forensics::PStatus status) {
  switch (status) {
    case forensics::PStatus::kIdle:
      return "idle";
    case forensics::PStatus::kRunning:
      return "running";
    case forensics::PStatus::kSyscall:
      return "syscall";
    case forensics::PStatus::kGcStop:
      return "gcstop";
    case forensics::PStatus::kDead:
      return "dead";
  }
  return "unknown";
}

Json place(const NamedFrame& frame) { return {{"func", frame.func}, {"file", frame.file}, {"line", frame.line}}; }

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string goroutine_json(const forensics::Goroutines& goroutines, const forensics::Goroutine& goroutine,
                           FrameNames& names) {
  Json json = {{"goid", goroutine.id},
               {"state", forensics::status_text(goroutine, names.go_minor())},
               {"waiting_ns", goroutine.waiting_ns},
               {"system", names.system_goroutine(goroutine)},
               {"locked_to_thread", goroutine.locked_to_thread},
               {"tid", goroutine.thread == 0 ? Json(nullptr) : Json(goroutine.thread)},
               {"parent", goroutine.parent_id == 0 ? Json(nullptr) : Json(goroutine.parent_id)}};
  Json stack = Json::array();
  for (const forensics::Frame& physical : goroutine.frames) {
    for (const NamedFrame& frame : names.of(physical)) {
      Json one = place(frame);
      one["pc"] = hex(physical.pc);
      one["inlined"] = frame.inlined;
      stack.push_back(std::move(one));
    }
  }
  json["stack"] = std::move(stack);
  json["doubt"] = goroutine.doubt == StackDoubt::kNone ? Json(nullptr) : Json(doubt_name(goroutine.doubt));
  const NamedFrame creator = names.creator(goroutine.go_pc);
  // The first goroutine was made by the runtime's start, in assembly; Go's tracebacks do not tell either.
  json["created_by"] = creator.func.empty() || goroutine.id == 1 ? Json(nullptr) : place(creator);
  Json channels = Json::array();
  for (const std::uint64_t channel : goroutine.channels) {
    channels.push_back(hex(channel));
  }
  json["channels"] = std::move(channels);
  Json labels = Json::object();
  for (const auto& [key, value] : goroutines.labels.at(goroutine.labels)) {
    labels[escape(key)] = escape(value);
  }
  json["labels"] = std::move(labels);
  return dump(json);
}

std::string scheduler_json(const forensics::Goroutines& goroutines) {
  const forensics::Scheduler& sched = goroutines.scheduler;
  Json json = {{"known", sched.known},
               {"last_goid", sched.last_goid},
               {"idle_threads", sched.idle_ms},
               {"spinning_threads", sched.spinning_ms},
               {"idle_processors", sched.idle_ps},
               {"global_queue", sched.global_queue},
               {"gc_waiting", sched.gc_waiting},
               {"gc_phase", sched.gc_phase ? Json(*sched.gc_phase) : Json(nullptr)}};
  Json processors = Json::array();
  for (const forensics::Processor& p : goroutines.processors) {
    processors.push_back({{"id", p.id},
                          {"status", p_status_name(p.status)},
                          {"m", id_or_null(p.m_id)},
                          {"goid", p.goroutine},
                          {"next", p.next},
                          {"queue", p.queue}});
  }
  json["processors"] = std::move(processors);
  Json threads = Json::array();
  for (const forensics::Machine& m : goroutines.machines) {
    threads.push_back({{"id", m.id},
                       {"tid", m.thread},
                       {"goid", m.goroutine},
                       {"p", id_or_null(m.p)},
                       {"spinning", m.spinning},
                       {"blocked", m.blocked},
                       {"in_c", m.in_c},
                       {"locks", m.locks},
                       {"throwing", m.throwing}});
  }
  json["threads"] = std::move(threads);
  return dump(json);
}

}  // namespace mapwatch::dossier
