#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/escape.h"
#include "dossier/map_company.h"
#include "report/format.h"

namespace mapwatch::dossier {
namespace {

using Json = nlohmann::ordered_json;
using forensics::Goroutine;

Json hex(std::uint64_t address) { return fmt::format("{:#x}", address); }

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(escape(text)); }

void add_place(Json& json, const NamedFrame* frame) {
  json["func"] = frame == nullptr ? Json(nullptr) : Json(frame->func);
  json["file"] = frame == nullptr ? Json(nullptr) : Json(frame->file);
  json["line"] = frame == nullptr ? Json(nullptr) : Json(frame->line);
}

class Writer {
 public:
  explicit Writer(const MapCompany& company) : c_(company) {}

  Json run() {
    Json json;
    json["schema_version"] = 1;
    json["map"] = hex(c_.report.map.addr);
    json["map_source"] = c_.report.map_by_hazard ? "hazard" : c_.report.map_by_arguments ? "arguments" : "probe";
    json["argument_map"] = c_.argument_map == 0 ? Json(nullptr) : hex(c_.argument_map);
    json["inside"] = inside();
    json["accesses"] = accesses();
    json["stack_words"] = c_.holders.stacks_total;
    json["stack_goroutines"] = c_.holders.goroutines_total;
    json["stacks"] = stacks();
    json["registers"] = registers();
    json["variable_words"] = c_.holders.variables_total;
    json["variables"] = variables();
    json["not_searched"] = Json::array({"the heap"});
    for (const std::string& part : c_.holders.partial) {
      json["not_searched"].push_back(escape(part));
    }
    return json;
  }

 private:
  Json before(std::uint64_t began_ns) const {
    return began_ns == 0 ? Json(nullptr) : Json(static_cast<std::int64_t>(c_.report.time_ns - began_ns));
  }

  Json inside() {
    Json list = Json::array();
    for (const forensics::MapOperation& operation : c_.use.inside) {
      const Goroutine& goroutine = c_.goroutines.list[operation.goroutine];
      Json one;
      one["goid"] = goroutine.id;
      one["tid"] = goroutine.thread == 0 ? Json(nullptr) : Json(goroutine.thread);
      one["crashing"] = goroutine.id == c_.report.goid;
      one["op"] = report::op_word(operation.op);
      one["evidence"] = evidence_name(operation.evidence);
      one["certain"] = operation.evidence != forensics::OperationEvidence::kSlot;
      one["before_crash_ns"] = before(operation.began_ns);
      const NamedFrame* function = place_of(goroutine, operation.frame, c_.names);
      one["function"] = function == nullptr ? Json(nullptr) : Json(function->func);
      add_place(one, user_place(goroutine, operation.frame, c_.names));
      list.push_back(std::move(one));
    }
    return list;
  }

  Json accesses() const {
    Json list = Json::array();
    for (const forensics::MapAccess& access : c_.use.accesses) {
      Json one;
      one["g"] = hex(access.g);
      one["goid"] = access.goid == 0 ? Json(nullptr) : Json(access.goid);
      one["op"] = access.op == MW_OP_NONE ? Json(nullptr) : Json(report::op_word(access.op));
      one["before_crash_ns"] = before(access.began_ns);
      one["last"] = access.last;
      one["last_writer"] = access.last_writer;
      one["previous_writer"] = access.previous_writer;
      list.push_back(std::move(one));
    }
    return list;
  }

  Json stacks() {
    Json list = Json::array();
    for (const forensics::StackHolder& holder : c_.holders.stacks) {
      const Goroutine& goroutine = c_.goroutines.list[holder.goroutine];
      Json one;
      one["goid"] = goroutine.id;
      one["address"] = hex(holder.address);
      one["frame"] = holder.frame;
      add_place(one, place_of(goroutine, holder.frame, c_.names));
      one["pc"] = hex(goroutine.frames[holder.frame].pc);
      one["sp_offset"] = holder.sp_offset;
      one["argument"] = nullptr;
      if (holder.argument_of_callee) {
        const NamedFrame* callee = place_of(goroutine, holder.frame - 1, c_.names);
        one["argument"] = {{"word", *holder.argument_of_callee},
                           {"of", callee == nullptr ? Json(nullptr) : Json(callee->func)}};
      }
      list.push_back(std::move(one));
    }
    return list;
  }

  Json registers() const {
    Json list = Json::array();
    for (const forensics::RegisterHolder& holder : c_.holders.registers) {
      list.push_back({{"tid", holder.thread},
                      {"goid", holder.goroutine ? Json(c_.goroutines.list[*holder.goroutine].id) : Json(nullptr)},
                      {"register", register_name(holder.reg)}});
    }
    return list;
  }

  Json variables() const {
    Json list = Json::array();
    for (const forensics::VariableHolder& holder : c_.holders.variables) {
      Json users = Json::array();
      for (const std::string& user : holder.used_by) {
        users.push_back(escape(user));
      }
      list.push_back({{"address", hex(holder.address)},
                      {"file_address", hex(holder.file_address)},
                      {"section", text_or_null(holder.variable.section)},
                      {"name", text_or_null(holder.variable.name)},
                      {"offset", holder.variable.offset},
                      {"used_by", std::move(users)}});
    }
    return list;
  }

  const MapCompany& c_;
};

}  // namespace

std::string company_json(const MapCompany& company) {
  return Writer(company).run().dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mapwatch::dossier
