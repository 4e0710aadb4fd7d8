// Where raw event records come from: the kernel's ring buffer (ring_source.h), or a test. A recorded file holds more
// than events and is read chunk by chunk (record_file.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"

namespace mapwatch::ingest {

class EventSource {
 public:
  /// Gets the bytes of one record, as decode() takes them; they are valid during the call only.
  using Sink = std::function<void(Bytes record)>;

  virtual ~EventSource() = default;
  /// Waits up to `timeout` for records and hands each to `sink`, in order. The number delivered; 0 on timeout and on a
  /// signal. An error means that the source is of no more use.
  virtual Result<std::size_t> poll(std::chrono::milliseconds timeout, const Sink& sink) = 0;
};

}  // namespace mapwatch::ingest
